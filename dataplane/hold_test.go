package dataplane

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

const holdTime = 300 * tcp.Millisecond

// heldRig is a rig with an arena.
func heldRig(t testing.TB, frames, arena int) *rig {
	t.Helper()
	a, err := umem.MapArena(arena)
	must(t, err)
	t.Cleanup(func() { _ = a.Close() })
	g := newRig(t, frames, func(c *Config) { c.Arena = a })
	g.rto = tcp.Second // nothing is sent again before the demotion
	return g
}

// openHeld is open with limits.
func (g *rig) openHeld(w *Writer, hold tcp.Hold) *Stream {
	g.Helper()
	cfg := g.config()
	cfg.Hold, cfg.Resum = hold, false
	s, err := g.p.Open(g.now, w, cfg)
	must(g, err)
	g.until("established", s.Established)
	return s
}

// standStill lets the peer read nothing more, and c write until it is demoted and all of its frames are back.
func (g *rig) standStill(c *source) {
	g.Helper()
	g.peer.flows[c.s.flow].window = 0
	g.until("demoted", func() bool {
		drain(g, c.w, c)
		c.push()
		return c.s.hold.stopped && len(c.pending) == 0
	})
}

// A stopped peer: each commit has one release, as demoted; its stream gets no frame until the peer goes on, and then the
// frames that it is due; what arrives is what was written.
func TestDemotion(t *testing.T) {
	g := heldRig(t, 256, 1<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime}), 1<<20)
	c.scribble = true
	begin := g.now
	g.standStill(c)
	if late := g.now - begin - holdTime; late > tcp.Millisecond {
		t.Errorf("the last frame was back %d us behind the limit", late/tcp.Microsecond)
	}
	k := g.p.CountersNow()
	for _, r := range c.log {
		if r.Reason != Demoted || r.Acked != 0 || r.Early {
			t.Fatalf("release %+v", r)
		}
	}
	if _, ok := w.Reserve(c.s); ok || c.s.Budget() != 0 || c.s.Acked() != 0 {
		t.Errorf("a stopped stream has a budget of %d, %d bytes ACKed", c.s.Budget(), c.s.Acked())
	}
	if k.Demotions != 1 || k.BytesDemoted != k.BytesWritten || k.ArenaCopied != k.BytesWritten || k.ArenaUsed == 0 || k.Aborts != 0 {
		t.Errorf("%+v", k)
	}
	g.peer.flows[c.s.flow].window = peerWindow
	g.transfer(c)
	k = g.p.CountersNow()
	if k.BytesReleased+k.BytesDemoted != 1<<20 || k.ArenaAcked != k.ArenaCopied || k.ArenaUsed != 0 || k.ArenaPeak == 0 || c.s.Acked() != 1<<20 {
		t.Errorf("%+v, %d ACKed", k, c.s.Acked())
	}
	if b := c.s.conn.Stats().BytesDemoted; b == 0 || k.BytesDemoted == 1<<20 {
		t.Errorf("%d bytes demoted, %d released as such", b, k.BytesDemoted)
	}
	g.finish()
}

// A flush, and a mark, wait for the ACK of what was demoted: its release is not that. Where the connection ends instead,
// both say so.
func TestFlushOfAStoppedStream(t *testing.T) {
	for _, ends := range []bool{false, true} {
		g := heldRig(t, 256, 1<<20)
		w := g.writer(0)
		p := w.Pipe(g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime}))
		g.peer.flows[p.stream.flow].window = 0
		_, err := p.Write(letters(3000))
		must(t, err)
		m := p.Mark()
		g.until("demoted", func() bool { w.Poll(); return p.stream.hold.stopped && p.Outstanding() == 0 })
		if err := p.Flush(over); !errors.Is(err, context.Canceled) || reached(m) {
			t.Fatalf("released, and not ACKed: flush %v, mark reached %v", err, reached(m))
		}
		if ends {
			g.p.Abort(g.now, p.stream)
		}
		g.peer.flows[p.stream.flow].window = peerWindow
		g.until("over", func() bool { w.Poll(); return reached(m) })
		if err := p.Flush(over); ends != errors.Is(err, tcp.ErrAborted) || ends != errors.Is(m.Err(), tcp.ErrAborted) || !ends && (err != nil || m.Err() != nil) {
			t.Errorf("ends %v: flush %v, mark %v, %d ACKed", ends, err, m.Err(), p.stream.Acked())
		}
		if !ends {
			w.CloseWrite(p.stream)
		}
		g.finish()
	}
}

// Frames that were lent for a stream, and that its writer had no bytes for yet, go back too when its peer stands still.
func TestLentFramesOfAStoppedStream(t *testing.T) {
	g := heldRig(t, 256, 1<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime}), 3*1448)
	g.peer.flows[c.s.flow].window = 0
	g.until("lent", func() bool {
		for c.at < len(c.bytes) {
			b, ok := w.Reserve(c.s)
			if !ok {
				return false
			}
			c.commit(b)
		}
		return g.p.lanes[0].lent > 50
	})
	g.until("demoted", func() bool { drain(g, w, c); return c.s.hold.stopped && len(c.pending) == 0 })
	g.step()
	if l := g.p.lanes[0]; l.owned != 0 || l.room != 0 {
		t.Errorf("the writer of a stopped stream has %d frames", l.owned)
	}
	g.peer.flows[c.s.flow].window = peerWindow
	g.transfer(c)
	g.finish()
}

// A frame that the kernel has is the writer's only when that has let go of it, demoted or not.
func TestDemotedFrameWaitsForTheKernel(t *testing.T) {
	g := heldRig(t, 64, 1<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime}), 3*1448)
	g.peer.mute = true
	g.port.hold = true
	end := g.now + holdTime
	g.until("demoted", func() bool {
		drain(g, w, c)
		c.push()
		return c.s.hold.stopped && !c.s.conn.Demoting()
	})
	if g.now < end || len(c.log) != 0 || c.s.committed != 3 {
		t.Fatalf("%d releases while the kernel holds the frames", len(c.log))
	}
	g.complete()
	g.port.hold, g.port.noWire = false, false
	g.until("released", func() bool { drain(g, w, c); return len(c.pending) == 0 })
	for _, r := range c.log {
		if r.Reason != Demoted || r.Completed < end {
			t.Errorf("%+v", r)
		}
	}
	g.peer.mute = false
	g.transfer(c)
	g.finish()
}

// A Step moves a slice, however much there is to demote, and the others have their turn.
func TestDemotionInSlices(t *testing.T) {
	g := heldRig(t, 2048, 8<<20)
	w := g.writer(0)
	const each = 1 << 20
	var all []*source
	for i := range 3 {
		all = append(all, newSource(uint64(i), w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime}), each))
	}
	g.peer.mute = true // the windows that it announced stay as wide as they were, and budgets with them
	last, slices := uint64(0), 0
	g.until("demoted", func() bool {
		drain(g, w, all...)
		for _, c := range all {
			c.push()
		}
		n := g.p.CountersNow().ArenaCopied
		if n > last+demoteSlice+2048 {
			t.Fatalf("%d bytes in one Step", n-last)
		}
		if n > last {
			slices++
		}
		last = n
		return all[0].s.hold.stopped && all[1].s.hold.stopped && all[2].s.hold.stopped && len(all[0].pending)+len(all[1].pending)+len(all[2].pending) == 0
	})
	if least := int(last) / (demoteSlice + 2048); slices < least || last < demoteSlice {
		t.Errorf("%d bytes in %d slices", last, slices)
	}
	g.peer.mute = false
	g.transfer(all...)
	g.finish()
}

// The limit in bytes is one of the frames that a stream may have, whatever its peer does.
func TestHoldBytes(t *testing.T) {
	g := heldRig(t, 512, 1<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Bytes: 10 * 1460}), 1<<20)
	most := 0
	g.until("everything", func() bool {
		drain(g, w, c)
		c.push()
		most = max(most, len(c.pending))
		return c.s.SendClosed() && len(c.pending) == 0
	})
	if most != 10 {
		t.Errorf("%d frames were held", most)
	}
	g.finish()
}

// Waiting for the ACK of what was demoted: no release says when it comes.
func TestWaitAcked(t *testing.T) {
	g := heldRig(t, 64, 1<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime, Abort: 30 * tcp.Second}), 40*1460)
	g.standStill(c)
	over, cancel := context.WithCancel(context.Background())
	cancel()
	g.p.Notify(true)
	w.seen = w.seq.Load()
	if err := w.WaitAcked(over, c.s, 1); !errors.Is(err, context.Canceled) {
		t.Fatalf("nothing is ACKed: %v", err)
	}
	g.peer.flows[c.s.flow].window = 3 * 1460
	waited := make(chan error)
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	go func() { waited <- w.WaitAcked(ctx, c.s, 40*1460) }()
	for running := true; running; {
		select {
		case err := <-waited:
			must(t, err)
			running = false
		default:
			g.step()
		}
	}
	if c.s.Acked() != 40*1460 {
		t.Fatalf("it returned with %d bytes ACKed", c.s.Acked())
	}
	c.push()
	g.transfer(c)
	if err := w.WaitAcked(ctx, c.s, 40*1460+1); !errors.Is(err, ErrClosed) {
		g.until("home", c.s.Home)
		if err = w.WaitAcked(ctx, c.s, 40*1460+1); !errors.Is(err, ErrClosed) {
			t.Errorf("a byte that was never written: %v", err)
		}
	}
	g.finish()
}

// A stream that ends by a limit gives back what it has, in frames as aborted, in the arena as given up, and says why.
func TestHoldAbort(t *testing.T) {
	g := heldRig(t, 64, 1<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime, Abort: tcp.Second}), 1<<20)
	g.standStill(c)
	g.until("home", c.s.Home)
	var limit *tcp.HoldError
	if err := w.WaitAcked(context.Background(), c.s, 1); !errors.Is(err, tcp.ErrHoldLimit) || !errors.As(c.s.Err(), &limit) {
		t.Errorf("it ended with %v, %v", c.s.Err(), err)
	}
	if k := g.p.CountersNow(); k.HoldAborts != 1 || k.ArenaAborted != k.ArenaCopied || k.ArenaUsed != 0 || !g.peer.flows[c.s.flow].reset {
		t.Errorf("%+v", k)
	}
	g.finish()
}

// Demotion, and sending from the arena, allocate nothing in a Step.
func TestDemotionAllocatesNothing(t *testing.T) {
	g := heldRig(t, 512, 4<<20)
	w := g.writer(0)
	c := newSource(1, w, g.openHeld(w, tcp.Hold{Policy: tcp.HoldDemote, Time: holdTime}), 1<<20)
	g.p.setBudget(c.s, 400)
	g.peer.flows[c.s.flow].window = 0
	c.push()
	g.now += tcp.Millisecond
	g.p.Step(g.now)
	g.p.Notify(false)
	g.now += holdTime
	demoted := g.p.CountersNow().ArenaCopied
	if n := testing.AllocsPerRun(1, func() { g.p.Step(g.now) }); n != 0 {
		t.Errorf("%v allocations in a Step that demotes", n)
	}
	if demoted == g.p.CountersNow().ArenaCopied {
		t.Error("nothing was demoted")
	}
	g.finish()
}
