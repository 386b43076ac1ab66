package dataplane

import (
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// One stream, every byte right, one release for each commit, every frame back.
func TestTransferOneStream(t *testing.T) {
	g := newRig(t, 512, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<20)
	c.scribble = true
	g.transfer(c)
	k := g.p.CountersNow()
	if k.BytesWritten != 1<<20 || k.BytesReleased != 1<<20 || k.Commits != k.Releases || k.Aborts != 0 {
		t.Fatalf("%+v", k)
	}
	for _, r := range c.log {
		if r.Reason != Acked || r.Early || r.Submitted == 0 || r.Completed < r.Submitted || r.Acked < r.Submitted || r.Transmissions < 1 {
			t.Fatalf("release %+v", r)
		}
	}
	g.finish()
}

// Several streams of one writer, and several writers, with loss.
func TestTransferManyStreamsLoss(t *testing.T) {
	g := newRig(t, 512, nil)
	rng := rand.New(rand.NewPCG(2, 2))
	g.peer.drop = func(seg *wire.Segment) bool { return seg.PayloadLen > 0 && rng.IntN(100) < 2 }
	var all []*source
	for range 3 {
		w := g.writer(0)
		for range 3 {
			c := newSource(uint64(len(all)), w, g.open(w), 200000)
			c.scribble = true
			all = append(all, c)
		}
	}
	g.transfer(all...)
	g.finish()
}

// A stream without a byte: SYN, FIN, home.
func TestTransferEmpty(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 0)
	g.transfer(c)
	g.until("home", c.s.Home)
	if c.s.Err() != nil || !c.s.PeerClosed() {
		t.Fatalf("err %v, peer closed %v", c.s.Err(), c.s.PeerClosed())
	}
	if g.p.Streams() != 0 {
		t.Fatalf("%d streams left", g.p.Streams())
	}
	g.finish()
}
