package dataplane

import (
	"testing"

	"github.com/xsend/xsend/tcp"
)

// TestWholeWindowAtOnce: a stream with more to send than its quota is served again
// in the same round, without waiting for an event.
func TestWholeWindowAtOnce(t *testing.T) {
	g := newRig(t, 256, nil)
	w := g.writer(0)
	cfg := g.config()
	cfg.InitialCwnd = 100
	s, err := g.p.Open(g.now, w, cfg)
	must(t, err)
	g.until("established", s.Established)
	g.port.hold = true
	c := newSource(1, w, s, 1<<20)
	before := g.p.CountersNow().Submitted
	for range 3 {
		c.push()
		g.p.Notify(g.p.Step(g.now) == 0)
	}
	if n := g.p.CountersNow().Submitted - before; n < peerWindow/1460 {
		t.Fatalf("%d packets, the peer's window has room for %d", n, peerWindow/1460)
	}
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.transfer(c)
	g.finish()
}

// TestFlowIsFreeAgain: once a stream is over, its addresses and ports can be used
// again, and late packets are nobody's.
func TestFlowIsFreeAgain(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	cfg := g.config()
	for i := range 2 {
		s, err := g.p.Open(g.now, w, cfg)
		must(t, err)
		g.until("established", s.Established)
		g.transfer(newSource(uint64(i), w, s, 1000))
		g.until("home", s.Home)
		unknown := g.p.CountersNow().RxUnknown
		r := g.peer.flows[s.flow]
		g.peer.reply(r, r.sndNext, 0, nil)
		g.step()
		if n := g.p.CountersNow().RxUnknown; n != unknown+1 {
			t.Fatalf("%d packets of no stream, want one more than %d", n, unknown)
		}
		delete(g.peer.flows, s.flow)
		cfg.ISS += 1 << 20
	}
	g.finish()
}

// TestShutdownInTimeWait: a connection that both sides closed is not reset.
func TestShutdownInTimeWait(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1000)
	g.transfer(c)
	g.until("time-wait", func() bool { return c.s.State() == tcp.TimeWait })
	open := g.open(w)
	g.finish()
	if g.peer.flows[c.s.flow].reset || !g.peer.flows[open.flow].reset {
		t.Fatal("a RST where none belongs, or none where one does")
	}
}

// TestSleepAndWake: a poller does not sleep while somebody has something for it, and
// whoever has something later wakes it.
func TestSleepAndWake(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	g.until("idle", func() bool { return g.p.Step(g.now) == 0 })
	g.port.wake = make(chan struct{}, 1)
	g.p.sleep(g.now)
	if g.port.waits != 1 {
		t.Fatal("an idle poller does not sleep")
	}
	b, _ := w.Reserve(s)
	w.Commit(s, b, 1, 0)
	g.p.sleep(g.now)
	if g.port.waits != 1 {
		t.Fatal("it slept over a commit")
	}
	g.p.Step(g.now)
	if !g.p.enqueue(func(tcp.Time) {}) {
		t.Fatal("refused")
	}
	g.p.sleep(g.now)
	if g.port.waits != 1 {
		t.Fatal("it slept over a request")
	}
	g.p.obey(g.now)
	g.p.sleeping.Store(true)
	w.CloseWrite(s)
	if g.p.sleeping.Load() || len(g.port.wake) != 1 {
		t.Fatal("a writer did not wake it")
	}
	g.finish()
}

// fullPort is a port whose TX ring has room, and whose kernel takes from it, only when
// the test says so.
type fullPort struct {
	*memPort
	full bool
	lazy bool
}

func (p *fullPort) Kick() Kick {
	if p.lazy {
		return KickAgain
	}
	return p.memPort.Kick()
}

func (p *fullPort) TxRoom(n int) int {
	if p.full {
		return 0
	}
	return p.memPort.TxRoom(n)
}

// TestOverWhileNothingIsSent: streams come and go while the TX ring is full. Those that
// are over wait for no turn: there are more of them than the queue has places.
func TestOverWhileNothingIsSent(t *testing.T) {
	port := &fullPort{full: true}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port, c.MaxStreams = port, 4
	})
	w := g.writer(0)
	for range 20 {
		s, err := g.p.Open(g.now, w, g.config())
		must(t, err)
		g.step()
		g.p.Abort(g.now, s)
		g.step()
		w.CloseWrite(s) // too late, and its writer could not know
		g.step()
	}
	if n := g.p.ready.len(); n != 0 {
		t.Errorf("%d streams wait for their turn, and none is left", n)
	}
	port.full = false
	g.transfer(newSource(1, w, g.open(w), 100000))
	g.finish()
}
