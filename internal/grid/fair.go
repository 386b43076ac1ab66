package grid

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/median"
	"github.com/xsend/xsend/internal/netem"
	"github.com/xsend/xsend/internal/transfer"
)

// FairSchema names the shape of FairResult.
const FairSchema = "xsend.fair/1"

// FairGoal is the least share of the bottleneck that either of two flows is to have.
const FairGoal = 0.35

// FairConfig is a race of two flows through one bottleneck. Zero means the default given.
type FairConfig struct {
	Self       string        // the program to run
	RealTime   bool          // both senders and the receiver have real-time priority
	Congestion string        // of both; "" = cubic, or reno where xsend hasn't got it
	Rate       int64         // bits of frame per second; 0 = 100 Mbit/s
	RTT        time.Duration // 0 = 20 ms
	Queue      int           // packets; 0 = a bandwidth-delay product, at least 100
	Time       time.Duration // 0 = 30 s
	Rounds     int           // of each race; 0 = 3

	Race func(Race) // told of each race
}

// FairResult is all races. Its JSON names are stable.
type FairResult struct {
	Schema     string        `json:"schema"`
	Congestion string        `json:"congestion"`
	Rate       int64         `json:"rate"`
	RTT        time.Duration `json:"rtt_ns"`
	Queue      int           `json:"queue"`
	Time       time.Duration `json:"time_ns"`
	Races      []Race        `json:"races"`
	Mixed      float64       `json:"xsend_share_beside_linux"` // median
	Own        float64       `json:"lesser_share_of_two"`      // median, of two flows of xsend
	Goal       float64       `json:"goal"`
	Met        bool          `json:"met"`
}

// Race is two flows at once. Its JSON names are stable.
type Race struct {
	Round      int        `json:"round"` // from 1
	Flows      [2]string  `json:"flows"`
	Rates      [2]float64 `json:"bits_per_second"` // of payload, since both had begun
	Share      float64    `json:"share"`           // of the first flow
	Unintended uint64     `json:"unintended"`      // packets lost that nobody asked to lose
}

func (c *FairConfig) setDefaults() {
	if c.Congestion == "" {
		c.Congestion = "reno"
		if slices.Contains(transfer.Congestions(), "cubic") {
			c.Congestion = "cubic"
		}
	}
	if c.Rate == 0 {
		c.Rate = 100_000_000
	}
	if c.RTT == 0 {
		c.RTT = 20 * time.Millisecond
	}
	if c.Queue == 0 {
		c.Queue = Path{c.Rate, 100}.queue(c.RTT)
	}
	if c.Time == 0 {
		c.Time = 30 * time.Second
	}
	if c.Rounds == 0 {
		c.Rounds = 3
	}
}

// Validate returns what is wrong with a race, or nil.
func (c FairConfig) Validate() error {
	c.setDefaults()
	return c.validate()
}

func (c *FairConfig) validate() error {
	if !slices.Contains(transfer.Congestions(), c.Congestion) {
		return fmt.Errorf("congestion control %s: xsend has %v", c.Congestion, transfer.Congestions())
	}
	if c.Rate < 1_000_000 || c.Rate > MaxRate {
		return fmt.Errorf("rate of %d bit/s: choose 1M to 200M: the wire is not known to carry more", c.Rate)
	}
	if c.Time < 0 || c.Rounds < 1 {
		return errors.New("time and rounds: must be more than 0")
	}
	return c.wire().Validate()
}

func (c *FairConfig) wire() netem.Config {
	w := Path{Rate: c.Rate, MinQueue: c.Queue}.wire(Cell{RTT: c.RTT}, 1)
	w.Forward.Queue = c.Queue
	return w
}

// Fair lets xsend share a bottleneck with the kernel's TCP, and two flows of xsend with each other.
func Fair(ctx context.Context, cfg FairConfig) (r FairResult, err error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return r, err
	}
	if err := hurry(cfg.RealTime); err != nil {
		return r, err
	}
	r = FairResult{Schema: FairSchema, Congestion: cfg.Congestion, Rate: cfg.Rate, RTT: cfg.RTT, Queue: cfg.Queue, Time: cfg.Time, Goal: FairGoal}
	l, err := lab.Up(ctx, labConfig("xsend-fair-"+strconv.Itoa(os.Getpid()), cfg.wire(), cfg.Self))
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	if err := widen(l); err != nil {
		return r, err
	}
	b := &bench{lab: l, self: cfg.Self}
	for round := 1; round <= cfg.Rounds; round++ {
		for _, flows := range [][2]string{{Xsend, Linux}, {Xsend, Xsend}} {
			race, err := b.race(ctx, &cfg, flows, round)
			if err != nil {
				return r, fmt.Errorf("%s beside %s: %w", flows[0], flows[1], err)
			}
			r.Races = append(r.Races, race)
			cfg.Race(race)
		}
	}
	r.conclude()
	return r, nil
}

// conclude takes medians over the rounds.
func (r *FairResult) conclude() {
	var mixed, own []float64
	lossy := false
	for _, race := range r.Races {
		if race.Flows[1] == Linux {
			mixed = append(mixed, race.Share)
		} else {
			own = append(own, min(race.Share, 1-race.Share))
		}
		lossy = lossy || race.Unintended > 0
	}
	r.Mixed, r.Own = median.Of(mixed), median.Of(own)
	r.Met = min(r.Mixed, 1-r.Mixed, r.Own) >= r.Goal && !lossy
}

// race runs two flows at once. Two of xsend are two connections of one program: an interface has one XDP
// program. In every other round Linux starts first.
func (b *bench) race(ctx context.Context, cfg *FairConfig, flows [2]string, round int) (r Race, err error) {
	r.Round, r.Flows = round, flows
	before, err := b.prepare(ctx, cfg.wire())
	if err != nil {
		return r, err
	}
	racers := []racer{{name: Xsend, streams: 2}}
	if flows[1] == Linux {
		racers = []racer{{name: Xsend, streams: 1}, {name: Linux, streams: 1}}
	}
	var readings []*reading
	var running []*process
	for i := range racers {
		to, err := receive(ctx, b.lab, racers[i].streams)
		if err != nil {
			return r, err
		}
		defer to.stop()
		racers[i].address = to.address
		for j := range to.conns {
			readings = append(readings, &to.conns[j])
		}
	}
	if round%2 == 0 {
		slices.Reverse(racers)
	}
	for _, who := range racers {
		p, err := start(ctx, b.lab, b.self, who.name, cfg.Congestion, who.address, who.streams)
		if err != nil {
			return r, err
		}
		defer p.end()
		running = append(running, p)
	}
	if r.Rates, err = timed(ctx, readings, running, cfg.Time); err != nil {
		return r, err
	}
	r.Share = r.Rates[0] / (r.Rates[0] + r.Rates[1])
	r.Unintended, err = b.unintended(before)
	return r, err
}

// racer is a program of a race.
type racer struct {
	name    string
	streams int
	address string
}

// timed waits until both flows have begun, and then so long.
func timed(ctx context.Context, flows []*reading, running []*process, d time.Duration) (rates [2]float64, err error) {
	var from [2]int64
	var begun time.Time
	for start := time.Now(); ; {
		if err := pause(ctx); err != nil {
			return rates, err
		}
		for _, p := range running {
			if err := p.failed(); err != nil {
				return rates, err
			}
		}
		one, two := flows[0].sample(), flows[1].sample()
		switch {
		case begun.IsZero() && one.bytes > 0 && two.bytes > 0:
			begun, from = time.Now(), [2]int64{one.bytes, two.bytes}
		case begun.IsZero() && time.Since(start) > firstByte:
			return rates, fmt.Errorf("nothing arrived on one of two connections within %v", firstByte)
		case !begun.IsZero() && time.Since(begun) >= d:
			took := time.Since(begun).Seconds()
			return [2]float64{float64(one.bytes-from[0]) * 8 / took, float64(two.bytes-from[1]) * 8 / took}, nil
		}
	}
}
