package netem

import (
	"math/rand"
	"slices"
	"testing"
)

func TestScheduleIsAStableSort(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 200 {
		var s schedule
		var want []entry
		for i := range r.Intn(300) {
			e := entry{due: Time(r.Intn(40)), order: uint64(i + 1)}
			s.push(e.due, nil)
			want = append(want, e)
			if r.Intn(4) == 0 {
				slices.SortStableFunc(want, func(a, b entry) int { return int(a.due - b.due) })
				if got := s.pop(); got.due != want[0].due || got.order != want[0].order {
					t.Fatalf("got %+v, want %+v", got, want[0])
				}
				want = want[1:]
			}
		}
		slices.SortStableFunc(want, func(a, b entry) int { return int(a.due - b.due) })
		for _, w := range want {
			if got := s.pop(); got.due != w.due || got.order != w.order {
				t.Fatalf("got %+v, want %+v", got, w)
			}
		}
		if s.len() != 0 {
			t.Fatal("something is left")
		}
	}
}

func TestFIFOGrowsAndWraps(t *testing.T) {
	r := rand.New(rand.NewSource(2))
	var f fifo
	var want []Time
	for now := Time(0); now < 20_000; now++ {
		for range r.Intn(3) {
			at := now + 500
			if n := len(want); n > 0 {
				at = max(at, want[n-1])
			}
			f.join(at)
			want = append(want, at)
		}
		f.leave(now)
		for len(want) > 0 && want[0] <= now {
			want = want[1:]
		}
		if f.len() != len(want) {
			t.Fatalf("at %d: %d in the queue, want %d", now, f.len(), len(want))
		}
	}
}

func TestBuffersAreCopies(t *testing.T) {
	var b buffers
	for _, size := range []int{0, 60, bufferSize, bufferSize + 1} {
		frame := make([]byte, size, size+1)
		buf := b.take(frame)
		if len(buf) != size || size > 0 && &buf[0] == &frame[0] {
			t.Errorf("%d bytes: not a copy", size)
		}
		b.put(buf)
	}
	if len(b) != 1 {
		t.Errorf("%d buffers are kept, want the one that went round", len(b))
	}
}
