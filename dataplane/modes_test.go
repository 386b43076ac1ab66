package dataplane

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// commitOne opens a stream and commits one frame; completions and ACKs are the test's.
func commitOne(t *testing.T, mode ReleaseMode) (*rig, *source) {
	t.Helper()
	g := newRig(t, 64, func(c *Config) { c.Release = mode })
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1000)
	g.until("idle", func() bool { return g.step() == 0 && g.p.Out() == 0 })
	g.port.hold = true
	c.push()
	return g, c
}

// settled steps a few times without letting a timer expire, and takes the releases
// that came.
func (g *rig) settled(c *source) int {
	g.Helper()
	before := len(c.log)
	for range 8 {
		g.p.Notify(g.p.Step(g.now) == 0)
		g.check()
		g.now += tcp.Microsecond
		drain(g, c.w, c)
	}
	return len(c.log) - before
}

// TestReleaseWhen: in each mode, the one event that the release waits for. In all of
// them the ledger goes on counting, and each commit has one release.
func TestReleaseWhen(t *testing.T) {
	for _, m := range []struct {
		mode                     ReleaseMode
		submit, complete, ack    int // releases after each, in this order
		ackFirst, completeSecond int // and where the ACK comes before the completion
		early                    bool
	}{
		{ReleaseAck, 0, 0, 1, 0, 1, false},
		{ReleaseCompletion, 0, 1, 0, 0, 1, true},
		{ReleaseSubmit, 1, 0, 0, 0, 0, true},
		{ReleaseAcked, 0, 0, 1, 1, 0, true},
	} {
		t.Run(m.mode.String(), func(t *testing.T) {
			g, c := commitOne(t, m.mode)
			g.peer.mute = true
			if n := g.settled(c); n != m.submit {
				t.Fatalf("submitted: %d releases, want %d", n, m.submit)
			}
			g.complete()
			if n := g.settled(c); n != m.complete {
				t.Fatalf("completed: %d releases, want %d", n, m.complete)
			}
			g.ackAll(c)
			if n := g.settled(c); n != m.ack {
				t.Fatalf("ACKed: %d releases, want %d", n, m.ack)
			}
			g.verdict(c, m.mode, m.submit+m.complete > 0)
		})
		t.Run(m.mode.String()+" ACK first", func(t *testing.T) {
			g, c := commitOne(t, m.mode)
			g.peer.mute = true
			if n := g.settled(c); n != m.submit {
				t.Fatalf("submitted: %d releases, want %d", n, m.submit)
			}
			g.ackAll(c)
			if n := g.settled(c); n != m.ackFirst {
				t.Fatalf("ACKed: %d releases, want %d", n, m.ackFirst)
			}
			g.complete()
			if n := g.settled(c); n != m.completeSecond {
				t.Fatalf("completed: %d releases, want %d", n, m.completeSecond)
			}
			g.verdict(c, m.mode, m.submit+m.ackFirst > 0)
		})
	}
}

// complete lets the NIC finish what it holds, once.
func (g *rig) complete() {
	g.port.noWire = true // the ACK is the test's
	g.port.finish(len(g.port.held))
}

// ackAll is the peer's ACK of everything committed, and of our FIN if it was sent.
func (g *rig) ackAll(c *source) {
	r := g.peer.flows[c.s.flow]
	r.next = r.irs + 1 + uint32(len(c.bytes))
	g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
}

func (g *rig) verdict(c *source, mode ReleaseMode, early bool) {
	g.Helper()
	if len(c.log) != 1 || len(c.pending) != 0 {
		g.Fatalf("%d releases of one commit", len(c.log))
	}
	r, k := c.log[0], g.p.CountersNow()
	if r.Early != early || (k.LentWhileHeld != 0) != early || (g.pool.LentEarly() != 0) != early {
		g.Fatalf("early %v, want %v; lent while held %d bytes, %d times", r.Early, early, k.LentWhileHeld, g.pool.LentEarly())
	}
	if mode == ReleaseAck && (r.Acked == 0 || r.Completed == 0) {
		g.Fatalf("release %+v", r)
	}
	g.port.hold, g.port.noWire, g.peer.mute = false, false, false
	g.complete()
	g.finish()
}

// TestWrongModesUnderLoss: whatever a wrong mode does to the bytes, every commit has
// one release, every frame comes back, and nothing stalls.
func TestWrongModesUnderLoss(t *testing.T) {
	for _, mode := range []ReleaseMode{ReleaseCompletion, ReleaseSubmit, ReleaseAcked} {
		t.Run(mode.String(), func(t *testing.T) {
			g := newRig(t, 128, func(c *Config) { c.Release = mode })
			n := 0
			g.peer.drop = func(seg *wire.Segment) bool { n++; return seg.PayloadLen > 0 && n%37 == 0 }
			w := g.writer(0)
			a, b := newSource(1, w, g.open(w), 300000), newSource(2, w, g.open(w), 300000)
			a.scribble, b.scribble = true, true
			g.until("sent", func() bool {
				drain(t, w, a, b)
				a.push()
				b.push()
				return a.s.SendClosed() && b.s.SendClosed() && len(a.pending)+len(b.pending) == 0
			})
			wrong := 0
			for _, c := range []*source{a, b} {
				for i, x := range g.peer.flows[c.s.flow].stream {
					if x != c.bytes[i] {
						wrong++
					}
				}
			}
			if k := g.p.CountersNow(); k.Commits != k.Releases || k.BytesWritten != 600000 || k.BytesReleased != 600000 {
				t.Fatalf("%+v", k)
			}
			// The NIC here reads before anybody can write: only what is sent again can be wrong.
			if corrupt := mode != ReleaseAcked; (wrong > 0) != corrupt {
				t.Fatalf("%d bytes wrong at the receiver", wrong)
			}
			g.finish()
		})
	}
}

func TestReleaseModeNames(t *testing.T) {
	for m := ReleaseAck; m <= ReleaseAcked; m++ {
		if got, err := ParseReleaseMode(m.String()); err != nil || got != m {
			t.Fatalf("%v: %v, %v", m, got, err)
		}
	}
	if _, err := ParseReleaseMode("sent"); err == nil {
		t.Fatal("a mode that does not exist was accepted")
	}
}

// A connection that keeps the sums of what it sent cannot be used in a wrong mode.
func TestWrongModeNeedsResum(t *testing.T) {
	g := newRig(t, 64, func(c *Config) { c.Release = ReleaseSubmit })
	cfg := g.config()
	cfg.Resum = false
	if _, err := g.p.Open(tcp.Second, g.writer(0), cfg); err == nil {
		t.Fatal("accepted")
	}
}

// TestSameFrameAgainAndAgain: a writer that commits one byte at a time gets the same
// frame back at once; the ledger's counts must not overflow.
func TestSameFrameAgainAndAgain(t *testing.T) {
	g := newRig(t, 64, func(c *Config) { c.Release = ReleaseSubmit })
	w := g.writer(0)
	cfg := g.config()
	cfg.SendSlots, cfg.InitialCwnd = 16384, 40
	s, err := g.p.Open(g.now, w, cfg)
	must(t, err)
	g.until("established", s.Established)
	g.peer.mute = true
	most := 0
	var out [64]Release
	for range 20000 {
		if b, ok := w.Reserve(s); ok {
			w.Commit(s, b, 1, 0)
		}
		g.p.Notify(g.p.Step(g.now) == 0)
		g.now += tcp.Microsecond
		n := w.Releases(out[:])
		for _, r := range out[:n] {
			most = max(most, g.pool.InTCP(r.Frame))
		}
	}
	if most < mostHolds || most > mostHolds+1 {
		t.Fatalf("at most %d holds on a frame that was handed back, wanted to see %d", most, mostHolds)
	}
	g.peer.mute = false
	g.finish()
}

// TestEarlyMeansEveryByte: a commit that the peer's window cuts in two is not
// released for its first half, however often that is sent.
func TestEarlyMeansEveryByte(t *testing.T) {
	for _, mode := range []ReleaseMode{ReleaseCompletion, ReleaseSubmit} {
		g := newRig(t, 64, func(c *Config) { c.Release = mode })
		w := g.writer(0)
		s := g.open(w)
		r := g.peer.flows[s.flow]
		r.window = 500
		g.peer.reply(r, r.sndNext, wire.FlagACK, nil)
		g.step()
		g.peer.mute = true
		c := newSource(1, w, s, 900)
		c.push()
		g.until("sent three times", func() bool { return s.StatsNow().Retransmits >= 2 })
		if drain(t, w, c); len(c.log) != 0 || s.StatsNow().Cuts == 0 {
			t.Fatalf("%v: %d released, %d cuts", mode, len(c.log), s.StatsNow().Cuts)
		}
		g.peer.mute = false
		r.window = peerWindow
		g.until("released", func() bool { drain(t, w, c); return len(c.log) == 1 })
		g.finish()
	}
}
