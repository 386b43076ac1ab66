package dataplane

import (
	"testing"

	"github.com/xsend/xsend/dataplane/trace"
)

// BenchmarkSegmentTraced is BenchmarkSegment with a lifecycle trace: events are put on the ring, and taken off in between as its reader would.
func BenchmarkSegmentTraced(b *testing.B) {
	g, w, s := quickRig(b, 512)
	g.p.trace = trace.NewRing(trace.Room)
	var out [256]Release
	buf := make([]byte, 0, 1<<20)
	for range 1000 {
		round(g, w, s, out[:])
	}
	b.SetBytes(1460)
	b.ReportAllocs()
	b.ResetTimer()
	for n := 0; n < b.N; {
		n += round(g, w, s, out[:])
		if n%(1<<12) < 64 {
			b.StopTimer()
			for k := 1; k > 0; {
				buf, k = g.p.trace.Next(buf[:0], 1<<14)
			}
			b.StartTimer()
		}
	}
	if n := g.p.trace.Lost(); n > 0 {
		b.Logf("%d events lost", n)
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
