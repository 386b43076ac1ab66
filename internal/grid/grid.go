package grid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
)

// Turn is both contenders' run in a cell, one right after the other. Its JSON names are stable.
type Turn struct {
	Cell    Cell          `json:"cell"`
	Number  int           `json:"number"` // from 1
	Refined bool          `json:"refined,omitempty"`
	Time    time.Duration `json:"time_ns"` // the limit that it was run with
	Seed    uint64        `json:"seed"`
	Runs    [2]Run        `json:"runs"` // in the order in which they ran
	Void    int           `json:"void"` // how often it had to be run again, for packets lost that nobody asked to lose
}

// of returns a contender's run.
func (t *Turn) of(who string) Run {
	if t.Runs[0].Contender == who {
		return t.Runs[0]
	}
	return t.Runs[1]
}

// Ratio is xsend's goodput over Linux's.
func (t *Turn) Ratio() float64 { return t.of(Xsend).BitsPerSecond / t.of(Linux).BitsPerSecond }

// attempts is how often a turn is run before the grid gives up.
const attempts = 4

// ErrLossy is returned when a turn lost packets that nobody asked to lose, every time it was tried.
var ErrLossy = errors.New("packets get lost that nobody asked to lose: the machine is too busy for this rate; try a lower one")

// Measure runs the grid and returns what came out. Turns that a state file has are not run again.
func Measure(ctx context.Context, cfg Config) (res Result, err error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return res, err
	}
	kept, err := openState(cfg.State, header{stateSchema, cfg.Version, cfg.Path, cfg.Limits, cfg.RealTime})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, kept.Close()) }()
	if err := hurry(cfg.RealTime); err != nil {
		return res, err
	}
	run, skipped := cfg.known()
	if err := cfg.rounds(ctx, kept, run); err != nil {
		return res, err
	}
	return conclude(&cfg, kept.Parts, run, skipped), nil
}

// runner lets a contender send over a wire (bench.run).
type runner func(ctx context.Context, who, congestion string, wire netem.Config, limits Limits) (Run, error)

// rounds makes the lab and runs what the state hasn't got.
func (c *Config) rounds(ctx context.Context, kept *state, all []Cell) (err error) {
	if len(all) == 0 {
		return nil
	}
	b, err := c.build(ctx, c.Path, all[0])
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.lab.Close()) }()
	return c.play(ctx, b.run, kept, all)
}

// play runs the turns that the state hasn't got.
func (c *Config) play(ctx context.Context, run runner, kept *state, all []Cell) error {
	for number := 1; number <= c.Turns; number++ {
		for _, cell := range all {
			if err := c.turn(ctx, run, kept, Turn{Cell: cell, Number: number}, c.Limits); err != nil {
				return err
			}
		}
	}
	if !c.Refine {
		return nil
	}
	return c.refine(ctx, run, kept, all)
}

// refine runs the weak cells again, longer.
func (c *Config) refine(ctx context.Context, run runner, kept *state, all []Cell) error {
	weak := weakCells(kept.Parts, all)
	for number := 1; number <= c.RefineTurns; number++ {
		for _, cell := range weak {
			t := Turn{Cell: cell, Number: number, Refined: true}
			if err := c.turn(ctx, run, kept, t, Limits{Time: c.RefineTime}); err != nil {
				return err
			}
		}
	}
	return nil
}

// build makes a lab whose kernels have buffers for the path.
func (c *Config) build(ctx context.Context, path Path, first Cell) (*bench, error) {
	c.Say(fmt.Sprintf("a wire of %d Mbit/s, a queue of a bandwidth-delay product, at least %d packets", path.Rate/1_000_000, path.MinQueue))
	l, err := lab.Up(ctx, labConfig("xsend-grid-"+strconv.Itoa(os.Getpid()), path.wire(first, 1), c.Self))
	if err != nil {
		return nil, err
	}
	if err := widen(l); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return &bench{lab: l, self: c.Self}, nil
}

// hurry gives this process, and with it the receiver and all senders, real-time priority.
func hurry(asked bool) error {
	if asked && !netem.Hurry() {
		return errors.New("real-time priority is refused: run as root, or without it")
	}
	return nil
}

// widen gives both kernels room for any path of the grid, and keeps the sender's from remembering the last run's.
// They are settings of the namespaces, and go with them.
func widen(l *lab.Lab) error {
	for _, end := range []string{lab.Sender, lab.Receiver} {
		if err := l.Do(end, func() error {
			for key, value := range map[string]string{
				"tcp_rmem": "4096 131072 67108864", "tcp_wmem": "4096 65536 67108864", "tcp_no_metrics_save": "1",
			} {
				if err := os.WriteFile("/proc/sys/net/ipv4/"+key, []byte(value), 0); err != nil {
					return fmt.Errorf("set net.ipv4.%s: %w", key, err)
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	return nil
}

// turn lets both contenders run, xsend first in turns with an odd number, unless it is there already.
func (c *Config) turn(ctx context.Context, run runner, kept *state, t Turn, limits Limits) error {
	if kept.has(t.Cell, t.Number, t.Refined) {
		return nil
	}
	order := [2]string{Xsend, Linux}
	if t.Number%2 == 0 {
		order = [2]string{Linux, Xsend}
	}
	t.Time, t.Seed = limits.Time, seed(t)
	for ; t.Void < attempts; t.Void++ {
		lossy := false
		for i, who := range order {
			var err error
			if t.Runs[i], err = run(ctx, who, t.Cell.Congestion, c.Path.wire(t.Cell, t.Seed), limits); err != nil {
				return fmt.Errorf("%s in the cell %v, turn %d: %w", who, t.Cell, t.Number, err)
			}
			lossy = lossy || t.Runs[i].Unintended > 0
		}
		if !lossy {
			c.Turn(t)
			return kept.Add(t)
		}
		c.Say(fmt.Sprintf("%v, turn %d: %d and %d packets lost that nobody asked to lose: again", t.Cell, t.Number, t.Runs[0].Unintended, t.Runs[1].Unintended))
	}
	return fmt.Errorf("the cell %v: %w", t.Cell, ErrLossy)
}

// seed is another one in each turn, and the same each time the grid is run.
func seed(t Turn) uint64 {
	n := uint64(t.Number)
	if t.Refined {
		n += 1000
	}
	return n
}
