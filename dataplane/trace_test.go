package dataplane

import (
	"slices"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/trace"
)

// BenchmarkTracePrice is what a lifecycle trace costs the poller for each segment: blocks of the same work with a trace and without, in
// turn, so that whatever else the machine does falls on both; the median of the differences is "ns/segment-more".
func BenchmarkTracePrice(b *testing.B) {
	g, w, s := quickRig(b, 512)
	ring, out, buf := trace.NewRing(trace.Room), [256]Release{}, make([]byte, 0, 1<<20)
	block := func(r *trace.Ring) float64 {
		g.p.trace = r
		start, n := time.Now(), 0
		for n < 2000 {
			n += round(g, w, s, out[:])
		}
		ns := float64(time.Since(start)) / float64(n)
		for k := 1; k > 0; { // off the clock, as the reader is off the poller's thread
			buf, k = ring.Next(buf[:0], 1<<14)
		}
		return ns
	}
	block(nil)
	var more, off []float64
	b.ResetTimer()
	for i := range b.N {
		with := block([]*trace.Ring{nil, ring}[i%2])
		without := block([]*trace.Ring{ring, nil}[i%2])
		if i%2 == 0 {
			with, without = without, with
		}
		more, off = append(more, with-without), append(off, without)
	}
	slices.Sort(more)
	slices.Sort(off)
	b.ReportMetric(more[len(more)/2], "ns/segment-more")
	b.ReportMetric(off[len(off)/2], "ns/segment-off")
	if ring.Lost() > 0 {
		b.Errorf("%d events lost: the price is of less", ring.Lost())
	}
}

// TestTracedStepAllocatesNothing, with room on the ring and without.
func TestTracedStepAllocatesNothing(t *testing.T) {
	g, w, s := quickRig(t, 512)
	g.p.trace = trace.NewRing(1 << 12)
	var out [256]Release
	for range 300 {
		round(g, w, s, out[:])
	}
	buf := make([]byte, 0, 1<<18)
	if n := testing.AllocsPerRun(200, func() {
		round(g, w, s, out[:])
		buf, _ = g.p.trace.Next(buf[:0], 40)
	}); n != 0 {
		t.Fatalf("%v allocations in a round", n)
	}
	if g.p.trace.Lost() == 0 || len(buf) == 0 {
		t.Fatal("no event was lost, or none was there: the test tests half")
	}
}
