package dataplane

import (
	"errors"
	"testing"

	"github.com/xsend/xsend/tcp"
)

// countedPort counts how often it is closed, and says what the test wants.
type countedPort struct {
	*memPort
	closes int
	err    error
}

func (p *countedPort) Close() error {
	p.closes++
	return p.err
}

var errClose = errors.New("the socket would not close")

// TestCloseWithoutShutdown: everything that is open is aborted, the port is closed once
// however often Close is called, its error is told, and the counters are exact.
func TestCloseWithoutShutdown(t *testing.T) {
	for _, out := range []int{0, 1, 3} {
		port := &countedPort{err: errClose}
		g := newRig(t, 64, func(c *Config) {
			port.memPort = c.Port.(*memPort)
			c.Port = port
		})
		w := g.writer(0)
		c := newSource(1, w, g.open(w), 1<<16)
		g.idle()
		g.port.hold = true
		g.commits(c, out)
		g.pass()
		if _, ok := w.Reserve(c.s); !ok { // in the writer's hands
			t.Fatal("no frame")
		}
		rem, err := g.p.Close()
		if !errors.Is(err, errClose) || port.closes != 1 {
			t.Errorf("%d out: %v, closed %d times", out, err, port.closes)
		}
		if cs := rem.Census; rem.Leaked != 0 || cs.Total != g.pool.Len() || cs.Writer != 0 || cs.Free != cs.Total-cs.Fill-cs.Quarantined {
			t.Errorf("%d out: leaked %d of %+v", out, rem.Leaked, cs)
		}
		// The frames of the fill ring are in quarantine too, where something is out: they
		// come back the same way.
		if out == 0 && rem.Census.Fill != rigRx || out > 0 && rem.Census.Quarantined != rigRx+out {
			t.Errorf("%d out: %+v", out, rem.Census)
		}
		if k := g.p.Counters(); k.Quarantined != uint64(out) || k.Out != 0 || k.Submitted != k.Completed+k.Quarantined {
			t.Errorf("%d out: %+v", out, k)
		}
		if c.s.State() != tcp.Closed {
			t.Errorf("%d out: %v", out, c.s.State())
		}
		if rem, err := g.p.Close(); err != nil || rem.Leaked != 0 || port.closes != 1 {
			t.Errorf("%d out: again: leaked %d, %v, closed %d times", out, rem.Leaked, err, port.closes)
		}
	}
}

// TestDrainedWhen: after Shutdown, once the last RST has left and come back.
func TestDrainedWhen(t *testing.T) {
	port := &fullPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	w := g.writer(0)
	g.open(w)
	g.idle()
	port.full, g.port.hold = true, true
	g.p.Shutdown(g.now)
	for _, at := range []struct {
		what string
		do   func()
		want bool
	}{
		{"no room on the TX ring", func() {}, false},
		{"the RST is out", func() { port.full = false }, false},
		{"it came back", func() { g.port.finish(1) }, true},
		{"a dead queue", func() { g.p.dead = errKick }, false},
		{"dead for good", func() { g.p.failed = ErrQueueDead }, true},
	} {
		at.do()
		g.p.Step(g.now)
		g.now += tcp.Microsecond
		if g.p.Drained() != at.want {
			t.Errorf("%s: drained %v", at.what, !at.want)
		}
	}
	g.p.dead, g.p.failed = nil, nil
	g.p.Notify(true)
	g.finish()
}

// TestTimeWaitIsForgotten: Shutdown leaves a connection that both sides closed as it is.
func TestTimeWaitIsForgotten(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1000)
	g.transfer(c)
	g.until("time-wait", func() bool { return c.s.State() == tcp.TimeWait })
	g.p.Shutdown(g.now)
	if st := c.s.conn.State(); st != tcp.TimeWait || c.s.Err() != nil {
		t.Errorf("%v, %v", st, c.s.Err())
	}
	g.finish()
}

// TestReceivedIsNotLeaked: a frame that was received and is being parsed is accounted for.
func TestReceivedIsNotLeaked(t *testing.T) {
	g := newRig(t, 64, nil)
	g.port.kfill.Peek(1)
	g.pool.Received(g.port.kfill.Take())
	rem, err := g.p.Close()
	if err != nil || rem.Leaked != 0 || rem.Census.RX != 1 {
		t.Errorf("%v, %+v", err, rem)
	}
}

// TestCloseAfterRebuild: what was released when the queue was opened again, and not
// published yet, is taken back too.
func TestCloseAfterRebuild(t *testing.T) {
	g, c, _ := oneOut(t, nil)
	for _, d := range g.port.held {
		g.peer.packet(g.region.Memory()[d.Addr : d.Addr+uint64(d.Len)])
	}
	g.now += tcp.Microsecond
	g.pass()
	next := newMemPort(g.region, rigRing)
	g.p.reopen = func(int) (Port, error) { return next, nil }
	g.p.dead = errKick
	must(t, g.p.Rebuild(g.now))
	if n := c.w.releases.Peek(9); n != 0 {
		t.Fatalf("%d releases are published already: the test tests nothing", n)
	}
	rem, err := g.p.Close()
	if err != nil || rem.Leaked != 0 || rem.Census.Writer != 0 {
		t.Errorf("%v, %+v", err, rem)
	}
}
