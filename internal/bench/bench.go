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

// Schema names the shape of Result.
const Schema = "xsend.bench/1"

// Goal is the least goodput of xsend that is good enough, as a part of the lesser of the other two.
const Goal = 0.8

// The contenders.
const (
	Xsend    = "xsend"
	Sendfile = "sendfile"
	Raw      = "raw"
)

// Config is one comparison. Zero means the default given.
type Config struct {
	Self   string // the program to run
	Rounds int    // 0 = 5
	Bytes  int64  // of the file; 0 = 512 MiB
	MTU    int    // bytes; 0 = 1500

	Say func(string) // told what is being done
	Run func(Run)    // told of each run
}

// Run is one contender's turn. Its JSON names are stable.
type Run struct {
	Round         int     `json:"round"` // from 1
	Contender     string  `json:"contender"`
	BitsPerSecond float64 `json:"bits_per_second"` // of payload
	CPUPerGB      float64 `json:"cpu_s_per_gb"`    // the sender's processor time for 1e9 bytes of payload
	Congestion    string  `json:"congestion,omitempty"`
}

// Result is a comparison. Its JSON names are stable.
type Result struct {
	Schema string             `json:"schema"`
	MTU    int                `json:"mtu"`
	Bytes  int64              `json:"bytes"`
	Runs   []Run              `json:"runs"`
	Median map[string]float64 `json:"median_bits_per_second"`
	CPU    map[string]float64 `json:"median_cpu_s_per_gb"`
	// The medians of the ratios within a round.
	OverSendfile float64 `json:"xsend_over_sendfile"`
	OverRaw      float64 `json:"xsend_over_raw"`
	OverLesser   float64 `json:"xsend_over_lesser"`
	Goal         float64 `json:"goal"`
	GoalMet      bool    `json:"goal_met"`
}

func (c *Config) setDefaults() {
	if c.Rounds == 0 {
		c.Rounds = 5
	}
	if c.Bytes == 0 {
		c.Bytes = 512 << 20
	}
	if c.MTU == 0 {
		c.MTU = 1500
	}
}

// Compare makes the lab and the file, lets the contenders run, and removes everything.
func Compare(ctx context.Context, cfg Config) (res Result, err error) {
	cfg.setDefaults()
	res = Result{Schema: Schema, MTU: cfg.MTU, Bytes: cfg.Bytes, Goal: Goal}
	cfg.Say(fmt.Sprintf("making a file of %d bytes", cfg.Bytes))
	file, err := child.MakeFile(cfg.Bytes)
	if err != nil {
		return res, fmt.Errorf("file to send: %w", err)
	}
	defer func() { err = errors.Join(err, file.Remove()) }()
	l, err := lab.Up(ctx, lab.Config{Name: "xsend-bench-" + strconv.Itoa(os.Getpid()), MTU: cfg.MTU})
	if err != nil {
		return res, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	ring := &track{cfg: cfg, lab: l, file: file.Path}
	for round := range cfg.Rounds {
		for i := range contenders {
			c := contenders[(round+i)%len(contenders)]
			r, err := c.run(ctx, ring)
			if err != nil {
				return res, fmt.Errorf("%s: %w", c.name, err)
			}
			r.Round, r.Contender = round+1, c.name
			res.Runs = append(res.Runs, r)
			cfg.Run(r)
		}
	}
	res.conclude()
	return res, nil
}

// conclude computes medians and ratios.
func (r *Result) conclude() {
	rate, cpu := map[string][]float64{}, map[string][]float64{}
	for _, run := range r.Runs {
		rate[run.Contender] = append(rate[run.Contender], run.BitsPerSecond)
		cpu[run.Contender] = append(cpu[run.Contender], run.CPUPerGB)
	}
	r.Median, r.CPU = map[string]float64{}, map[string]float64{}
	for name := range rate {
		r.Median[name], r.CPU[name] = median.Of(rate[name]), median.Of(cpu[name])
	}
	var overSendfile, overRaw, overLesser []float64
	for i, x := range rate[Xsend] {
		overSendfile = append(overSendfile, x/rate[Sendfile][i])
		overRaw = append(overRaw, x/rate[Raw][i])
		overLesser = append(overLesser, x/min(rate[Sendfile][i], rate[Raw][i]))
	}
	r.OverSendfile, r.OverRaw, r.OverLesser = median.Of(overSendfile), median.Of(overRaw), median.Of(overLesser)
	r.GoalMet = r.OverLesser >= Goal
}
