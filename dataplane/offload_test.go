package dataplane

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// withMetadata gives the port TX metadata.
func withMetadata(c *Config) {
	port := c.Port.(*memPort)
	port.caps.TxMetadata = true
}

// openOffload opens a stream whose checksums are asked for.
func (g *rig) openOffload(w *Writer) *Stream {
	g.Helper()
	cfg := g.config()
	cfg.Checksum = tcp.ChecksumOffload
	s, err := g.p.Open(g.now, w, cfg)
	must(g, err)
	return s
}

// TestOffload: every descriptor has its request, the peer gets every byte, and the tap shows
// packets as they have to leave. A descriptor without one is the engine's own sum.
func TestOffload(t *testing.T) {
	tap := NewTap(1024, 2048)
	g := newRig(t, 64, func(c *Config) { withMetadata(c); c.Tap = tap })
	w := g.writer(0)
	s := g.openOffload(w)
	g.until("established", s.Established)
	c := newSource(1, w, s, 100_000)
	g.transfer(c)
	if k := g.p.CountersNow(); k.Submitted == 0 || uint64(g.port.asked) != k.Submitted || k.TapLost != 0 {
		t.Errorf("%d descriptors with a request: %+v", g.port.asked, k)
	}
	if r := g.peer.flows[s.flow]; !bytes.Equal(r.stream, c.bytes) {
		t.Error("other bytes")
	}
	var seg wire.Segment
	for p, ok := tap.Next(); ok; p, ok = tap.Next() {
		if err := wire.Parse(p.Bytes, true, &seg); err != nil {
			t.Fatalf("the tap has a packet that is not what leaves: %v", err)
		}
	}
	asked := g.port.asked
	g.transfer(newSource(2, w, g.open(w), 10_000))
	if g.port.asked != asked {
		t.Error("the engine's own sums were asked for")
	}
	g.finish()
}

// TestOffloadDropped: a device that does not read the request sends seeds, which no peer takes.
func TestOffloadDropped(t *testing.T) {
	g := newRig(t, 64, withMetadata)
	g.port.deaf = true
	seeds := 0
	g.port.wire = func(b []byte) {
		if wire.Parse(b, true, new(wire.Segment)) == wire.ErrChecksum {
			seeds++
		}
	}
	s := g.openOffload(g.writer(0))
	g.until("given up", s.Ended)
	if seeds == 0 || !errors.Is(s.Err(), tcp.ErrTimeout) {
		t.Errorf("%d seeds, %v", seeds, s.Err())
	}
}

// TestOffloadRefused: without metadata there is nothing to ask with.
func TestOffloadRefused(t *testing.T) {
	g := newRig(t, 64, nil)
	cfg := g.config()
	cfg.Checksum = tcp.ChecksumOffload
	_, err := g.p.Open(g.now, g.writer(0), cfg)
	if !errors.Is(err, ErrBadConfig) || !strings.Contains(err.Error(), "TX metadata") {
		t.Error(err)
	}
	cfg.Checksum = 7
	if _, err := g.p.Open(g.now, g.writer(0), cfg); !errors.Is(err, tcp.ErrBadConfig) {
		t.Error(err)
	}
	g.finish()
}

// A descriptor says no more than its packet asks.
func TestOptions(t *testing.T) {
	d := umem.Desc{Options: options(&tcp.Tx{Metadata: true})}
	if d.Options != 2 || options(&tcp.Tx{}) != 0 {
		t.Errorf("%+v", d)
	}
}

// TestCanaryIsAMilestone: who waits for the verdict is told when it is there, later than the
// handshake, and payload committed meanwhile leaves behind it; without a canary both are one.
func TestCanaryIsAMilestone(t *testing.T) {
	g := newRig(t, 64, withMetadata)
	poisoned := 0
	var s *Stream
	g.port.wire = func(b []byte) {
		var seg wire.Segment
		if wire.Parse(b, true, &seg) == wire.ErrChecksum {
			poisoned++
			return
		}
		if seg.PayloadLen > 1 && s.StatsNow().Canary == tcp.CanaryUnderWay {
			t.Error("payload before the verdict")
		}
		g.peer.packet(b)
	}
	w := g.writer(0)
	cfg := g.config()
	cfg.Checksum, cfg.Canary = tcp.ChecksumOffload, true
	var err error
	s, err = g.p.Open(g.now, w, cfg)
	must(t, err)
	tested := func() bool { return s.reached.Load()&isTested != 0 }
	g.until("established", s.Established)
	stood := g.now
	if tested() {
		t.Error("a verdict before the first probe")
	}
	c := newSource(1, w, s, 20_000)
	c.push()
	g.until("tested", tested)
	if took := g.now - stood; took < 200*tcp.Millisecond || took > 400*tcp.Millisecond || poisoned != 6 || s.StatsNow().Canary != tcp.CanaryProved {
		t.Errorf("after %d ms, %d poisoned: %v", took/tcp.Millisecond, poisoned, s.StatsNow().Canary)
	}
	if err := s.WaitCanary(t.Context()); err != nil {
		t.Error(err)
	}
	g.transfer(c)
	plain := g.open(w)
	if err := plain.WaitCanary(t.Context()); err != nil {
		t.Error(err)
	}
	g.finish()
}
