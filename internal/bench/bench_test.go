package bench

import (
	"math"
	"slices"
	"testing"
)

func TestRatiosArePaired(t *testing.T) {
	var r Result
	// The machine is twice as fast in the second round: medians across rounds would say something else.
	for round, factor := range []float64{1, 2, 4} {
		for name, rate := range map[string]float64{Xsend: 8, Sendfile: 10, Raw: 9} {
			r.Runs = append(r.Runs, Run{Round: round + 1, Contender: name, BitsPerSecond: rate * factor})
		}
	}
	r.conclude()
	near := func(got, want float64) bool { return math.Abs(got-want) < 1e-9 }
	if !near(r.OverSendfile, 0.8) || !near(r.OverRaw, 8.0/9) || !near(r.OverLesser, 8.0/9) || !r.GoalMet || r.Median[Xsend] != 16 {
		t.Errorf("%+v", r)
	}
}

// A packet is cut into as few frames as hold it.
func TestPartsOf(t *testing.T) {
	for _, c := range []struct {
		length, chunk int
		want          []uint32
	}{{1514, 2048, []uint32{1514}}, {4096, 4096, []uint32{4096}}, {4097, 4096, []uint32{2049, 2048}}, {9014, 4096, []uint32{3005, 3005, 3004}}} {
		if got := partsOf(c.length, c.chunk); !slices.Equal(got, c.want) {
			t.Errorf("%d bytes over frames of %d: %v, want %v", c.length, c.chunk, got, c.want)
		}
	}
}
