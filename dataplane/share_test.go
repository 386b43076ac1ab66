package dataplane

import (
	"errors"
	"fmt"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// TestShareExactly: the formula, at its edges.
func TestShareExactly(t *testing.T) {
	for _, c := range []struct{ total, n, want int }{{1000, 0, 800}, {1000, 1, 800}, {900, 2, 400}, {130, 3, 40}, {4, 1, 3}} {
		if got := fairShare(c.total, c.n); got != c.want {
			t.Errorf("%d streams, %d frames: %d, want %d", c.n, c.total, got, c.want)
		}
	}
}

// TestBudgetExactly: a batch and twice the window where that is less than the share,
// and nothing for a stream that is done.
func TestBudgetExactly(t *testing.T) {
	g := newRig(t, 2000, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 100000)
	g.idle()
	window := c.s.conn.Window()
	if want := 64 + 2*window/1460; window == 0 || c.s.Budget() != want || g.p.share != 1600 {
		t.Errorf("window %d: budget %d, want %d; share %d", window, c.s.Budget(), want, g.p.share)
	}
	g.p.SetMTU(g.now, c.s, 1000)
	g.idle()
	window = c.s.conn.Window()
	if want := 64 + 2*window/960; c.s.MSS() != 960 || c.s.mssNow != 960 || c.s.Budget() < want*3/4 {
		t.Errorf("MSS %d and %d: budget %d, want %d or a little less", c.s.MSS(), c.s.mssNow, c.s.Budget(), want)
	}
	c.s.allowed = 0 // it grows at once
	g.p.rebudget(c.s)
	if want := 64 + 2*window/960; c.s.Budget() != want {
		t.Errorf("budget %d, want %d", c.s.Budget(), want)
	}
	g.p.setBudget(c.s, c.s.allowed)
	w.lane.room = max(0, c.s.allowed-c.s.committed)
	w.CloseWrite(c.s)
	g.idle()
	if c.s.Budget() != 0 {
		t.Errorf("a budget of %d for a stream that is done", c.s.Budget())
	}
	g.finish()
}

// TestBudgetFallsByAQuarter, or not at all.
func TestBudgetFallsByAQuarter(t *testing.T) {
	g := newRig(t, 2000, nil)
	w := g.writer(0)
	s := g.open(w)
	for _, c := range []struct{ have, share, want int }{{100, 99, 100}, {100, 75, 100}, {100, 74, 74}, {100, 73, 73}, {40, 41, 41}, {40, 31, 40}} {
		g.p.setBudget(s, c.have)
		g.p.share = c.share
		g.p.rebudget(s)
		if s.allowed != c.want || s.Budget() != c.want {
			t.Errorf("from %d with %d to be had: %d, want %d", c.have, c.share, s.Budget(), c.want)
		}
	}
	g.p.publishLanes()
	if got, want := int(w.room.Load()), w.lane.room; got != want || want != 40 {
		t.Errorf("the writer knows of room for %d, it is %d", got, want)
	}
	g.p.reshare()
	g.finish()
}

// TestSharedAnew: who counts when the frames are shared. A stream that is done leaves
// its share to the others at once, also to those that are idle; one that is closed and
// still holds a frame does not.
func TestSharedAnew(t *testing.T) {
	g := newRig(t, 130, nil)
	w := g.writer(0)
	share := func(n int) {
		t.Helper()
		if g.p.share != fairShare(130, n) {
			t.Errorf("a share of %d, want that of %d streams: %d", g.p.share, n, fairShare(130, n))
		}
	}
	a := newSource(1, w, g.open(w), 100)
	share(1)
	b, c := newSource(2, w, g.open(w), 100), newSource(3, w, g.open(w), 100)
	share(3)
	if a.s.Budget() > fairShare(130, 3) {
		t.Errorf("budget %d", a.s.Budget())
	}
	g.idle()
	g.port.hold = true
	g.commits(b, 1)
	w.CloseWrite(b.s)
	w.CloseWrite(c.s)
	for range 4 {
		g.pass()
		g.now += tcp.Microsecond
	}
	g.p.reshare()
	share(2)
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.until("b is done", func() bool { drain(t, w, b); return b.s.SendClosed() && len(b.pending) == 0 })
	g.idle()
	share(1)
	if want := min(64+2*a.s.conn.Window()/1460, fairShare(130, 1)); a.s.Budget() != want {
		t.Errorf("an idle stream has a budget of %d, want %d", a.s.Budget(), want)
	}
	g.p.Abort(g.now, a.s)
	g.idle()
	share(0)
	g.finish()
}

// TestDefaults are as documented, and the limits are in.
func TestDefaults(t *testing.T) {
	g := newRig(t, 400, func(c *Config) { c.RxFrames = 0 })
	if n := g.port.kfill.Peek(1 << 20); n != rigRing {
		t.Errorf("%d frames to receive into, the fill ring has %d entries", n, rigRing)
	}
	if g.p.maxStreams != 256 || g.p.stall != tcp.Second {
		t.Errorf("%d streams, stall %d", g.p.maxStreams, g.p.stall)
	}
	if g.p.Pool() != g.pool || g.p.Caps() != g.port.caps {
		t.Errorf("pool %p, caps %+v", g.p.Pool(), g.p.Caps())
	}
	g.finish()
	g = newRig(t, 64, func(c *Config) { c.RxFrames, c.MaxStreams, c.Stall = 1, 1<<16, 1 })
	if n := g.port.kfill.Peek(9); n != 1 || g.p.maxStreams != 1<<16 || g.p.stall != 1 {
		t.Errorf("%d frames to receive into, %d streams, stall %d", n, g.p.maxStreams, g.p.stall)
	}
	g.finish()
	for _, n := range []int{-1, 1<<16 + 1} {
		cfg := Config{Pool: g.pool, Port: newMemPort(g.region, 64), MaxStreams: n}
		if _, err := New(cfg); !errors.Is(err, ErrBadConfig) || err.Error() != fmt.Sprintf("%v: %d streams: must be from 0 to 65536", ErrBadConfig, n) {
			t.Errorf("%d streams: %v", n, err)
		}
	}
	if _, err := New(Config{Pool: g.pool, Port: newMemPort(g.region, 64), RxFrames: -1}); !errors.Is(err, ErrBadConfig) {
		t.Errorf("-1 frames to receive into: %v", err)
	}
}

func TestCeilPow2(t *testing.T) {
	for n, want := range map[int]int{0: 1, 1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 255: 256, 256: 256, 257: 512} {
		if got := ceilPow2(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}

// TestReadyQueueRemove: the others keep their order, and who is gone comes in no more.
func TestReadyQueueRemove(t *testing.T) {
	var q readyQueue
	q.init(4)
	a, b, c := &Stream{}, &Stream{}, &Stream{}
	for _, gone := range []*Stream{a, b, c} {
		for _, s := range []*Stream{a, b, c} {
			q.add(s)
		}
		q.remove(gone)
		if gone.ready || q.len() != 2 {
			t.Fatalf("%d left", q.len())
		}
		for _, s := range []*Stream{a, b, c} {
			if s != gone && q.pop() != s {
				t.Fatal("the order changed")
			}
		}
	}
	q.add(a)
	q.remove(b)
	if q.len() != 1 || q.pop() != a {
		t.Error("removing who is not in it changes it")
	}
	a.bits = isHome
	if q.add(a); q.len() != 0 {
		t.Error("a stream that is over waits for a turn")
	}
}

// TestSpuriousIsCounted: once each.
func TestSpuriousIsCounted(t *testing.T) {
	g := newRig(t, 64, nil)
	last := umem.Frame(g.pool.Len() - 1)
	for range 3 {
		g.port.complete(g.region.Addr(last))
	}
	g.port.complete(1 << 50)
	g.pass()
	if k := g.p.CountersNow(); k.Spurious != 3 || k.OutOfRange != 1 || k.Completed != 0 {
		t.Errorf("%+v", k)
	}
	g.finish()
}

// TestWritersInTurn: who is first alternates, so that none is always last.
func TestWritersInTurn(t *testing.T) {
	g := newRig(t, 64, nil)
	w1, w2 := g.writer(8), g.writer(8)
	a, b := newSource(1, w1, g.open(w1), 1<<16), newSource(2, w2, g.open(w2), 1<<16)
	g.idle()
	var ports []uint16
	g.peer.drop = func(seg *wire.Segment) bool {
		if seg.PayloadLen > 0 {
			ports = append(ports, seg.Flow.RemotePort)
		}
		return false
	}
	for range 4 {
		g.commits(a, 1)
		g.commits(b, 1)
		g.pass()
		g.now += tcp.Microsecond
		g.pass()
		g.now += tcp.Microsecond
		g.pass() // an odd number of Steps between two commits
		drain(t, w1, a)
		drain(t, w2, b)
	}
	first := map[uint16]int{}
	for i := 0; i < len(ports); i += 2 {
		first[ports[i]]++
	}
	if len(ports) != 8 || first[a.s.flow.LocalPort] != 2 || first[b.s.flow.LocalPort] != 2 {
		t.Errorf("sent in the order %v", ports)
	}
	g.finish()
}

// TestCommitBehindTheFIN: what is committed after CloseWrite is given up, although the
// connection lives, and said to be.
func TestCommitBehindTheFIN(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.commits(c, 1)
	late, _ := w.Reserve(c.s)
	w.CloseWrite(c.s)
	c.commit(late)
	g.peer.mute = true
	g.pass()
	g.now += tcp.Microsecond
	drain(t, w, c)
	if len(c.log) != 1 || c.log[0].Reason != Aborted || c.log[0].Frame != late.Frame || c.log[0].Acked != 0 || c.log[0].Transmissions != 0 {
		t.Errorf("released: %+v", c.log)
	}
	if c.s.Ended() {
		t.Error("the connection ended by it")
	}
	g.peer.mute = false
	g.until("the first is ACKed", func() bool { drain(t, w, c); return len(c.pending) == 0 })
	if r := c.log[1]; r.Reason != Acked || r.Acked == 0 || string(g.peer.flows[c.s.flow].stream) != string(c.bytes[:1460]) {
		t.Errorf("released: %+v", r)
	}
	g.finish()
}

// TestPeerClosesWhileCommitsWait: the peer's FIN ends nothing of what we have to send.
func TestPeerClosesWhileCommitsWait(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	cfg := g.config()
	cfg.SendSlots = 12
	s, err := g.p.Open(g.now, w, cfg)
	must(t, err)
	g.until("established", s.Established)
	c := newSource(1, w, s, 30000)
	if s.PeerClosed() {
		t.Error("the peer closed, it seems")
	}
	g.commits(c, 18)
	g.peer.mute = true
	g.pass()
	if n := g.p.CountersNow().Parked; n != 14 {
		t.Fatalf("%d commits wait", n)
	}
	r := g.peer.flows[s.flow]
	g.peer.reply(r, r.sndNext, wire.FlagACK|wire.FlagFIN, nil)
	r.sndNext++
	g.now += tcp.Microsecond
	g.pass()
	if !s.PeerClosed() {
		t.Fatal("the FIN is not seen")
	}
	g.peer.mute = false
	g.transfer(c)
	for _, r := range c.log {
		if r.Reason != Acked {
			t.Errorf("%+v", r)
		}
	}
	g.finish()
}

// TestHomeIsLast: not while the kernel has a descriptor, were it only that of the RST.
func TestHomeIsLast(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	g.idle()
	g.port.hold = true
	g.p.Abort(g.now, s)
	for range 3 {
		g.pass()
		g.now += tcp.Microsecond
	}
	if !s.Ended() || s.Home() || g.p.Out() != 1 {
		t.Errorf("ended %v, home %v, %d out", s.Ended(), s.Home(), g.p.Out())
	}
	g.port.hold = false
	g.port.finish(1)
	g.pass()
	if !s.Home() {
		t.Error("not home")
	}
	g.finish()
}

// TestWhoLeftIsLentNothing: the frames that come back of what a writer committed before
// it left are not given to it again.
func TestWhoLeftIsLentNothing(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(4)
	c := newSource(1, w, g.open(w), 1<<16)
	g.idle()
	g.commits(c, 4)
	g.port.hold = true
	w.Close()
	g.pass()
	g.now += tcp.Microsecond
	g.port.hold = false
	g.port.finish(len(g.port.held))
	for range 4 {
		g.p.Step(g.now)
		if n := w.credits.Peek(9); n > 0 || w.lane.lent > 0 {
			t.Fatalf("%d frames for a writer that left, %d lent", n, w.lane.lent)
		}
		g.p.Notify(false)
		g.now += tcp.Microsecond
	}
	if w.lane.owned != 0 {
		t.Errorf("it owns %d frames", w.lane.owned)
	}
	g.finish()
}

// TestRefilled: a frame that the fill ring had no room for is posted again later.
func TestRefilled(t *testing.T) {
	port := &narrowPort{}
	g := newRig(t, 64, func(c *Config) {
		port.memPort = c.Port.(*memPort)
		c.Port = port
	})
	port.narrow = true
	for range 5 {
		g.port.deliver(make([]byte, 60))
	}
	g.pass()
	if n := g.port.kfill.Peek(1 << 20); n != rigRx-5 || g.p.filled != rigRx-5 {
		t.Errorf("%d frames with the kernel, counted %d", n, g.p.filled)
	}
	port.narrow = false
	g.pass()
	if n := g.port.kfill.Peek(1 << 20); n != rigRx || g.p.filled != rigRx {
		t.Errorf("%d frames with the kernel, counted %d, want %d", n, g.p.filled, rigRx)
	}
	g.finish()
}

// narrowPort is a port whose fill ring has no room when the test says so.
type narrowPort struct {
	*memPort
	narrow bool
}

func (p *narrowPort) FillRoom(n int) int {
	if p.narrow {
		return 0
	}
	return p.memPort.FillRoom(n)
}
