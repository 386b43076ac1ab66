package dataplane

import (
	"context"
	"errors"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// told reports that Wait has something for the writer, and takes note of it.
func told(t *testing.T, w *Writer) bool {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := w.Wait(ctx)
	if err != nil && !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	return err == nil
}

// asleep makes a writer look like one that waits, which the poller has to wake.
func asleep(t *testing.T, w *Writer) {
	t.Helper()
	for told(t, w) {
	}
	w.waiting.Store(true)
}

// woken reports that somebody woke the writer.
func woken(w *Writer) bool {
	select {
	case <-w.wake:
		return true
	default:
		return false
	}
}

// TestToldOnce: a writer hears of frames, of releases and of a stream's milestones, of
// each once, and of nothing else.
func TestToldOnce(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s, err := g.p.Open(g.now, w, g.config())
	must(t, err)
	g.peer.mute = true
	g.pass()
	if !told(t, w) || told(t, w) {
		t.Error("not told of its share, or twice")
	}
	g.now += tcp.Microsecond
	g.pass()
	if told(t, w) {
		t.Error("told of nothing")
	}
	r := &receiver{irs: g.peerISS(s), next: g.peerISS(s) + 1, iss: 7000, sndNext: 7001, window: peerWindow, later: map[uint32][]byte{}}
	r.tmpl.Init(theirs(s.flow), wire.Path{})
	g.peer.flows[s.flow] = r
	g.peer.reply(r, r.iss, wire.FlagSYN|wire.FlagACK, nil)
	g.now += tcp.Microsecond
	g.pass()
	if !told(t, w) || told(t, w) {
		t.Error("not told of the handshake and the first frames, or twice")
	}
	c := newSource(1, w, s, 1<<16)
	g.peer.mute = false
	g.commits(c, 2)
	g.idle()
	if !told(t, w) || told(t, w) || w.releases.Peek(9) != 2 {
		t.Errorf("not told of two releases, or twice; %d are there", w.releases.Peek(9))
	}
	drain(t, w, c)
	g.peer.reply(r, r.sndNext, wire.FlagACK|wire.FlagFIN, nil)
	g.idle()
	if !told(t, w) || !s.PeerClosed() {
		t.Error("not told that the peer closed")
	}
	g.finish()
}

// peerISS is the sequence number with which a stream of the rig opens.
func (g *rig) peerISS(s *Stream) uint32 { return uint32(s.flow.LocalPort) * 1000 }

// TestWokenWhenItIsWorthIt: a busy poller wakes a writer for a quarter of its frames,
// or because something happened to its stream, and not for less; an idle one wakes it
// for anything.
func TestWokenWhenItIsWorthIt(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(8)
	s := g.open(w)
	g.idle()
	c := newSource(1, w, s, 1<<16)
	g.commits(c, 8)
	for !told(t, w) || g.p.Out() > 0 {
		g.step()
	}
	g.idle()
	drain(t, w, c)
	g.idle()
	lane := w.lane
	if lane.owned != 8 || lane.lent != 8 || lane.fresh != 0 {
		t.Fatalf("owned %d, lent %d, fresh %d", lane.owned, lane.lent, lane.fresh)
	}
	g.port.hold = true
	g.commits(c, 8)
	g.p.Step(g.now)
	g.p.Notify(false)
	for i, want := range []bool{false, true, false, true} { // two of eight are a quarter
		asleep(t, w)
		g.port.finish(1)
		g.p.Step(g.now)
		g.p.Notify(false)
		if woken(w) != want {
			t.Errorf("release %d: woken %v", i+1, !want)
		}
	}
	asleep(t, w)
	g.port.finish(1)
	g.p.Step(g.now)
	g.p.Notify(false)
	if woken(w) {
		t.Error("woken for one frame by a busy poller")
	}
	g.p.Notify(true)
	if !woken(w) || w.waiting.Load() {
		t.Error("not woken by an idle one")
	}
	g.p.Notify(true)
	if woken(w) {
		t.Error("woken twice for one thing")
	}
	asleep(t, w)
	r := g.peer.flows[s.flow]
	g.peer.reply(r, r.sndNext, wire.FlagACK|wire.FlagFIN, nil)
	r.sndNext++
	g.p.Step(g.now)
	g.p.Notify(false)
	if !woken(w) {
		t.Error("not woken though the peer closed")
	}
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.until("all released", func() bool { drain(t, w, c); return len(c.pending) == 0 })
	g.finish()
}

// TestWokenForTheLastRelease: the last thing that a writer can wait for is worth it.
func TestWokenForTheLastRelease(t *testing.T) {
	g := newRig(t, 256, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.commits(c, 1)
	asleep(t, w)
	g.p.Step(g.now)
	g.p.Notify(false)
	if woken(w) {
		t.Error("woken before there is anything")
	}
	g.p.Step(g.now + tcp.Microsecond)
	g.p.Notify(false)
	drain(t, w, c)
	if len(c.pending) != 0 || !woken(w) {
		t.Errorf("%d commits without an answer, and the writer sleeps", len(c.pending))
	}
	g.now += 2 * tcp.Microsecond
	g.finish()
}

// TestLaneIsTouchedOnce: however much happens to a writer in a Step, the list of those
// to be told has a place for each and does not grow.
func TestLaneIsTouchedOnce(t *testing.T) {
	g := newRig(t, 128, nil)
	w, w2 := g.writer(0), g.writer(0)
	a, b := newSource(1, w, g.open(w), 1<<18), newSource(2, w2, g.open(w2), 1<<18)
	g.transfer(a, b)
	if n := cap(g.p.touchedLanes); n != 2 {
		t.Errorf("the list of two writers has %d places", n)
	}
	g.finish()
}
