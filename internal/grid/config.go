package grid

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
	"github.com/xsend/xsend/internal/transfer"
)

// MaxRate is the most that the path may pass, in bits per second: the wire is shown to carry three times as much.
const MaxRate = 200_000_000

// Config is a grid. Zero means the default given.
type Config struct {
	Self    string // the program to run
	Version string // of it: results of another one are not mixed in
	State   string // file that keeps the turns, so that they can be gone on with; "" keeps none

	RealTime    bool            // both senders and the receiver have real-time priority
	Path        Path            // 0 = 200 Mbit/s, 100 packets
	Losses      []float64       // percent; nil = 0, 0.1, 1, 3
	RTTs        []time.Duration // nil = 1, 20, 80 ms
	Congestions []string        // nil = cubic, reno, bbr; what xsend hasn't got is skipped
	Turns       int             // of each cell; 0 = 3
	Limits      Limits          // of each run; 0 = 300 drops, 20 s

	Refine      bool          // then run cells whose median is below RefineBelow again
	RefineTurns int           // 0 = 9
	RefineTime  time.Duration // 0 = 60 s

	Say  func(string) // told what is being done
	Turn func(Turn)   // told of each turn
}

func (c *Config) setDefaults() {
	if c.Path.Rate == 0 {
		c.Path.Rate = MaxRate
	}
	if c.Path.MinQueue == 0 {
		c.Path.MinQueue = 100
	}
	if c.Losses == nil {
		c.Losses = []float64{0, 0.1, 1, 3}
	}
	if c.RTTs == nil {
		c.RTTs = []time.Duration{time.Millisecond, 20 * time.Millisecond, 80 * time.Millisecond}
	}
	if c.Congestions == nil {
		c.Congestions = []string{"cubic", "reno", "bbr"}
	}
	if c.Turns == 0 {
		c.Turns = 3
	}
	if c.Limits == (Limits{}) {
		c.Limits = Limits{Drops: 300, Time: 20 * time.Second}
	}
	if c.RefineTurns == 0 {
		c.RefineTurns = 9
	}
	if c.RefineTime == 0 {
		c.RefineTime = 60 * time.Second
	}
}

// Validate returns what is wrong with a grid, or nil.
func (c Config) Validate() error {
	c.setDefaults()
	return c.validate()
}

func (c *Config) validate() error {
	if c.Path.Rate < 1_000_000 || c.Path.Rate > MaxRate {
		return fmt.Errorf("rate of %d bit/s: choose 1M to 200M: the wire is not known to carry more", c.Path.Rate)
	}
	if c.Turns < 1 || c.RefineTurns < 1 || c.Limits.Time <= 0 || c.RefineTime <= 0 {
		return errors.New("turns and time: must be more than 0")
	}
	if c.Path.MinQueue < 1 {
		return fmt.Errorf("queue of %d packets: choose 1 or more", c.Path.MinQueue)
	}
	for _, cell := range c.cells() {
		if cell.RTT <= 0 {
			return fmt.Errorf("RTT of %v: must be more than 0", cell.RTT)
		}
		if err := c.Path.wire(cell, 1).Validate(); err != nil {
			return err
		}
	}
	return nil
}

func (c *Config) cells() []Cell { return cells(c.Congestions, c.Losses, c.RTTs) }

// known splits the cells by whether xsend has their congestion control.
func (c *Config) known() (run, skipped []Cell) {
	have := transfer.Congestions()
	for _, cell := range c.cells() {
		if slices.Contains(have, cell.Congestion) {
			run = append(run, cell)
		} else {
			skipped = append(skipped, cell)
		}
	}
	return run, skipped
}

// labConfig is the lab for a grid or a race of flows.
func labConfig(name string, first netem.Config, self string) lab.Config {
	return lab.Config{Name: name, Wire: &first, Program: self}
}
