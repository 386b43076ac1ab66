package bench

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"

	"github.com/xsend/xsend/internal/child"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/median"
)

// JumboSchema names the shape of JumboResult.
const JumboSchema = "xsend.jumbo/1"

// What packets of 9000 bytes over several frames are to be worth, as multiples of what those of 1500 bytes are.
const (
	RawJumboGoal = 2.0
	TCPJumboGoal = 1.3
)

// JumboResult compares packets of 9000 bytes, of three descriptors and more, with those of 1500 bytes in one. Its JSON
// names are stable.
type JumboResult struct {
	Schema  string    `json:"schema"`
	Rounds  int       `json:"rounds"`
	Raw     []float64 `json:"raw_ratios"` // one for each round
	TCP     []float64 `json:"tcp_ratios"`
	OverRaw float64   `json:"raw_median_ratio"`
	OverTCP float64   `json:"tcp_median_ratio"`
	GoalMet bool      `json:"goal_met"`
}

// CompareJumbo runs both sizes in turn, each in a lab of its own.
func CompareJumbo(ctx context.Context, cfg Config) (res JumboResult, err error) {
	cfg.setDefaults()
	res = JumboResult{Schema: JumboSchema, Rounds: cfg.Rounds}
	cfg.Say(fmt.Sprintf("making a file of %d bytes", cfg.Bytes))
	file, err := child.MakeFile(cfg.Bytes)
	if err != nil {
		return res, fmt.Errorf("file to send: %w", err)
	}
	defer func() { err = errors.Join(err, file.Remove()) }()
	var tracks [2]*track
	for i, mtu := range []int{1500, 9000} {
		l, err := lab.Up(ctx, lab.Config{Name: fmt.Sprintf("xsend-jumbo-%d-%d", os.Getpid(), mtu), MTU: mtu})
		if err != nil {
			return res, err
		}
		defer func() { err = errors.Join(err, l.Close()) }()
		tracks[i] = &track{cfg: cfg, lab: l, file: file.Path}
	}
	for round := range cfg.Rounds {
		for _, c := range []contender{contenders[0], contenders[2]} {
			ratio, err := res.pair(ctx, &cfg, tracks, c, round)
			if err != nil {
				return res, fmt.Errorf("%s: %w", c.name, err)
			}
			if c.name == Raw {
				res.Raw = append(res.Raw, ratio)
			} else {
				res.TCP = append(res.TCP, ratio)
			}
		}
	}
	res.OverRaw, res.OverTCP = median.Of(res.Raw), median.Of(res.TCP)
	res.GoalMet = res.OverRaw >= RawJumboGoal && res.OverTCP >= TCPJumboGoal
	return res, nil
}

// pair runs one contender with both sizes, the other one first in every second round.
func (r *JumboResult) pair(ctx context.Context, cfg *Config, tracks [2]*track, c contender, round int) (float64, error) {
	var rate [2]float64
	for i := range tracks {
		at := (i + round) % 2
		run, err := c.run(ctx, tracks[at])
		if err != nil {
			return 0, err
		}
		rate[at] = run.BitsPerSecond
		run.Round, run.Contender = round+1, c.name+" "+strconv.Itoa(1500+at*7500)
		cfg.Run(run)
	}
	return rate[1] / rate[0], nil
}
