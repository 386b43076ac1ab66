package dataplane

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// TestKickWhen: the doorbell is rung for what is new, for what the kernel left on the
// ring, and once after a wait with descriptors out; never for nothing, and not before
// ten milliseconds are over after it said that the interface is down.
func TestKickWhen(t *testing.T) {
	port := &fullPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	down := func() Kick { return KickDown }
	for _, at := range []struct {
		what  string
		after tcp.Duration
		do    func()
		kicks uint64 // in all, KickDown included
		downs uint64
	}{
		{"nothing", 1, func() {}, 0, 0},
		{"a packet", 1, func() { g.port.hold = true; g.commits(c, 1) }, 1, 0},
		{"the kernel has it", 1, func() {}, 0, 0},
		{"after a wait", 1, func() { g.p.kickOwed = true }, 1, 0},
		{"only once", 1, func() {}, 0, 0},
		{"the kernel leaves one", 1, func() { port.lazy = true; g.commits(c, 1) }, 1, 0},
		{"again", 1, func() {}, 1, 0},
		{"it took it", 1, func() { port.lazy = false }, 1, 0},
		{"it has it", 1, func() {}, 0, 0},
		{"down", 1, func() { g.port.answer = down; g.commits(c, 1) }, 1, 1},
		{"right after", 1, func() {}, 0, 0},
		{"just before the pause is over", downPause - 2, func() {}, 0, 0},
		{"after the pause", 1, func() {}, 1, 1},
		{"a new packet in the pause", 5, func() { g.commits(c, 1) }, 0, 0},
		{"up", downPause - 5, func() { g.port.answer = nil }, 1, 0},
		{"and done", 1, func() {}, 0, 0},
	} {
		before := g.p.CountersNow().Kicks
		g.now += at.after
		at.do()
		g.pass()
		kicks := g.p.CountersNow().Kicks
		sum := uint64(0)
		for k := range kicks {
			sum += kicks[k] - before[k]
		}
		if downs := kicks[KickDown] - before[KickDown]; sum != at.kicks || downs != at.downs {
			t.Errorf("%s: rung %d times, %d of them down; want %d and %d", at.what, sum, downs, at.kicks, at.downs)
		}
		if isDown := at.downs > 0; isDown && (g.p.kickAt != g.now+downPause || !g.p.down) {
			t.Errorf("%s: not before %d, down %v", at.what, g.p.kickAt-g.now, g.p.down)
		}
	}
	if g.p.down {
		t.Error("down for ever")
	}
	g.home(c)
}

// TestKickIsRefused: whatever the doorbell says that is no pause and no success is the
// end of the queue, and counted as that.
func TestKickIsRefused(t *testing.T) {
	for _, answer := range []Kick{KickDead, KickDead + 1} {
		g, _, _ := oneOut(t, nil)
		g.p.kickOwed = true
		port := g.port
		g.p.port = answers{port, answer}
		g.pass()
		if k := g.p.CountersNow(); g.p.Dead() == nil || k.Kicks[KickDead] != 1 {
			t.Errorf("%v: dead %v, %+v", answer, g.p.Dead(), k.Kicks)
		}
		g.p.port = port
		_, err := g.p.Close()
		must(t, err)
	}
}

// answers is a port with a doorbell of its own.
type answers struct {
	*memPort
	kick Kick
}

func (a answers) Kick() Kick { return a.kick }

// TestTransmissionsAreTold: how often a commit was sent, when first, when the kernel
// gave the last back, and when it was ACKed.
func TestTransmissionsAreTold(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.rest()
	g.port.hold, g.port.noWire = true, true
	g.commits(c, 1)
	sent := g.now
	g.pass()
	g.now += tcp.Millisecond
	g.port.finish(1)
	g.pass()
	g.until("sent again", func() bool { return g.p.Out() == 1 })
	g.port.noWire = false
	g.now += tcp.Millisecond
	back := g.now
	g.port.finish(1)
	g.pass()
	drain(t, w, c)
	if len(c.log) != 1 {
		t.Fatal("not released")
	}
	if r := c.log[0]; r.Transmissions != 2 || r.Submitted != sent || r.Completed != back || r.Acked != back {
		t.Errorf("%+v; sent at %d, back at %d", r, sent, back)
	}
	g.port.hold = false
	g.finish()
}

// TestPartIsNotAll: with release on completion, a part of a commit that came back, and
// was sent again, is not all of it.
func TestPartIsNotAll(t *testing.T) {
	for mode, want := range map[ReleaseMode][]int{ReleaseCompletion: {0, 0, 1}, ReleaseSubmit: {0, 0, 1}} {
		g := newRig(t, 64, func(c *Config) { c.Release = mode })
		w := g.writer(0)
		c := newSource(1, w, g.open(w), 1<<16)
		g.rest()
		r := g.peer.flows[c.s.flow]
		r.window = 1000
		g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
		g.pass()
		g.peer.mute = true
		g.commits(c, 1)
		released := func(i int, what string) {
			t.Helper()
			drain(t, w, c)
			if len(c.log) != want[i] {
				t.Errorf("%v: %s: %d released", mode, what, len(c.log))
			}
		}
		g.until("a part is out and back", func() bool { return g.p.CountersNow().BytesWritten > 0 && g.p.Out() == 0 })
		before := g.p.CountersNow().Submitted
		released(0, "a part")
		g.until("the part again", func() bool { return g.p.CountersNow().Submitted > before+1 && g.p.Out() == 0 })
		released(1, "the part again")
		g.peer.mute = false
		r.window = peerWindow
		g.until("all", func() bool { drain(t, w, c); return len(c.pending) == 0 })
		released(2, "all")
		g.finish()
	}
}

// TestTurnsAreShort: a stream sends its quota and makes room for the next, and a round
// ends with the batch.
func TestTurnsAreShort(t *testing.T) {
	g := newRig(t, 600, nil)
	w := g.writer(0)
	var all []*source
	for i := range 3 {
		cfg := g.config()
		cfg.InitialCwnd = 200
		s, err := g.p.Open(g.now, w, cfg)
		must(t, err)
		all = append(all, newSource(uint64(i), w, s, 1<<18))
	}
	g.until("established", func() bool { return all[0].s.Established() && all[1].s.Established() && all[2].s.Established() })
	g.idle()
	g.port.hold = true
	for _, c := range all {
		c.w = w
		for b, ok := w.Reserve(c.s); ok && c.at < 44*1000; b, ok = w.Reserve(c.s) {
			b.Bytes = b.Bytes[:500]
			c.commit(b)
		}
	}
	g.p.Step(g.now)
	var order []uint16
	for _, d := range g.port.held {
		var seg wire.Segment
		must(t, wire.Parse(g.region.Memory()[d.Addr:d.Addr+uint64(d.Len)], true, &seg))
		order = append(order, seg.Flow.RemotePort)
	}
	for turn := range 6 {
		for i, port := range order[turn*txQuota : (turn+1)*txQuota] {
			if want := all[turn%3].s.flow.LocalPort; port != want {
				t.Fatalf("packet %d of turn %d is of port %d, want %d", i, turn, port, want)
			}
		}
	}
	g.p.Notify(false)
	g.home(all...)
}
