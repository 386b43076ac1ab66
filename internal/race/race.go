package race

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotStarted is in an error after which nothing has been sent.
var ErrNotStarted = errors.New("race not started")

// heat is a row of a block: a place, and what runs there.
type heat struct {
	at    place
	block int
	row   *Row
	loss  *float64
}

// Run runs a race and removes everything that it made. The error says that it didn't come to its end; what it has shown
// is in the result's Verdict.
func Run(ctx context.Context, cfg Config) (res Result, err error) {
	if err := cfg.Validate(); err != nil {
		return res, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	cfg.setDefaults()
	begin := time.Now()
	res = Result{
		Schema: Schema, Version: cfg.Version, Time: begin, Kernel: kernelRelease(), Interface: cfg.Interface, Target: cfg.Target, Turns: cfg.Turns,
		Bytes: cfg.roundsOf() * cfg.Round * int64(cfg.Turns), Round: cfg.Round, Buffers: cfg.Buffers, Seed: cfg.Seed, LateMS: cfg.Late.Seconds() * 1e3,
	}
	places, err := cfg.open(ctx, &res)
	defer func() {
		for _, p := range places {
			err = errors.Join(err, p.close())
		}
		res.Seconds = time.Since(begin).Seconds()
	}()
	if err != nil {
		return res, fmt.Errorf("%w: %w", ErrNotStarted, err)
	}
	if err := cfg.runAll(ctx, cfg.heats(&res, places)); err != nil {
		return res, err
	}
	for i, p := range places {
		if res.Blocks[i].Dropped, err = p.dropped(); err != nil {
			return res, err
		}
		for j := range res.Blocks[i].Rows {
			res.Blocks[i].Rows[j].conclude(res.Blocks[i].Loss)
		}
	}
	res.Verdict = Judge(res.Blocks)
	return res, nil
}

// open makes the places, a block for each.
func (c *Config) open(ctx context.Context, res *Result) (places []place, err error) {
	if c.Target != "" {
		p, err := c.newPath(ctx)
		if err != nil {
			return nil, err
		}
		res.Blocks = []Block{{}}
		return []place{p}, nil
	}
	for i, loss := range c.Losses {
		c.Say(fmt.Sprintf("making two network namespaces joined by %s, with %g %% loss", c.joint(), loss))
		a, err := c.newArena(ctx, i, loss)
		if err != nil {
			return places, err
		}
		places = append(places, a)
		res.Blocks = append(res.Blocks, Block{Loss: &loss})
	}
	res.MTU, res.RTTMS, res.Rate = c.MTU, c.RTT.Seconds()*1e3, c.Rate
	if res.MTU == 0 {
		res.MTU = 1500
	}
	return places, nil
}

// joint is what is between two namespaces.
func (c *Config) joint() string {
	if c.RTT == 0 {
		return "a veth pair"
	}
	return fmt.Sprintf("a wire with an RTT of %v", c.RTT)
}

// heats are the rows of all blocks.
func (c *Config) heats(res *Result, places []place) (heats []heat) {
	for i := range res.Blocks {
		b := &res.Blocks[i]
		for _, name := range c.Rows {
			s, _ := lookup(name) // validated
			b.Rows = append(b.Rows, Row{Sender: s})
		}
		for j := range b.Rows {
			heats = append(heats, heat{places[i], i, &b.Rows[j], b.Loss})
		}
	}
	return heats
}

// runAll runs each row once in a turn, in an order of that turn's own, so that what else the machine does meets all of them.
func (c *Config) runAll(ctx context.Context, heats []heat) error {
	count := 0
	for turn := 1; turn <= c.Turns; turn++ {
		order := rand.New(rand.NewPCG(c.Seed, uint64(turn))).Perm(len(heats))
		for _, i := range order {
			h := &heats[i]
			if err := h.at.lose(c.Seed<<8 + uint64(turn)); err != nil {
				return err
			}
			m, err := c.measure(ctx, h.at, h.row.Sender)
			if err != nil {
				return err
			}
			h.row.add(m)
			count++
			c.Done(Progress{
				Sender: h.row.Sender, Loss: h.loss, Turn: turn, Count: count, All: c.Turns * len(heats), Reason: m.lacking + m.failed,
				Bytes: m.verdict.Bytes, Corrupted: m.verdict.WrongBytes,
			})
		}
	}
	return nil
}

func kernelRelease() string {
	var u unix.Utsname
	_ = unix.Uname(&u) // fails for a bad address only
	return unix.ByteSliceToString(u.Release[:])
}
