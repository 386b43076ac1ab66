package grid

import (
	"math"
	"slices"
	"testing"
	"time"
)

func near(got, want float64) bool { return math.Abs(got-want) < 1e-4 }

// turnOf is a turn with those rates.
func turnOf(c Cell, number int, xsend, linux float64) Turn {
	t := Turn{Cell: c, Number: number, Runs: [2]Run{{Contender: Xsend, BitsPerSecond: xsend, Lost: 5}, {Contender: Linux, BitsPerSecond: linux, Lost: 7}}}
	if number%2 == 0 {
		t.Runs[0], t.Runs[1] = t.Runs[1], t.Runs[0]
	}
	return t
}

func TestRatiosArePaired(t *testing.T) {
	c := Cell{"reno", 1, time.Millisecond}
	// The machine gets faster from turn to turn: medians across turns would say something else.
	turns := []Turn{turnOf(c, 1, 9, 10), turnOf(c, 2, 21, 20), turnOf(c, 3, 50, 40), turnOf(Cell{"cubic", 1, time.Millisecond}, 1, 1, 10)}
	r := concludeCell(c, turns)
	if !near(r.Ratio, 1.05) || r.N != 3 || r.Xsend != 21 || r.Linux != 20 || r.Lost != [2]int{5, 7} {
		t.Errorf("%+v", r)
	}
}

func TestVerdicts(t *testing.T) {
	cfg := Config{Congestions: []string{"reno", "bbr", "cubic"}}
	good, weak, lossy := Cell{"reno", 1, 1}, Cell{"reno", 1, 2}, Cell{"bbr", 3, 1}
	run := []Cell{good, weak, lossy}
	var turns []Turn
	for n := 1; n <= 3; n++ {
		turns = append(turns, turnOf(good, n, 110, 100), turnOf(weak, n, 75, 100), turnOf(lossy, n, 1, 100))
	}
	refined := func(xsend float64) Result {
		all := slices.Clone(turns)
		for n := 1; n <= 9; n++ {
			u := turnOf(weak, n, xsend, 100)
			u.Refined = true
			all = append(all, u)
		}
		return conclude(&cfg, all, run, nil)
	}
	for _, c := range []struct {
		name         string
		r            Result
		missed, weak int
		met          bool
	}{
		{"not refined yet", conclude(&cfg, turns, run, nil), 0, 1, false},
		{"refined, better", refined(93), 0, 0, true},
		{"refined, within the goal", refined(82), 0, 0, true},
		{"refined, missed", refined(70), 1, 0, false},
	} {
		if len(c.r.Congestions) != 1 { // bbr at 3 % is shown and not judged; there is no cubic
			t.Fatalf("%s: %+v", c.name, c.r.Congestions)
		}
		if v := c.r.Congestions[0]; v.Missed != c.missed || v.Weak != c.weak || v.Met != c.met || v.Judged != 2 {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	if got := weakCells(turns, run); !slices.Equal(got, []Cell{weak, lossy}) {
		t.Errorf("weak cells: %v", got)
	}
	// What was refined stays weak: a grid that goes on would stop half-way otherwise.
	u := turnOf(weak, 1, 99, 100)
	u.Refined = true
	if got := weakCells(append(slices.Clone(turns), u, u, u, u), run); !slices.Contains(got, weak) {
		t.Errorf("weak cells after some refined turns: %v", got)
	}
}

func TestQueueIsABandwidthDelayProduct(t *testing.T) {
	p := Path{Rate: 200_000_000, MinQueue: 100}
	for rtt, want := range map[time.Duration]int{time.Millisecond: 100, 20 * time.Millisecond: 330, 80 * time.Millisecond: 1321} {
		if got := p.queue(rtt); got != want {
			t.Errorf("RTT %v: %d packets, want %d", rtt, got, want)
		}
	}
	w := p.wire(Cell{"reno", 3, time.Millisecond}, 9)
	if w.Forward.Delay+w.Reverse.Delay != time.Millisecond || w.Forward.Loss != 3 || w.Reverse.Loss != 0 || w.Seed != 9 {
		t.Errorf("%+v", w)
	}
}

func TestWhatXsendHasNotIsSkipped(t *testing.T) {
	cfg := Config{Congestions: []string{"reno", "vegas"}, Losses: []float64{0, 1}}
	cfg.setDefaults()
	run, skipped := cfg.known()
	if len(run) != 6 || len(skipped) != 6 || run[0].Congestion != "reno" || skipped[0].Congestion != "vegas" {
		t.Errorf("run %v, skipped %v", run, skipped)
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for n := 1; n <= 9; n++ {
		for _, refined := range []bool{false, true} {
			seen[seed(Turn{Number: n, Refined: refined})] = true
		}
	}
	if len(seen) != 18 || seen[0] {
		t.Errorf("%d seeds", len(seen))
	}
}
