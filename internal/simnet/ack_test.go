package simnet

import (
	"flag"
	"testing"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

var (
	seeds = flag.Int("simnet.seeds", 200, "seeds for each scenario")
	first = flag.Uint64("simnet.first", 1, "first seed")
)

// TestReleaseOnAckAndCompletion is the proof: whatever happens, the receiver gets the
// promised bytes although the writer overwrites each frame the moment it is handed
// back; no byte changes under the NIC's eyes; every frame comes back; the sums are right.
func TestReleaseOnAckAndCompletion(t *testing.T) {
	for i := range scenarios {
		s := &scenarios[i]
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			n := *seeds
			if testing.Short() {
				n = max(1, n/10)
			}
			s.run(t, n)
		})
	}
}

func (s *scenario) run(t *testing.T, n int) {
	region, err := umem.Map(umem.Config{Frames: regionFrames, ChunkSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	defer region.Close() //nolint:errcheck // memory only
	var sum tally
	var longest tcp.Time
	slowest := uint64(0)
	for seed := *first; seed < *first+uint64(n); seed++ {
		trial := s.trial(seed)
		trial.Region = region
		r, err := trial.Do()
		if err != nil {
			t.Errorf("%s: %v", s.name, err)
			continue
		}
		if err := r.Complete(); err != nil {
			t.Errorf("%s, seed %d: %v\n%s", s.name, seed, err, r.state())
		}
		sum.add(r)
		if took := r.World.Now() - 2*tcp.Second; took > longest {
			longest, slowest = took, seed
		}
	}
	t.Logf("slowest: seed %d, %d ms", slowest, longest/ms)
	if s.prove == nil || t.Failed() || n < 20 {
		return
	}
	if what := s.prove(&sum); what != "" {
		t.Errorf("%s: no %s in %d seeds: the scenario tests nothing: %+v", s.name, what, n, sum)
	}
}
