package dataplane

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// inLayouts runs a test over packets of one descriptor, and of several.
func inLayouts(t *testing.T, test func(t *testing.T)) {
	before := testSegs
	defer func() { testSegs = before }()
	for name, segs := range map[string]int{"linear": 0, "scattered": 18} {
		testSegs = segs
		t.Run(name, test)
	}
}

// auditedRig is a rig with an audit, and a stream that has committed three frames of which nothing was sent.
func auditedRig(t *testing.T, mode ReleaseMode) (*rig, *source, *PayloadAudit, []Buf) {
	t.Helper()
	a := new(PayloadAudit)
	g := newRig(t, 64, func(c *Config) { c.Audit, c.Release = a, mode })
	g.rto = 10 * tcp.Millisecond
	g.port.wire = func(b []byte) {
		if binary.BigEndian.Uint16(b[12:]) != nobodys { // which the peer's stack throws away
			g.peer.packet(b)
		}
	}
	w := g.writer(0)
	c := newSource(3, w, g.open(w), 1<<16)
	g.idle()
	var bufs []Buf
	for range 3 {
		b, ok := w.Reserve(c.s)
		if !ok {
			t.Fatal("no frame")
		}
		c.commit(b)
		bufs = append(bufs, b)
	}
	c.bytes = c.bytes[:c.at]
	return g, c, a, bufs
}

// misbehave is a writer that writes to a frame which it has committed: byte k of b.
func misbehave(b Buf, k int) (was, is byte) {
	was = b.Bytes[k]
	b.Bytes[k] ^= 0x5a
	return was, b.Bytes[k]
}

// found wants one difference, and the stream ended by it.
func (g *rig) found(c *source, a *PayloadAudit, want Changed) {
	g.Helper()
	got := a.Report().First
	if got == nil {
		g.Fatal("nothing was found")
	}
	want.Local, want.Remote = c.s.flow.LocalAddr(), c.s.flow.RemoteAddr()
	want.Compared = got.Compared
	if *got != want {
		g.Errorf("found %+v\nwant  %+v", *got, want)
	}
	g.until("ended", c.s.Ended)
	var err *Changed
	if !errors.As(c.s.Err(), &err) || !errors.Is(c.s.Err(), ErrChanged) || err != got {
		g.Errorf("the stream ended with %v", c.s.Err())
	}
	if text := got.Error(); !strings.Contains(text, want.Remote.String()) || !strings.Contains(text, "frame") {
		g.Error(text)
	}
	if _, err := g.p.Open(g.now, c.w, g.config()); !errors.Is(err, ErrChanged) {
		g.Errorf("another stream: %v", err)
	}
	g.until("reset", func() bool { return g.peer.flows[c.s.flow].reset })
	for i, b := range g.peer.flows[c.s.flow].stream {
		if b != c.bytes[i] {
			g.Fatalf("the peer got a wrong byte at %d", i)
		}
	}
	g.until("released", func() bool { drain(g, c.w, c); return len(c.pending) == 0 })
	g.finish()
}

// at is what is to be found of byte k of the second frame.
func at(g *rig, b Buf, k int, when Moment, was, is byte) Changed {
	return Changed{
		Frame: b.Frame, Offset: g.p.payloadAt + k, Position: uint64(len(b.Bytes) + k), When: when, Was: was, Is: is, Known: true, Bytes: 1,
	}
}

// Whenever a writer touches what it does not hold, the audit names the byte, and the peer does not get it.
func TestAuditNamesTheByte(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		for _, k := range []int{0, 1, 777, 1459} {
			t.Run("before the first transmission", func(t *testing.T) {
				g, c, a, bufs := auditedRig(t, ReleaseAck)
				was, is := misbehave(bufs[1], k)
				g.until("found", func() bool { return a.Report().First != nil })
				g.found(c, a, at(g, bufs[1], k, AtFirst, was, is))
			})
			t.Run("between transmissions", func(t *testing.T) {
				g, c, a, bufs := auditedRig(t, ReleaseAck)
				g.peer.drop = func(seg *wire.Segment) bool { return seg.PayloadLen > 0 }
				g.until("sent", func() bool { return c.s.conn.Stats().BytesSent == uint64(c.at) && g.p.Out() == 0 })
				was, is := misbehave(bufs[1], k)
				g.peer.drop = nil
				g.until("found", func() bool { return a.Report().First != nil })
				g.found(c, a, at(g, bufs[1], k, AtAgain, was, is))
			})
			t.Run("before the release", func(t *testing.T) {
				g, c, a, bufs := auditedRig(t, ReleaseAck)
				g.port.hold, g.peer.mute = true, true
				g.settled(c)
				g.ackAll(c)
				if g.settled(c) > 0 {
					t.Fatal("released although the kernel holds it")
				}
				was, is := misbehave(bufs[1], k)
				g.port.hold, g.peer.mute = false, false
				g.complete()
				g.port.noWire = false
				g.until("found", func() bool { drain(g, c.w, c); return a.Report().First != nil })
				g.found(c, a, at(g, bufs[1], k, AtRelease, was, is))
			})
		}
	})
}

// Without an audit the same writer spoils what the peer gets, and nobody says so.
func TestAuditControl(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		g := newRig(t, 64, nil)
		w := g.writer(0)
		c := newSource(3, w, g.open(w), 1000)
		g.idle()
		b, _ := w.Reserve(c.s)
		c.commit(b)
		misbehave(b, 500)
		g.until("released", func() bool { drain(g, w, c); return len(c.pending) == 0 })
		if got := g.peer.flows[c.s.flow].stream; len(got) != 1000 || got[500] == c.bytes[500] || c.s.Ended() {
			t.Errorf("%d bytes, ended %v", len(got), c.s.Ended())
		}
		g.finish()
	})
}

// A writer that keeps to its contract has no difference, whatever is lost, sent again and cut.
func TestAuditOfAGoodWriter(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		a := new(PayloadAudit)
		g := newRig(t, 64, func(c *Config) { c.Audit = a })
		w := g.writer(0)
		c := newSource(5, w, g.open(w), 1<<20)
		c.scribble = true
		n := 0
		g.peer.drop = func(seg *wire.Segment) bool {
			if n++; n == 200 {
				g.p.SetMTU(g.now, c.s, 1000) // cuts what is queued
			}
			return seg.PayloadLen > 0 && n%11 == 0
		}
		g.transfer(c)
		g.finish()
		k, r := g.p.CountersNow(), a.Report()
		if r.First != nil || r.Commits != k.Commits || r.Releases != k.Releases || r.Transmissions <= r.Commits || r.Bytes <= 2<<20 {
			t.Errorf("%+v of %d commits: %v", r, k.Commits, r.First)
		}
		if st := c.s.conn.Stats(); st.Retransmits == 0 || testSegs == 0 && st.Splits == 0 {
			t.Errorf("nothing was sent again, or cut: %+v", st)
		}
	})
}

// A writer that believes a wrong mode is found by the next transmission: where it rewrote the frame, with the byte; where it
// committed it anew, with what there is.
func TestAuditOfAWrongMode(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		for _, anew := range []bool{false, true} {
			g, c, a, bufs := auditedRig(t, ReleaseCompletion)
			g.peer.drop = func(seg *wire.Segment) bool { return seg.PayloadLen > 0 }
			g.until("handed back", func() bool {
				var out [1]Release
				return c.w.Releases(out[:]) == 1
			})
			want := Changed{Frame: bufs[0].Frame, Offset: g.p.payloadAt, When: AtAgain, Was: c.bytes[0], Known: !anew, Bytes: 1}
			if anew {
				b, ok := c.w.Reserve(c.s)
				if !ok || b.Frame != bufs[0].Frame {
					t.Fatalf("frame %d, want %d", b.Frame, bufs[0].Frame)
				}
				for i := range b.Bytes {
					b.Bytes[i] = 0xee
				}
				c.w.Commit(c.s, b, len(b.Bytes), 99)
				want.Is, want.Was = 0xee, 0
			} else {
				_, want.Is = misbehave(bufs[0], 0)
			}
			g.until("found", func() bool { return a.Report().First != nil })
			got := a.Report().First
			want.Local, want.Remote, want.Compared = c.s.flow.LocalAddr(), c.s.flow.RemoteAddr(), got.Compared
			if anew {
				want.Bytes = got.Compared
			}
			if *got != want {
				t.Errorf("anew %v: %+v\nwant %+v", anew, *got, want)
			}
		}
	})
}

// A writer may commit a frame anew, in a wrong mode, while the poller is about to send the old bytes from it: before it has heard of the
// new commit it still knows what was to be there.
func TestAuditOfACommitUnderWay(t *testing.T) {
	inLayouts(t, func(t *testing.T) {
		g, c, a, bufs := auditedRig(t, ReleaseCompletion)
		g.peer.drop = func(seg *wire.Segment) bool { return seg.PayloadLen > 0 }
		g.until("handed back", func() bool {
			var out [1]Release
			return c.w.Releases(out[:]) == 1
		})
		b, _ := c.w.Reserve(c.s)
		if b.Frame != bufs[0].Frame {
			t.Fatalf("frame %d, want %d", b.Frame, bufs[0].Frame)
		}
		g.now = c.s.conn.Deadline()
		g.p.expire(g.now)
		was := c.bytes[0]
		b.Bytes[0] = was ^ 1
		c.w.Commit(c.s, b, len(b.Bytes), 99)
		for end := g.now + tcp.Second; a.Report().First == nil && g.now < end; g.now += tcp.Millisecond {
			g.p.reap(g.now)
			g.p.expire(g.now)
			g.p.transmit(g.now)
		}
		if f := a.Report().First; f == nil || !f.Known || f.Was != was || f.Is != was^1 || f.Position != 0 || f.When != AtAgain {
			t.Errorf("%+v", f)
		}
	})
}

// One poller's difference ends the streams of every other poller with the same audit.
func TestAuditEndsAll(t *testing.T) {
	g, c, a, bufs := auditedRig(t, ReleaseAck)
	other := newRig(t, 64, func(c *Config) { c.Audit = a })
	w := other.writer(0)
	s := other.open(w)
	misbehave(bufs[2], 9)
	g.until("ended", c.s.Ended)
	other.until("ended", s.Ended)
	if !errors.Is(s.Err(), ErrChanged) || !errors.Is(c.s.Err(), ErrChanged) {
		t.Errorf("%v, %v", s.Err(), c.s.Err())
	}
}

// auditQuick puts an audit into a rig whose streams have committed nothing.
func auditQuick(g *rig) *PayloadAudit {
	a := new(PayloadAudit)
	g.p.sums = newSums(&Config{Audit: a, Pool: g.pool}, g.p.payloadAt)
	return a
}

func TestAuditAllocatesNothing(t *testing.T) {
	g, w, s := quickRig(t, 512)
	a := auditQuick(g)
	var out [256]Release
	for range 300 {
		round(g, w, s, out[:])
	}
	if n := testing.AllocsPerRun(200, func() { round(g, w, s, out[:]) }); n != 0 {
		t.Fatalf("%v allocations in a round", n)
	}
	g.p.publish()
	if r := a.Report(); r.Commits < 5000 || r.First != nil {
		t.Fatalf("%+v", r)
	}
}

// BenchmarkSegmentAudited is BenchmarkSegment with an audit.
func BenchmarkSegmentAudited(b *testing.B) {
	g, w, s := quickRig(b, 512)
	auditQuick(g)
	var out [256]Release
	for range 1000 {
		round(g, w, s, out[:])
	}
	b.SetBytes(1460)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += round(g, w, s, out[:])
	}
}
