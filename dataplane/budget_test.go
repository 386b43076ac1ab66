package dataplane

import "testing"

func TestFairShare(t *testing.T) {
	for n := 1; n <= 64; n++ {
		b := fairShare(1000, n)
		if n*b >= 1000 {
			t.Fatalf("%d streams with %d frames each leave none of 1000 for the next", n, b)
		}
		if 1000-n*b < b/5 {
			t.Fatalf("%d streams with %d frames each leave only %d", n, b, 1000-n*b)
		}
	}
}

// TestStoppedPeer: eight streams, one reader stops. The other seven finish, and the
// stopped one never has more than its share, although its writer commits whatever it
// is given.
func TestStoppedPeer(t *testing.T) {
	for _, writers := range []int{1, 8} {
		g := newRig(t, 256, nil)
		var all []*source
		for i := range writers {
			w := g.writer(0)
			for range 8 / writers {
				all = append(all, newSource(uint64(i), w, g.open(w), 1<<19))
			}
		}
		g.peer.flows[all[3].s.flow].stopped = true
		g.until("seven are done", func() bool {
			writing := 0 // those that are done leave their share to the rest
			for _, s := range g.p.deadlines.heap {
				if s.writes() {
					writing++
				}
			}
			share, done := fairShare(256, writing), 0
			for _, c := range all {
				drain(t, c.w, all...)
				c.push()
				if c.s.SendClosed() && len(c.pending) == 0 {
					done++
				}
				if c.w.Held(c.s) > share {
					t.Fatalf("a stream holds %d frames, its share is %d", c.w.Held(c.s), share)
				}
			}
			return done == 7
		})
		if all[3].s.SendClosed() || all[3].w.Held(all[3].s) == 0 {
			t.Fatal("the stopped stream is done: the test tests nothing")
		}
		g.finish()
	}
}

// TestWithoutBudgetsOneTakesAll is the negative control: with budgets as large as
// memory, a stopped peer starves the rest.
func TestWithoutBudgetsOneTakesAll(t *testing.T) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	stopped, other := newSource(1, w, g.open(w), 1<<20), newSource(2, w, g.open(w), 1<<20)
	g.peer.flows[stopped.s.flow].stopped = true
	for _, c := range []*source{stopped, other} {
		c.s.allowed = 1 << 20
		c.s.budget.Store(1 << 20)
		c.s.writer.lane.room = 2 << 20
	}
	for range 2000 {
		g.p.Notify(g.p.Step(g.now) == 0)
		g.now += 10000
		drain(t, w, stopped, other)
		stopped.s.budget.Store(1 << 20)
		stopped.push()
	}
	if n := w.Held(stopped.s); n != 64 {
		t.Fatalf("it has %d frames of 64", n)
	}
	if _, ok := w.Reserve(other.s); ok {
		t.Fatal("there was a frame for the other")
	}
}

// TestNewcomer: one stopped stream that had everything to itself leaves enough for
// the next.
func TestNewcomer(t *testing.T) {
	g := newRig(t, 100, nil)
	w := g.writer(0)
	hog := newSource(1, w, g.open(w), 1<<20)
	g.peer.flows[hog.s.flow].stopped = true
	for range 3000 {
		g.step()
		drain(t, w, hog)
		hog.push()
	}
	w2 := g.writer(0)
	c := newSource(2, w2, g.open(w2), 1<<18)
	g.until("the newcomer is done", func() bool {
		drain(t, w, hog)
		hog.push()
		drain(t, w2, c)
		c.push()
		return c.s.SendClosed() && len(c.pending) == 0
	})
	g.finish()
}

// TestFramesGoWhereTheyAreNeeded: a writer whose streams are done gives its frames
// back, and another stream gets more than its share was before.
func TestFramesGoWhereTheyAreNeeded(t *testing.T) {
	g := newRig(t, 200, nil)
	w1, w2 := g.writer(0), g.writer(0)
	a := newSource(1, w1, g.open(w1), 1<<20)
	b := newSource(2, w2, g.open(w2), 1<<20)
	g.transfer(a, b)
	g.until("a is home", func() bool {
		drain(t, w1, a)
		drain(t, w2, b)
		return a.s.Home() && b.s.Home()
	})
	if n := len(w1.free) + len(w2.free); n > 0 {
		t.Fatalf("writers without streams keep %d frames", n)
	}
	c := newSource(3, w2, g.open(w2), 1<<20)
	g.transfer(c)
	if share := fairShare(200, 1); c.s.Budget() != 0 && g.p.share != share {
		t.Fatalf("share %d, want %d", g.p.share, share)
	}
	g.finish()
}
