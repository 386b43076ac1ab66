package dataplane

import (
	"errors"
	"slices"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

var errBusy = errors.New("device or resource busy")

// TestAttemptsToOpenAgain: at once, and then after pauses that double from 10 ms to a
// second, sixteen times in all. In between a caller is told why the queue is dead, and
// when to come back.
func TestAttemptsToOpenAgain(t *testing.T) {
	g, _, _ := oneOut(t, nil)
	if err := g.p.Rebuild(g.now); err != nil || g.port.closed {
		t.Fatalf("a queue that lives: %v, closed %v", err, g.port.closed)
	}
	var attempts []tcp.Time
	g.p.reopen = func(queue int) (Port, error) {
		attempts = append(attempts, g.now)
		return nil, errBusy
	}
	g.port.corrupt = true
	g.pass()
	died := g.now
	want := []tcp.Time{0}
	for pause, at := 10*tcp.Millisecond, tcp.Time(0); len(want) < 16; pause = min(2*pause, tcp.Second) {
		at += pause
		want = append(want, at)
	}
	for g.p.failed == nil {
		if err := g.p.Rebuild(g.now); err == nil {
			t.Fatal("opened again")
		}
		if g.p.failed != nil {
			break
		}
		before := len(attempts)
		if err := g.p.Rebuild(g.p.Deadline() - 1); !errors.Is(err, errCorrupt) || len(attempts) != before {
			t.Fatalf("too early: %v, %d attempts, not %d", err, len(attempts), before)
		}
		if g.now = g.p.Deadline(); g.now > died+20*tcp.Second {
			t.Fatal("no end")
		}
	}
	for i := range attempts {
		attempts[i] -= died
	}
	if !slices.Equal(attempts, want) {
		t.Errorf("attempts after %d,\nwant %d", attempts, want)
	}
	err := g.p.Rebuild(g.now + tcp.Second)
	if !errors.Is(err, ErrQueueDead) || !errors.Is(err, errBusy) || !errors.Is(err, errCorrupt) || len(attempts) != 16 {
		t.Errorf("afterwards: %v, %d attempts", err, len(attempts))
	}
	if g.p.Deadline() != tcp.Never || g.p.CountersNow().RebuildTry != 16 || !g.port.closed {
		t.Errorf("come back at %d: %+v", g.p.Deadline(), g.p.CountersNow())
	}
	_, err = g.p.Close()
	must(t, err)
}

// TestNoWayToOpenAgain: where there is none the first attempt is the last.
func TestNoWayToOpenAgain(t *testing.T) {
	for name, reopen := range map[string]func(int) (Port, error){
		"none":       nil,
		"of no use":  func(int) (Port, error) { return nil, ErrNoReopen },
		"told later": func(int) (Port, error) { return nil, errors.Join(errBusy, ErrNoReopen) },
	} {
		g, _, _ := oneOut(t, func(c *Config) { c.Reopen = reopen })
		g.port.corrupt = true
		g.pass()
		if err := g.p.Rebuild(g.now); !errors.Is(err, ErrQueueDead) || !errors.Is(err, ErrNoReopen) || !g.port.closed {
			t.Errorf("%s: %v", name, err)
		}
		_, err := g.p.Close()
		must(t, err)
	}
}

// TestNewPortStartsAfresh: what was known of the old one is forgotten, the fill ring is
// full before the next Step, and who waited for the old queue's completion is told.
func TestNewPortStartsAfresh(t *testing.T) {
	g, c, _ := oneOut(t, nil)
	r := g.peer.flows[c.s.flow]
	g.port.hold = true
	for _, d := range g.port.held { // read and ACKed, and never completed
		g.peer.packet(g.region.Memory()[d.Addr : d.Addr+uint64(d.Len)])
	}
	g.now += tcp.Microsecond
	g.pass()
	drain(t, c.w, c)
	if len(c.log) != 0 || r.got != 2920 {
		t.Fatalf("%d released while the kernel has the frames, the peer got %d bytes", len(c.log), r.got)
	}
	small := newMemPort(g.region, 64)
	small.wire = g.peer.packet
	g.p.reopen = func(int) (Port, error) { return small, nil }
	g.p.dead = errKick
	g.p.kickAt, g.p.kickOwed, g.p.down, g.p.unsent, g.p.still, g.p.last = g.now+tcp.Second, true, true, 7, 9, 1
	old := g.port
	if err := g.p.Rebuild(g.now); err != nil {
		t.Fatal(err)
	}
	g.port = small
	p := g.p
	if p.kickAt != 0 || p.kickOwed || p.down || p.unsent != 0 || p.still != 0 || p.last != g.now || p.dead != nil || p.rebuild != (rebuildState{}) {
		t.Errorf("kick at %d, owed %v, down %v, unsent %d, still %d, last %d, dead %v, %+v",
			p.kickAt, p.kickOwed, p.down, p.unsent, p.still, p.last, p.dead, p.rebuild)
	}
	if n := small.kfill.Peek(1 << 10); n != 64 || p.filled != 64 || p.Caps() != small.caps || !old.closed {
		t.Errorf("%d frames to receive into, counted %d; caps %+v", n, p.filled, p.Caps())
	}
	select {
	case <-old.wake: // by packets
	default:
	}
	p.sleeping.Store(true)
	p.wakeUp()
	if len(small.wake) != 1 || len(old.wake) != 0 {
		t.Error("the old port is woken")
	}
	p.Notify(false)
	drain(t, c.w, c)
	if len(c.log) != 2 || c.log[0].Reason != Acked {
		t.Errorf("released: %+v", c.log)
	}
	if k := p.CountersNow(); k.Quarantined != 2 || k.Rebuilds != 1 || k.Out != 0 {
		t.Errorf("%+v", k)
	}
	g.home(c)
}

// TestAnswersAtTheEnd: when a queue is dead for good each commit is answered in that
// call: what the kernel never had comes back, what it has does not, and both are counted.
func TestAnswersAtTheEnd(t *testing.T) {
	g, c, _ := oneOut(t, nil)
	g.commits(c, 12) // the initial window has room for eight of them
	g.p.Step(g.now)
	if g.p.Out() != 10 {
		t.Fatalf("%d descriptors out", g.p.Out())
	}
	g.port.corrupt = true
	g.p.Step(g.now)
	asleep(t, c.w)
	if err := g.p.Rebuild(g.now); !errors.Is(err, ErrQueueDead) {
		t.Fatal(err)
	}
	drain(t, c.w, c)
	if len(c.log) != 14 {
		t.Fatalf("%d released", len(c.log))
	}
	for _, r := range c.log {
		switch has := r.Start < 10*1460; {
		case has && (r.Reason != Quarantined || r.Frame != umem.NoFrame || r.Transmissions != 1):
			t.Errorf("the kernel has it: %+v", r)
		case !has && (r.Reason != Aborted || r.Frame == umem.NoFrame || r.Transmissions != 0):
			t.Errorf("the kernel never had it: %+v", r)
		case r.Early || r.Acked != 0:
			t.Errorf("%+v", r)
		}
	}
	if !c.s.Home() || !errors.Is(c.s.Err(), ErrQueueDead) {
		t.Errorf("home %v, %v", c.s.Home(), c.s.Err())
	}
	k := g.p.CountersNow()
	if k.Releases != k.Commits || k.Aborts != 14 || k.BytesAborted != 14*1460 || k.BytesReleased != 0 || k.Quarantined == 0 || k.Out != 0 {
		t.Errorf("%+v", k)
	}
	if l := c.w.lane; l.owned != l.lent {
		t.Errorf("the writer owns %d frames, and was lent %d", l.owned, l.lent)
	}
	g.p.Notify(false)
	if !woken(c.w) {
		t.Error("the writer sleeps on")
	}
	rem, err := g.p.Close()
	if err != nil || rem.Leaked != 0 {
		t.Errorf("%v, %+v", err, rem)
	}
}

// TestPoolFromTheMiddle of a region: frame numbers are not indices.
func TestPoolFromTheMiddle(t *testing.T) {
	var pool *umem.Pool
	g := newRig(t, 128, func(c *Config) {
		var err error
		pool, err = umem.NewPool(c.Pool.Region(), 40, c.Pool.Len()-40, rigReserve)
		must(t, err)
		c.Pool = pool
	})
	g.pool = pool
	w := g.writer(0)
	s := g.open(w)
	b, _ := w.Reserve(s)
	if b.Frame < 40 {
		t.Errorf("frame %d of a pool that starts at 40", b.Frame)
	}
	w.Abandon(s, b)
	g.transfer(newSource(1, w, s, 200000))
	if b, _ = w.Reserve(g.open(w)); b.Bytes == nil {
		t.Fatal("no frame")
	}
	g.finish() // it takes back what the writer has in its hands
}
