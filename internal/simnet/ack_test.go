package simnet

import (
	"flag"
	"fmt"
	"runtime/debug"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

var (
	seeds = flag.Int("simnet.seeds", 200, "seeds for each scenario")
	first = flag.Uint64("simnet.first", 1, "first seed")
)

// some is n, and a tenth of it with -short.
func some(n int) int {
	if testing.Short() {
		return max(1, n/10)
	}
	return n
}

// TestReleaseOnAckAndCompletion is the proof: whatever happens, the receiver gets the
// promised bytes although the writer overwrites each frame the moment it is handed
// back; no byte changes under the NIC's eyes; every frame comes back; the sums are right.
func TestReleaseOnAckAndCompletion(t *testing.T) {
	for i := range scenarios {
		s := &scenarios[i]
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.run(t, some(*seeds))
		})
	}
}

func (s *scenario) run(t *testing.T, n int) {
	region := trialRegion(t)
	var sum tally
	var longest tcp.Time
	slowest := uint64(0)
	for seed := *first; seed < *first+uint64(n); seed++ {
		took, err := s.try(seed, region, &sum)
		if err != nil {
			t.Error(err)
		}
		if took > longest {
			longest, slowest = took, seed
		}
	}
	t.Logf("%s: slowest: seed %d, %d ms", s.name, slowest, longest/ms)
	if t.Failed() || n < 50 {
		return
	}
	if what := s.prove(&sum); what != "" {
		t.Errorf("%s: no %s in %d seeds: the scenario tests nothing: %+v", s.name, what, n, sum)
	}
}

// trialRegion is memory for one trial after the other.
func trialRegion(t *testing.T) *umem.Region {
	region, err := umem.Map(umem.Config{Frames: regionFrames, ChunkSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = region.Close() })
	return region
}

// try runs the trial of one seed and adds it to sum. The error names what is not as it
// must be.
func (s *scenario) try(seed uint64, region *umem.Region, sum *tally) (took tcp.Duration, err error) {
	defer func() {
		if p := recover(); p != nil { // an invariant of ours: the seed must be known
			err = fmt.Errorf("%s, seed %d: panic: %v\n%s", s.name, seed, p, debug.Stack())
		}
	}()
	trial := s.trial(seed)
	if trial.Frames <= regionFrames {
		trial.Region = region
	}
	r, err := trial.Do()
	if err != nil {
		return 0, fmt.Errorf("%s: %w", s.name, err)
	}
	sum.add(r)
	if err := r.Complete(); err != nil {
		return 0, fmt.Errorf("%s, seed %d: %w\n%s", s.name, seed, err, r.state())
	}
	return r.World.Now() - tcp.Second, nil
}

// The control of the proofs: where there is no trouble, each but that of calm must miss
// something.
func TestProofsNeedTheirTrouble(t *testing.T) {
	var sum tally
	for seed := *first; seed < *first+60; seed++ {
		r, err := byName("calm").trial(seed).Do()
		if err != nil {
			t.Fatal(err)
		}
		sum.add(r)
	}
	for _, s := range scenarios {
		if what := s.prove(&sum); what == "" != (s.name == "calm") {
			t.Errorf("%s: its proof says %q of trials without trouble", s.name, what)
		}
	}
}
