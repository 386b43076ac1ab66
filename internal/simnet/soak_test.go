package simnet

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/xsend/xsend/umem"
)

var soak = flag.Bool("simnet.soak", false, "run -simnet.seeds seeds of each scenario from -simnet.first on, telling how far it is")

// soakBlock is the seeds between two lines of progress.
const soakBlock = 50

// TestSoak is the proof with as many seeds as there is patience for (make soak). It tells
// of failures at once and goes on; it can be ended, and begun again behind any block.
func TestSoak(t *testing.T) {
	if !*soak {
		t.Skip("needs -simnet.soak (make soak)")
	}
	s := soaking{sums: make([]tally, len(scenarios))}
	for range runtime.GOMAXPROCS(0) {
		s.regions = append(s.regions, trialRegion(t))
	}
	end := *first + uint64(*seeds)
	for from := *first; from < end; from += soakBlock {
		to := min(from+soakBlock, end)
		s.block(from, to)
		fmt.Fprintf(os.Stderr, "soak: seeds %d to %d: %d scenarios, %d failures so far; to go on from here: make soak FIRST=%d SEEDS=%d\n",
			from, to-1, len(scenarios), s.failures.Load(), to, end-to)
	}
	if n := s.failures.Load(); n > 0 {
		t.Errorf("%d trials failed", n)
	}
	for i := range scenarios {
		if what := scenarios[i].prove(&s.sums[i]); what != "" && *seeds >= 50 {
			t.Errorf("%s: no %s: the scenario tests nothing", scenarios[i].name, what)
		}
	}
}

type soaking struct {
	regions  []*umem.Region // one for each goroutine
	sums     []tally        // by scenario
	failures atomic.Int64
}

// block runs some seeds of every scenario; each goroutine takes the next scenario.
func (s *soaking) block(from, to uint64) {
	var next atomic.Int64
	var all sync.WaitGroup
	for _, region := range s.regions {
		all.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(scenarios)); i = next.Add(1) - 1 {
				s.scenario(int(i), from, to, region)
			}
		})
	}
	all.Wait()
}

func (s *soaking) scenario(i int, from, to uint64, region *umem.Region) {
	for seed := from; seed < to; seed++ {
		if _, err := scenarios[i].try(seed, region, &s.sums[i]); err != nil {
			s.failures.Add(1)
			fmt.Fprintf(os.Stderr, "soak: FAIL: %v\n", err)
		}
	}
}
