package median

import (
	"math"
	"testing"
)

func near(got, want float64) bool { return math.Abs(got-want) < 1e-4 }

func TestBetween(t *testing.T) {
	// Ranks and coverages from a table of the binomial distribution.
	for _, c := range []struct {
		n         int
		low, high float64
		coverage  float64
	}{
		{1, 1, 1, 0}, {3, 1, 3, 0.75}, {5, 1, 5, 0.9375}, {6, 1, 6, 0.96875}, {9, 2, 8, 0.9609}, {12, 3, 10, 0.9614}, {20, 6, 15, 0.9586},
	} {
		var all []float64
		for i := range c.n {
			all = append(all, float64(c.n-i)) // n, …, 1: not sorted
		}
		if got := Between(all); got.Low != c.low || got.High != c.high || !near(got.Coverage, c.coverage) {
			t.Errorf("%d values: %+v, want %v to %v with %v", c.n, got, c.low, c.high, c.coverage)
		}
	}
	if got := Between(nil); got != (Interval{}) {
		t.Errorf("no values: %+v", got)
	}
}

func TestOf(t *testing.T) {
	for _, c := range []struct {
		all  []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{5, 1, 3}, 3}, {[]float64{4, 1, 3, 2}, 2.5}} {
		if got := Of(c.all); got != c.want {
			t.Errorf("Of(%v) = %v, want %v", c.all, got, c.want)
		}
	}
}
