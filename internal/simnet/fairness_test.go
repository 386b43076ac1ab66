package simnet

import (
	"fmt"
	"testing"

	"github.com/xsend/xsend/tcp"
)

// contest is two streams through one bottleneck of 20 Mbit/s for 30 s, with a queue of one
// bandwidth-delay product.
type contest struct {
	first, second tcp.Congestion
	rtt           int               // ms
	late          tcp.Duration      // how much later the second begins; the 30 s begin with it
	handicap      func(*tcp.Config) // of the second; nil = none
}

func (c contest) String() string {
	return fmt.Sprintf("%s-%s-%dms-%ds", c.first, c.second, c.rtt, c.late/tcp.Second)
}

// share is the first stream's part of what arrived, in percent, and the rate of both in kbit/s.
func (c contest) share(t *testing.T, seed uint64) (percent, rate int) {
	const limit = 30 * tcp.Second
	trial := goodputRow{congestion: c.first, rtt: c.rtt}.trial(4)
	trial.Seed, trial.Streams, trial.Bytes = seed, 2, 100<<20
	// Two windows of one length and a queue that drops at its end may fall into step, one of
	// them always dropped (Floyd and Jacobson: On traffic phase effects, 1992).
	trial.Forward.Jitter = 2 * ms
	trial.TCP = func(cfg *tcp.Config) {
		if cfg.Flow.LocalPort != firstPort {
			cfg.Congestion = c.second
			if c.handicap != nil {
				c.handicap(cfg)
			}
		}
	}
	trial.Stagger = c.late
	var before [2]int64
	trial.At = append(trial.At, Action{c.late, func(r *Run) { before = r.both() }}, Action{c.late + limit, func(r *Run) {
		now := r.both()
		one, two := now[0]-before[0], now[1]-before[1]
		percent, rate = int(one*100/(one+two)), int((one+two)*8*int64(ms)/int64(limit))
		for _, s := range r.Streams {
			r.Poller.Abort(r.World.Now(), s.Stream)
		}
	}})
	r, err := trial.Do()
	if err == nil {
		err = r.Clean()
	}
	if err != nil {
		t.Fatalf("%v, seed %d: %v", c, seed, err)
	}
	return percent, rate
}

// both is what arrived of each of two streams.
func (r *Run) both() (n [2]int64) {
	for i, s := range r.Streams {
		if c := r.peerOf(s); c != nil {
			n[i] = c.Received()
		}
	}
	return n
}

// fair reports whether a share lies within 35:65.
func fair(percent int) bool { return 35 <= percent && percent <= 65 }

// Two streams share a bottleneck, whichever of them was first, and fill it together.
func TestFairness(t *testing.T) {
	if testing.Short() {
		t.Skip("transfers of 75 MB: not with -short")
	}
	contests := []contest{{first: tcp.Cubic, second: tcp.Reno, rtt: 20}}
	for _, cc := range tcp.Congestions() {
		if cc != tcp.Fixed { // which shares with nobody
			contests = append(contests,
				contest{first: cc, second: cc, rtt: 20},
				contest{first: cc, second: cc, rtt: 80},
				contest{first: cc, second: cc, rtt: 20, late: 10 * tcp.Second})
		}
	}
	for _, c := range contests {
		t.Run(c.String(), func(t *testing.T) {
			t.Parallel()
			for seed := *first; seed < *first+2; seed++ {
				percent, rate := c.share(t, seed)
				t.Logf("seed %d: %d:%d of %d kbit/s", seed, percent, 100-percent, rate)
				if !fair(percent) || rate < 16_000 {
					t.Errorf("seed %d: %d:%d of %d kbit/s", seed, percent, 100-percent, rate)
				}
			}
		})
	}
}

// The controls: with small segments a window of so many segments is a smaller one, and who
// does not give way takes all.
func TestUnfairnessIsSeen(t *testing.T) {
	if testing.Short() {
		t.Skip("transfers of 75 MB: not with -short")
	}
	for what, c := range map[string]contest{
		"small segments":    {first: tcp.Reno, second: tcp.Reno, rtt: 20, handicap: func(cfg *tcp.Config) { cfg.MSS = 400 }},
		"a constant window": {first: tcp.Reno, second: tcp.Fixed, rtt: 20, handicap: func(cfg *tcp.Config) { cfg.FixedWindow = 100_000 }},
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			if percent, rate := c.share(t, *first); fair(percent) {
				t.Errorf("%d:%d of %d kbit/s looks fair", percent, 100-percent, rate)
			} else {
				t.Logf("%d:%d of %d kbit/s", percent, 100-percent, rate)
			}
		})
	}
}
