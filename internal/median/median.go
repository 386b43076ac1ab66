package median

import (
	"math"
	"slices"
)

// Interval is where the median of what was sampled lies, by order statistics: between the k-th least and the
// k-th largest value, without any assumption about how the values are distributed. With fewer than six
// values no interval covers 95 %; then it is from the least to the largest. Its JSON names are stable.
type Interval struct {
	Low      float64 `json:"low"`
	High     float64 `json:"high"`
	Coverage float64 `json:"coverage"` // probability that it holds the median
}

// wanted is the least coverage of an interval, where there are values enough.
const wanted = 0.95

// Between is the interval of the median of all.
func Between(all []float64) Interval {
	n := len(all)
	if n == 0 {
		return Interval{}
	}
	sorted := slices.Sorted(slices.Values(all))
	k := 1
	for 2*(k+1) <= n && coverage(n, k+1) >= wanted {
		k++
	}
	return Interval{sorted[k-1], sorted[n-k], coverage(n, k)}
}

// coverage is the probability that the median lies between the k-th least and the k-th largest of n values: that
// neither fewer than k of them are below it nor fewer than k above.
func coverage(n, k int) float64 {
	tail, choose := 0.0, 1.0
	for i := range k {
		tail += choose
		choose = choose * float64(n-i) / float64(i+1)
	}
	return 1 - 2*tail/math.Pow(2, float64(n))
}

// Of is the median; 0 of nothing.
func Of(all []float64) float64 {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
