package dataplane

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
)

// Every number of a ledger that is wrong by one is noticed: by a line that does not add up and is named, or as a fault of
// its own; and Add forgets none.
func TestEveryNumberOfTheLedgerCounts(t *testing.T) {
	var twice, once Ledger
	for i := range reflect.TypeFor[Ledger]().NumField() {
		name := reflect.TypeFor[Ledger]().Field(i).Name
		var l Ledger
		reflect.ValueOf(&l).Elem().Field(i).SetUint(1)
		reflect.ValueOf(&once).Elem().Field(i).SetUint(uint64(i + 1))
		faults := 0
		for _, line := range l.Faults() {
			faults += int(line.N)
		}
		err := l.Balanced()
		if faults > 1 || faults == 0 && err == nil {
			t.Errorf("%s: %d faults, %v", name, faults, err)
		}
		if err != nil && (!errors.Is(err, ErrUnbalanced) || strings.Count(err.Error(), "\n") > 0) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice.Add(once)
	twice.Add(once)
	for i := range reflect.TypeFor[Ledger]().NumField() {
		if n := reflect.ValueOf(twice).Field(i).Uint(); n != 2*uint64(i+1) {
			t.Errorf("%s: %d after two additions of %d", reflect.TypeFor[Ledger]().Field(i).Name, n, i+1)
		}
	}
	for line, l := range map[string]Ledger{
		"descriptors": {Submitted: 3, Completed: 1, Quarantined: 1}, "bytes": {Written: 3, Released: 1, Aborted: 1},
		"commits": {Commits: 3, Releases: 2}, "frames": {Frames: 3, Placed: 2},
	} {
		if err := l.Balanced(); err == nil || !strings.Contains(err.Error(), line) {
			t.Errorf("%s: %v", line, err)
		}
	}
	if l := (Ledger{Written: 5, Held: 5, Commits: 1, Open: 1}); l.Balanced() != nil || l.Settled() == nil {
		t.Errorf("bytes on their way: %v, at the end %v", l.Balanced(), l.Settled())
	}
}

// Books that are wrong are noticed between two Steps, whatever is wrong with them.
func TestBooksNoticeWhatIsWrong(t *testing.T) {
	g, c := start(t, nil)
	g.port.hold = true // some frames are on their way
	for range 20 {
		c.push()
		g.step()
	}
	if _, err := g.p.BooksNow(); err != nil {
		t.Fatal(err)
	}
	s := c.s
	for name, wrong := range map[string]struct{ spoil, mend func() }{
		"a frame vanished from a stream": {func() { s.committed-- }, func() { s.committed++ }},
		"a writer was lent one more":     {func() { s.writer.lane.lent++ }, func() { s.writer.lane.lent-- }},
		"a frame fewer to receive into":  {func() { g.p.filled-- }, func() { g.p.filled++ }},
		"a descriptor went uncounted":    {func() { g.p.counters.Submitted-- }, func() { g.p.counters.Submitted++ }},
		"bytes were released twice":      {func() { g.p.counters.BytesReleased += 9 }, func() { g.p.counters.BytesReleased -= 9 }},
		"a release too many":             {func() { g.p.counters.Releases++ }, func() { g.p.counters.Releases-- }},
	} {
		wrong.spoil()
		if _, err := g.p.BooksNow(); !errors.Is(err, ErrUnbalanced) {
			t.Errorf("%s: %v", name, err)
		}
		wrong.mend()
	}
	g.port.hold = false
	g.port.finish(len(g.port.held))
	g.goOn(c)
	g.finish()
}

// BenchmarkBooks is one sample of a region of 4096 frames, of which nearly all are in flight.
func BenchmarkBooks(b *testing.B) {
	g := newRig(b, 4096-rigRx-rigReserve, func(c *Config) { c.TrustRX, c.Times = true, true })
	w := g.writer(0)
	cfg := g.config()
	cfg.Congestion, cfg.NoPacing = tcp.Fixed, true
	s, err := g.p.Open(g.now, w, cfg)
	must(b, err)
	g.until("established", s.Established)
	g.port.hold = true
	for range 4000 {
		if buf, ok := w.Reserve(s); ok {
			w.Commit(s, buf, len(buf.Bytes), 0)
		}
		g.p.Step(g.now)
		g.p.Notify(false)
	}
	b.Run("books", func(b *testing.B) {
		for b.Loop() {
			if _, err := g.p.BooksNow(); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(s.committed), "committed")
	})
	b.Run("times", func(b *testing.B) {
		for b.Loop() {
			g.p.TimesNow()
		}
	})
}
