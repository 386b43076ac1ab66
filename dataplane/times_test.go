package dataplane

import (
	"testing"

	"github.com/xsend/xsend/tcp"
)

// TestTimesAllocateNothing: not even what is out of range, which the library answers with an error that it makes.
func TestTimesAllocateNothing(t *testing.T) {
	times := NewTimes()
	r := &record{committed: 5, submitted: 6, completed: 7, acked: 9}
	if n := testing.AllocsPerRun(100, func() {
		times.released(10, r)
		times.note(HeldWhole, -1)
		times.note(HeldWhole, 2*longestTime)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { _ = times.stages[0].RecordValue(int64(1000 * longestTime)) }); n == 0 {
		t.Error("an error of the library costs no allocation any more: the test has no power")
	}
	if s := times.Summary(HeldWhole); s.N != 303 || s.Max < longestTime || s.P50 > tcp.Microsecond {
		t.Errorf("%+v", s)
	}
}

// Times of a copy are those of its moment, and two add up.
func TestTimesAddUp(t *testing.T) {
	a := NewTimes()
	a.note(Queued, 5*tcp.Millisecond)
	b := a.clone()
	a.note(Queued, 7*tcp.Millisecond)
	if s := b.Summary(Queued); s.N != 1 || s.Sum != 5*tcp.Millisecond {
		t.Errorf("the copy: %+v", s)
	}
	b.Add(a)
	if s := b.Summary(Queued); s.N != 3 || s.Sum != 17*tcp.Millisecond || s.Max < 7*tcp.Millisecond || s.Max > 7100*tcp.Microsecond {
		t.Errorf("added: %+v", s)
	}
	if s := b.Summary(ToACK); s.N != 0 || s.P50 != 0 || s.Max != 0 {
		t.Errorf("nothing: %+v", s)
	}
}

// BenchmarkTimes is what a release costs more.
func BenchmarkTimes(b *testing.B) {
	times := NewTimes()
	for i := 0; b.Loop(); i++ {
		d := tcp.Time(i&0xffff) << 4
		times.released(1+5*d, &record{committed: 1, submitted: 1 + d, completed: 1 + 2*d, acked: 1 + 4*d})
	}
}
