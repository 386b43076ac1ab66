package dataplane

import (
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
)

// audited is a rig with a stream whose two commits the kernel has.
func audited(t *testing.T) (*rig, *Stream) {
	g := newRig(t, 64, nil)
	w := g.writer(0)
	s := g.open(w)
	g.until("idle", func() bool { return g.step() == 0 && g.p.Out() == 0 })
	g.port.hold = true
	c := newSource(1, w, s, 3000)
	for range 2 {
		b, ok := w.Reserve(s)
		if !ok {
			t.Fatal("no frame")
		}
		c.commit(b)
	}
	g.settled(c)
	if s.committed != 2 || g.p.Out() != 2 {
		t.Fatalf("%d commits, %d descriptors out", s.committed, g.p.Out())
	}
	return g, s
}

// TestAuditFindsBrokenBooks is the negative control of Audit: books that were cooked
// behind the poller's back are found, and told with the census.
func TestAuditFindsBrokenBooks(t *testing.T) {
	for name, c := range map[string]struct {
		cook func(*rig, *Stream)
		want string
	}{
		"sound":                               {func(*rig, *Stream) {}, ""},
		"a descriptor unknown to the ledger":  {func(g *rig, s *Stream) { g.p.flights.push(g.pool.Len()-1, 0, s, tcp.Ref{}) }, "1 descriptors out by our list, 0 by the ledger"},
		"descriptors miscounted":              {func(g *rig, _ *Stream) { g.p.flights.out++ }, "2 descriptors out, counted 3"},
		"commits miscounted":                  {func(_ *rig, s *Stream) { s.committed++ }, "2 commits without a release, counted 3"},
		"a connection without a frame":        {func(g *rig, s *Stream) { dropLive(g, s) }, "port 4001: tcp: audit"},
		"a stream forgotten":                  {func(g *rig, s *Stream) { g.p.deadlines.remove(s) }, "1 streams are forgotten"},
		"a queue that is dead for good":       {func(g *rig, _ *Stream) { g.p.flights.out++; g.p.failed = ErrQueueDead }, ""},
		"the same with commits miscounted":    {func(g *rig, s *Stream) { s.committed++; g.p.failed = ErrQueueDead }, "counted 3"},
		"a list that is shorter than another": {func(g *rig, _ *Stream) { popFirst(g) }, "1 descriptors out, counted 2"},
	} {
		g, s := audited(t)
		c.cook(g, s)
		census, err := g.p.Audit()
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
		if census.Total != g.pool.Len() {
			t.Errorf("%s: a census of %d frames", name, census.Total)
		}
	}
}

// dropLive takes a frame of the stream from the ledger behind its connection's back.
func dropLive(g *rig, s *Stream) {
	for i := range g.p.records {
		if r := &g.p.records[i]; r.live && r.stream == s {
			g.pool.Drop(g.p.frameAt(i))
			return
		}
	}
}

// popFirst forgets a descriptor, but not that it is out.
func popFirst(g *rig) {
	for i := range g.p.flights.head {
		if _, _, ok := g.p.flights.pop(i, 0); ok {
			g.p.flights.out++
			return
		}
	}
}
