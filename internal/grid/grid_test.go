package grid

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/netem"
)

// played is a grid with senders of the test's own.
type played struct {
	t    *testing.T
	cfg  Config
	kept state
	log  []string                             // who ran where
	rate func(who string, c netem.Config) Run // what comes out
}

func newPlayed(t *testing.T) *played {
	p := &played{t: t, rate: func(string, netem.Config) Run { return Run{BitsPerSecond: 1} }}
	p.cfg = Config{
		Congestions: []string{"reno"}, Losses: []float64{1}, RTTs: []time.Duration{time.Millisecond, 2 * time.Millisecond}, Turns: 2,
		Say: func(string) {}, Turn: func(Turn) {},
	}
	p.cfg.setDefaults()
	return p
}

func (p *played) run(_ context.Context, who, congestion string, wire netem.Config, limits Limits) (Run, error) {
	p.log = append(p.log, fmt.Sprintf("%s %v seed %d %v", who, wire.Forward.Delay+wire.Reverse.Delay, wire.Seed, limits.Time))
	r := p.rate(who, wire)
	r.Contender, r.Sender.Congestion = who, congestion
	return r, nil
}

func (p *played) play() error { return p.cfg.play(p.t.Context(), p.run, &p.kept, p.cfg.cells()) }

// TestTurnsAlternate: both contenders meet the same losses, who begins changes, and no cell has all its turns at once.
func TestTurnsAlternate(t *testing.T) {
	p := newPlayed(t)
	if err := p.play(); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"xsend 1ms seed 1 20s", "linux 1ms seed 1 20s", "xsend 2ms seed 1 20s", "linux 2ms seed 1 20s",
		"linux 1ms seed 2 20s", "xsend 1ms seed 2 20s", "linux 2ms seed 2 20s", "xsend 2ms seed 2 20s",
	}
	if !slices.Equal(p.log, want) {
		t.Errorf("ran %q, want %q", p.log, want)
	}
	p.log = nil
	if err := p.play(); err != nil || len(p.log) != 0 {
		t.Errorf("gone on with: ran %q, %v, want nothing", p.log, err)
	}
}

// TestVoidTurnsAreRunAgain: a packet lost by accident makes both runs of the turn void.
func TestVoidTurnsAreRunAgain(t *testing.T) {
	p := newPlayed(t)
	accidents := 2
	p.rate = func(who string, _ netem.Config) Run {
		if who == Linux && accidents > 0 {
			accidents--
			return Run{BitsPerSecond: 100, Unintended: 1}
		}
		return Run{BitsPerSecond: 1}
	}
	if err := p.play(); err != nil {
		t.Fatal(err)
	}
	if first := p.kept.Parts[0]; first.Void != 2 || first.Ratio() != 1 || len(p.log) != 12 {
		t.Errorf("%d runs, the first turn: %+v", len(p.log), first)
	}
	p = newPlayed(t)
	p.rate = func(string, netem.Config) Run { return Run{Unintended: 1} }
	if err := p.play(); !errors.Is(err, ErrLossy) || len(p.kept.Parts) != 0 || len(p.log) != 2*attempts {
		t.Errorf("%v after %d runs, %d turns kept", err, len(p.log), len(p.kept.Parts))
	}
}

// TestRefineRunsWeakCellsLonger, and no others.
func TestRefineRunsWeakCellsLonger(t *testing.T) {
	p := newPlayed(t)
	p.cfg.Refine, p.cfg.RefineTurns = true, 3
	p.rate = func(who string, c netem.Config) Run {
		if who == Xsend && c.Forward.Delay == time.Millisecond { // the RTT of 2 ms
			return Run{BitsPerSecond: 85}
		}
		return Run{BitsPerSecond: 100}
	}
	if err := p.play(); err != nil {
		t.Fatal(err)
	}
	for _, line := range p.log[8:] {
		if !strings.Contains(line, " 2ms seed 100") || !strings.HasSuffix(line, " 1m0s") {
			t.Errorf("ran %q", line)
		}
	}
	if len(p.log) != 8+6 {
		t.Errorf("%d runs, want 8 and 6 more", len(p.log))
	}
	r := conclude(&p.cfg, p.kept.Parts, p.cfg.cells(), nil)
	if c := r.Cells[1]; c.N != 5 || c.Refined != 3 || c.Weak || c.Missed || c.Ratio != 0.85 {
		t.Errorf("%+v", c)
	}
}

// TestSenderThatFailsEndsTheGrid with what it says, and keeps the turns so far.
func TestSenderThatFailsEndsTheGrid(t *testing.T) {
	p := newPlayed(t)
	broken := errors.New("broken")
	run := func(ctx context.Context, who, congestion string, wire netem.Config, limits Limits) (Run, error) {
		if len(p.log) == 3 {
			return Run{}, broken
		}
		return p.run(ctx, who, congestion, wire, limits)
	}
	if err := p.cfg.play(t.Context(), run, &p.kept, p.cfg.cells()); !errors.Is(err, broken) || len(p.kept.Parts) != 1 {
		t.Errorf("%v, %d turns kept", err, len(p.kept.Parts))
	}
}
