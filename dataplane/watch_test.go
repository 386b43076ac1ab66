package dataplane

import (
	"testing"

	"github.com/xsend/xsend/tcp"
)

// TestWatchdogExactly: a queue is dead after a second in which descriptors were out and
// nothing moved, as far as somebody looked: a longer gap between two Steps counts for a
// tenth of a second.
func TestWatchdogExactly(t *testing.T) {
	for name, c := range map[string]struct {
		gap   tcp.Duration
		looks int // Steps until it is dead
	}{
		"every tenth of a second": {100 * tcp.Millisecond, 10},
		"seldom":                  {5 * tcp.Second, 10},
		"often":                   {50 * tcp.Millisecond, 20},
		"just short of a tenth":   {100*tcp.Millisecond - 1, 11},
	} {
		g, _ := still(t)
		n := 0
		for ; g.p.Dead() == nil && n < 100; n++ {
			g.now += c.gap
			g.p.Step(g.now)
		}
		if n != c.looks || g.p.Dead() != errStalled {
			t.Errorf("%s: dead after %d looks, want %d: %v", name, n, c.looks, g.p.Dead())
		}
		_, err := g.p.Close()
		must(t, err)
	}
}

// still is a rig with two descriptors out and a timer that is far away.
func still(t *testing.T) (*rig, *fullPort) {
	t.Helper()
	port := &fullPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	g.rto = 100 * tcp.Second
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.rest()
	g.port.hold = true
	g.commits(c, 2)
	g.pass()
	if g.p.Out() != 2 || g.p.still != 0 {
		t.Fatalf("%d out, still for %d", g.p.Out(), g.p.still)
	}
	return g, port
}

// TestWatchdogIsCalmed by anything that moves, and by what explains that nothing does.
func TestWatchdogIsCalmed(t *testing.T) {
	tick := func(g *rig) {
		g.now += 100 * tcp.Millisecond
		g.p.Step(g.now)
	}
	for name, c := range map[string]struct {
		event func(*rig, *fullPort)
		still tcp.Duration // after it
	}{
		"nothing":                       {func(*rig, *fullPort) {}, 600 * tcp.Millisecond},
		"a completion":                  {func(g *rig, _ *fullPort) { g.port.noWire = true; g.port.finish(1) }, 0},
		"a completion of nothing":       {func(g *rig, _ *fullPort) { g.port.complete(1 << 40) }, 0},
		"the interface is down":         {func(g *rig, _ *fullPort) { g.p.kickAt, g.p.down = tcp.Never, true }, 0},
		"no carrier":                    {func(g *rig, _ *fullPort) { g.p.SetLink(false) }, 0},
		"a carrier":                     {func(g *rig, _ *fullPort) { g.p.SetLink(true) }, 600 * tcp.Millisecond},
		"the kernel takes what is left": {func(g *rig, p *fullPort) { g.p.unsent = 1 }, 0},
		"none is out":                   {func(g *rig, p *fullPort) { g.port.noWire = true; g.port.finish(2) }, 0},
	} {
		g, port := still(t)
		for range 5 {
			tick(g)
		}
		if g.p.still != 500*tcp.Millisecond {
			t.Fatalf("%s: still for %d", name, g.p.still)
		}
		c.event(g, port)
		tick(g)
		if g.p.still != c.still || g.p.Dead() != nil {
			t.Errorf("%s: still for %d ms, dead %v", name, g.p.still/tcp.Millisecond, g.p.Dead())
		}
		_, err := g.p.Close()
		must(t, err)
	}
}

// TestTakenIsCounted: descriptors put on the ring are none that the kernel took.
func TestTakenIsCounted(t *testing.T) {
	g, port := still(t)
	port.lazy = true
	c := newSource(2, g.p.lanes[0].writer, g.p.deadlines.heap[0], 1<<16)
	c.at, c.cookie = 2920, 2
	g.now += 100 * tcp.Millisecond
	g.commits(c, 3)
	g.p.Step(g.now)
	if g.p.unsent != 3 || g.p.still != 100*tcp.Millisecond {
		t.Errorf("%d on the ring, still for %d ms", g.p.unsent, g.p.still/tcp.Millisecond)
	}
	g.now += 100 * tcp.Millisecond
	g.p.Step(g.now)
	if g.p.unsent != 3 || g.p.still != 200*tcp.Millisecond {
		t.Errorf("%d on the ring, still for %d ms", g.p.unsent, g.p.still/tcp.Millisecond)
	}
	port.lazy = false
	g.now += 100 * tcp.Millisecond
	g.p.Step(g.now)
	if g.p.unsent != 0 || g.p.still != 0 {
		t.Errorf("%d on the ring, still for %d ms", g.p.unsent, g.p.still/tcp.Millisecond)
	}
	_, err := g.p.Close()
	must(t, err)
}

// TestCorruptIsTheEnd at once.
func TestCorruptIsTheEnd(t *testing.T) {
	g, _ := still(t)
	g.port.corrupt = true
	g.p.Step(g.now)
	if g.p.Dead() != errCorrupt {
		t.Errorf("dead: %v", g.p.Dead())
	}
	_, err := g.p.Close()
	must(t, err)
}
