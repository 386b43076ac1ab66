package dataplane

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// start is a rig with a source that has sent some of what it has to.
func start(t *testing.T, edit func(*Config)) (*rig, *source) {
	t.Helper()
	g := newRig(t, 128, edit)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<20)
	c.scribble = true
	g.until("some is ACKed", func() bool {
		drain(t, w, c)
		c.push()
		return c.released > 100000
	})
	return g, c
}

// reopen gives the rig's poller a new port, after n attempts that fail.
func (g *rig) reopen(n *int) func(int) (Port, error) {
	return func(int) (Port, error) {
		if !g.port.closed {
			g.Fatal("opened again before the old port was closed")
		}
		if *n > 0 {
			*n--
			return nil, errors.New("device or resource busy")
		}
		g.port = newMemPort(g.region, rigRing)
		g.port.wire = g.peer.packet
		return g.port, nil
	}
}

// goOn steps, rebuilds what died, and moves the source, until it is done.
func (g *rig) goOn(c *source) {
	g.Helper()
	g.until("done", func() bool {
		if g.p.Dead() != nil {
			_ = g.p.Rebuild(g.now)
		}
		drain(g, c.w, c)
		c.push()
		return c.s.SendClosed() && len(c.pending) == 0
	})
}

// TestQueueDies: whatever kills the queue, the transfer goes on over a new one from
// the frames that were kept, and the books close.
func TestQueueDies(t *testing.T) {
	for name, kill := range map[string]func(*memPort){
		"completions cease": func(m *memPort) { m.hold = true },
		"kick is refused":   func(m *memPort) { m.answer = func() Kick { return KickDead } },
		"ring index broken": func(m *memPort) { m.corrupt = true },
	} {
		t.Run(name, func(t *testing.T) {
			fails := 3
			g, c := start(t, nil)
			g.p.reopen = g.reopen(&fails)
			kill(g.port)
			died := g.now
			g.until("dead", func() bool { c.push(); return g.p.Dead() != nil })
			if d := g.now - died; name == "completions cease" && (d < tcp.Second || d > 3*tcp.Second) {
				t.Fatalf("the watchdog took %d ms", d/tcp.Millisecond)
			}
			held := g.pool
			if name == "completions cease" {
				_ = g.p.Rebuild(g.now)
				if census, _ := held.Audit(); census.Quarantined == 0 {
					t.Fatalf("nothing in quarantine: %+v", census)
				}
			}
			g.until("opened again", func() bool { return g.p.Rebuild(g.now) == nil })
			if g.p.ready.len() == 0 {
				t.Fatal("what waited for a completion would wait for a timeout")
			}
			g.goOn(c)
			k := g.p.CountersNow()
			if k.Rebuilds != 1 || k.RebuildTry != 4 || name == "completions cease" && k.Quarantined == 0 {
				t.Fatalf("%+v", k)
			}
			if got := g.peer.flows[c.s.flow]; string(got.stream) != string(c.bytes) {
				t.Fatal("the peer got something else")
			}
			g.finish()
		})
	}
}

// TestQueueDeadForGood: the streams end with the cause, and every commit is answered.
func TestQueueDeadForGood(t *testing.T) {
	for name, reopen := range map[string]func(int) (Port, error){
		"no way":     nil,
		"no success": func(int) (Port, error) { return nil, errors.New("no such device") },
		"no use":     func(int) (Port, error) { return nil, fmt.Errorf("%w: it was removed", ErrNoReopen) },
	} {
		t.Run(name, func(t *testing.T) {
			g, c := start(t, func(cfg *Config) { cfg.Reopen = reopen })
			var late Buf
			g.until("a frame is there", func() (ok bool) { drain(t, c.w, c); late, ok = c.w.Reserve(c.s); return ok })
			g.port.hold = true
			g.until("failed", func() bool {
				if g.p.Dead() != nil {
					_ = g.p.Rebuild(g.now)
				}
				drain(t, c.w, c)
				c.push()
				return c.s.Home()
			})
			drain(t, c.w, c)
			c.commit(late)
			g.until("what is committed too late is answered", func() bool { drain(t, c.w, c); return len(c.pending) == 0 })
			if r := c.log[len(c.log)-1]; r.Reason != Aborted || r.Frame != late.Frame {
				t.Fatalf("a commit after the end: %+v", r)
			}
			if err := c.s.Err(); !errors.Is(err, ErrQueueDead) || reopen != nil && err.Error() == ErrQueueDead.Error() {
				t.Fatalf("err %v", err)
			}
			if n := g.p.CountersNow().RebuildTry; errors.Is(c.s.Err(), ErrNoReopen) && n > 1 {
				t.Fatalf("%d attempts where none was of use", n)
			}
			lost := 0
			for _, r := range c.log {
				if r.Reason == Quarantined {
					lost++
					if r.Frame != umem.NoFrame {
						t.Fatal("a frame in quarantine was handed back")
					}
				}
			}
			if lost == 0 || len(c.pending) != 0 {
				t.Fatalf("%d written off, %d commits without an answer", lost, len(c.pending))
			}
			if _, err := g.p.Open(g.now, c.w, g.config()); !errors.Is(err, ErrQueueDead) {
				t.Fatalf("open: %v", err)
			}
			if census, err := g.pool.Audit(); err != nil || census.Quarantined < lost {
				t.Fatalf("%v %+v", err, census)
			}
			rem, err := g.p.Close()
			must(t, err)
			if rem.Leaked != 0 {
				t.Fatalf("leaked %d", rem.Leaked)
			}
		})
	}
}

// TestInterfaceDown: ENETDOWN for five seconds pauses, kills nothing, and is not
// kicked at every pass.
func TestInterfaceDown(t *testing.T) {
	g, c := start(t, nil)
	up := g.now + 5*tcp.Second
	g.port.answer = func() Kick {
		if g.now < up {
			return KickDown
		}
		return KickOK
	}
	g.goOn(c)
	k := g.p.CountersNow()
	if k.Rebuilds+k.RebuildTry != 0 || k.Kicks[KickDown] < 10 || k.Kicks[KickDown] > 600 {
		t.Fatalf("%+v", k)
	}
	g.finish()
}

// TestNoCarrier: completions cease, but the link is known to be down.
func TestNoCarrier(t *testing.T) {
	g, c := start(t, nil)
	g.p.SetLink(false)
	g.port.hold = true
	end := g.now + 5*tcp.Second
	for g.now < end {
		c.push()
		g.step()
	}
	if g.p.Dead() != nil || g.p.Out() == 0 {
		t.Fatalf("dead: %v, out %d", g.p.Dead(), g.p.Out())
	}
	g.p.SetLink(true)
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.goOn(c)
	g.finish()
}

// TestSleptTooLong: a poller that nobody called for a minute does not take its own
// absence for a dead queue.
func TestSleptTooLong(t *testing.T) {
	g, c := start(t, nil)
	g.port.hold = true
	c.push()
	g.step()
	g.now += 60 * tcp.Second
	g.p.Step(g.now)
	if g.p.Dead() != nil {
		t.Fatal(g.p.Dead())
	}
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.goOn(c)
	g.finish()
}

// TestKernelLies: completions that are spurious or out of range, RX descriptors that
// make no sense, packets that are none: counted, never believed.
func TestKernelLies(t *testing.T) {
	g, c := start(t, nil)
	idle := g.region.Addr(umem.Frame(g.pool.Len() - 1))
	n := uint64(0)
	g.until("done", func() bool {
		if n < 20 {
			n++
			g.port.complete(1 << 30)
			g.port.complete(^uint64(0))
			if g.pool.InKernel(umem.Frame(g.pool.Len()-1)) == 0 {
				g.port.complete(idle)
			}
			g.port.krx.Put(umem.Desc{Addr: 1 << 40, Len: 60})
			g.port.krx.Submit()
			g.port.deliver(make([]byte, 13))
			g.port.deliver(make([]byte, 60))
		}
		drain(t, c.w, c)
		c.push()
		return c.s.SendClosed() && len(c.pending) == 0
	})
	g.step()
	k := g.p.CountersNow()
	if k.OutOfRange != 2*n || k.Spurious == 0 || k.RxFault != n || k.RxBad != n || k.RxOther != n {
		t.Fatalf("%+v", k)
	}
	g.finish()
}

// TestRxTooLong: a descriptor that leaves its frame is not read.
func TestRxTooLong(t *testing.T) {
	g := newRig(t, 64, nil)
	g.port.kfill.Peek(1)
	a := g.port.kfill.Take()
	g.port.kfill.Release()
	g.port.krx.Put(umem.Desc{Addr: a + 256, Len: 2048})
	g.port.krx.Submit()
	g.step()
	if k := g.p.CountersNow(); k.RxFault != 1 {
		t.Fatalf("%+v", k)
	}
	g.finish()
}
