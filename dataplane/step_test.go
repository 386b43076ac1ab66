package dataplane

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// pass is one Step at the rig's time, and what belongs behind it.
func (g *rig) pass() int {
	g.Helper()
	work := g.p.Step(g.now)
	g.p.Notify(work == 0)
	g.check()
	return work
}

// idle steps until nothing is left to do.
func (g *rig) idle() {
	g.Helper()
	g.until("idle", func() bool { return g.step() == 0 && g.p.Out() == 0 })
}

// rest is idle until no timer is left either, and no key of one that was stopped.
func (g *rig) rest() {
	g.Helper()
	g.idle()
	for last := tcp.Time(0); g.p.Deadline() != tcp.Never; last = g.now {
		if g.now = g.p.Deadline(); g.now <= last || g.pass() > 0 {
			g.Fatalf("work, or no end, at %d", g.now)
		}
	}
}

// commits commits n full segments of a source.
func (g *rig) commits(c *source, n int) {
	g.Helper()
	for range n {
		b, ok := c.w.Reserve(c.s)
		if !ok {
			g.Fatal("no frame")
		}
		c.commit(b)
	}
}

// TestStepCountsWork: commits, packets sent, completions, packets received and timers,
// each once. A Step that moved nothing says so, and only such a one: upon that the
// poller goes to sleep.
func TestStepCountsWork(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.port.hold = true
	for _, at := range []struct {
		what string
		do   func()
		want int
	}{
		{"nothing", func() {}, 0},
		{"three commits and three packets", func() { g.commits(c, 3) }, 6},
		{"nothing again", func() {}, 0},
		{"a packet that comes back, and the peer's answer", func() { g.port.finish(1) }, 2},
		{"two more", func() { g.port.finish(2) }, 4},
		{"a completion of nothing", func() { g.port.complete(1 << 40) }, 1},
		{"a packet of nobody", func() { g.port.deliver(make([]byte, 60)) }, 1},
		{"a close", func() { w.CloseWrite(c.s) }, 2},
	} {
		at.do()
		if n := g.pass(); n != at.want {
			t.Errorf("%s: work of %d, want %d", at.what, n, at.want)
		}
		drain(t, w, c)
		g.now += tcp.Microsecond
	}
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.finish()
}

// TestTimerIsOnTime: a timer expires at its deadline and not before, its Step counts it
// as work, and whoever asks when to come back is not told an earlier time twice.
func TestTimerIsOnTime(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	idle, c := g.open(w), newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.port.noWire = true
	g.commits(c, 1)
	for g.pass() > 0 {
		g.now += tcp.Microsecond
	}
	due := c.s.conn.Deadline()
	if idle.conn.Deadline() != tcp.Never || due >= tcp.Never || g.p.deadlines.next() > due {
		t.Fatalf("deadlines of the streams: %d and %d, of the heap: %d", idle.conn.Deadline(), due, g.p.deadlines.next())
	}
	for at := g.p.Deadline(); at < due; at = g.p.Deadline() {
		if at <= g.now {
			t.Fatalf("told to come at %d, and it is %d", at, g.now)
		}
		g.now = at
		if n := g.pass(); n != 0 {
			t.Fatalf("work of %d, %d µs before the deadline", n, (due-at)/tcp.Microsecond)
		}
	}
	if at := g.p.Deadline(); at != due {
		t.Fatalf("told to come at %d, the timer is due at %d", at, due)
	}
	before := g.p.CountersNow().Submitted
	g.now = due
	n := g.pass()
	if sent := int(g.p.CountersNow().Submitted - before); sent == 0 || n != 1+sent {
		t.Errorf("work of %d, sent %d and a timer", n, sent)
	}
	g.port.noWire = false
	g.finish()
}

// TestGivenUpInTheSameStep: a connection that gives up answers its commits in the Step
// that ended it; those that waited for room in it, too.
func TestGivenUpInTheSameStep(t *testing.T) {
	for name, end := range map[string]func(*rig, *source){
		"user timeout": func(g *rig, c *source) { g.now = c.s.conn.Deadline() },
		"reset":        func(g *rig, c *source) { r := g.peer.flows[c.s.flow]; g.peer.reply(r, r.sndNext, wire.FlagRST, nil) },
	} {
		t.Run(name, func(t *testing.T) {
			g := newRig(t, 64, nil)
			w := g.writer(0)
			cfg := g.config()
			cfg.SendSlots, cfg.UserTimeout = 12, 10*tcp.Second
			s, err := g.p.Open(g.now, w, cfg)
			must(t, err)
			g.until("established", s.Established)
			c := newSource(1, w, s, 30000)
			g.port.noWire = true
			g.commits(c, 18)
			end0 := g.now + 9*tcp.Second
			for g.now < end0 {
				g.step()
			}
			if p := g.p.CountersNow().Parked; p != 14 {
				t.Fatalf("%d commits wait, want 14: 12 slots less 8 of our own", p)
			}
			for !s.Ended() {
				drain(t, w, c)
				if len(c.log) > 0 {
					t.Fatal("released before the end")
				}
				end(g, c)
				g.p.Step(g.now)
			}
			drain(t, w, c)
			if len(c.pending) != 0 {
				t.Errorf("%d of 18 commits without an answer", len(c.pending))
			}
			for _, r := range c.log {
				if r.Reason != Aborted {
					t.Errorf("%+v", r)
				}
			}
			g.p.Notify(true)
			g.port.noWire = false
			g.finish()
		})
	}
}

// TestTimeWaitWhileNothingIsSent: what moves a deadline forward moves it in the heap too,
// although the stream gets no turn.
func TestTimeWaitWhileNothingIsSent(t *testing.T) {
	port := &fullPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	w := g.writer(0)
	s := g.open(w)
	g.until("no FIN of the peer", func() bool { return g.peer.flows[s.flow] != nil })
	g.peer.drop = func(seg *wire.Segment) bool { return seg.Flags&wire.FlagFIN != 0 }
	w.CloseWrite(s)
	g.until("our FIN is sent", func() bool { return s.State() == tcp.FinWait1 && g.p.Out() == 0 })
	r := g.peer.flows[s.flow]
	r.next++
	g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
	g.until("ACKed", func() bool { return s.State() == tcp.FinWait2 })
	g.rest()
	port.full = true
	g.peer.reply(r, r.sndNext, wire.FlagACK|wire.FlagFIN, nil)
	g.pass()
	if next, due := g.p.deadlines.next(), s.conn.Deadline(); s.State() != tcp.TimeWait || next > due || due >= tcp.Never {
		t.Errorf("%v ends at %d, the heap says %d", s.State(), due, next)
	}
	port.full = false
	g.peer.drop = nil
	g.finish()
}

// TestHeapOrder: after any change no stream is due before the one above it.
func TestHeapOrder(t *testing.T) {
	g := newRig(t, 64, nil)
	var d deadlines
	d.init(31)
	pick := randomBytes(9, 4000)
	for i, s := range bareStreams(g, 31) {
		s.due = tcp.Time(pick[i])
		d.add(s)
	}
	for i := 0; i+1 < len(pick); i += 2 {
		s := d.heap[int(pick[i])%len(d.heap)]
		s.due = tcp.Time(pick[i+1])
		d.up(s.heapAt)
		d.down(s.heapAt)
		for at := range d.heap {
			if d.heap[at].due < d.heap[max(0, at-1)/2].due {
				t.Fatalf("after %d changes: place %d is due before its parent", i/2, at)
			}
		}
	}
}

// TestDeadline: when Step must be called next, in each of the states that say so.
func TestDeadline(t *testing.T) {
	port := &fullPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.rest()
	port.full = true
	g.commits(c, 1)
	g.pass()
	if d := g.p.Deadline(); d != g.now+10*tcp.Microsecond {
		t.Errorf("a stream waits for room on the TX ring: in %d ns", d-g.now)
	}
	port.full, g.port.hold = false, true
	g.now += tcp.Microsecond
	g.pass()
	if d := g.p.Deadline(); d != g.now+watchTick || g.p.Out() != 1 {
		t.Errorf("a descriptor is out: in %d ns, %d out", d-g.now, g.p.Out())
	}
	g.port.answer = func() Kick { return KickDown }
	g.commits(c, 1)
	g.pass()
	if d := g.p.Deadline(); d != g.now+downPause {
		t.Errorf("the interface is down: in %d ns", d-g.now)
	}
	g.port.answer, g.port.hold = nil, false
	g.now += downPause
	g.idle()
	port.lazy = true
	g.commits(c, 1)
	for range 3 {
		g.pass()
		if d := g.p.Deadline(); d != g.now+10*tcp.Microsecond || g.port.TxUnsent() != 1 {
			t.Errorf("%d descriptors are on the TX ring: in %d ns", g.port.TxUnsent(), d-g.now)
		}
		g.now = g.p.Deadline()
	}
	port.lazy = false
	g.finish()
}

// TestDeadQueueIsLeftAlone: nothing is submitted, kicked or received on it. Once it is
// dead for good a Step only answers commits, and counts them.
func TestDeadQueueIsLeftAlone(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	var bufs []Buf
	for range 3 {
		b, _ := w.Reserve(c.s)
		bufs = append(bufs, b)
	}
	g.port.corrupt = true
	g.pass()
	if g.p.Dead() == nil {
		t.Fatal("not dead")
	}
	before, kicks := g.p.CountersNow(), g.port.kicks
	c.commit(bufs[0])
	g.port.deliver(make([]byte, 60))
	if n := g.pass(); n != 0 || g.p.CountersNow() != before || g.port.kicks != kicks {
		t.Errorf("work of %d on a dead queue: %+v", n, g.p.CountersNow())
	}
	if err := g.p.Rebuild(g.now); err == nil {
		t.Fatal("opened again without a way to")
	}
	c.commit(bufs[1])
	c.commit(bufs[2])
	if n := g.p.Step(g.now); n != 3 {
		t.Errorf("work of %d, want three commits", n)
	}
	drain(t, w, c)
	if len(c.pending) > 0 {
		t.Errorf("%d commits without an answer", len(c.pending))
	}
	g.p.Notify(false)
	_, err := g.p.Close()
	must(t, err)
}
