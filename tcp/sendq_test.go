package tcp

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/xsend/xsend/umem"
)

// order is the slots from head to last, walked both ways.
func (q *sendQueue) order(t *testing.T) (forward []int32) {
	t.Helper()
	for i := q.head; i != none; i = q.slots[i].next {
		forward = append(forward, i)
	}
	var backward []int32
	for i := q.last; i != none; i = q.slots[i].prev {
		backward = append(backward, i)
	}
	slices.Reverse(backward)
	if !slices.Equal(forward, backward) {
		t.Fatalf("forward %v, backward %v", forward, backward)
	}
	return forward
}

// TestSendQueueModel compares the queue with a slice.
func TestSendQueueModel(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 3))
		var q sendQueue
		q.init(16)
		var model []int32
		fresh := 0 // of the model: the place of the first never sent
		for range 500 {
			switch n := len(model); rng.IntN(4) {
			case 0: // commit
				if i := q.take(); i != none {
					q.push(i)
					model = append(model, i)
				} else if n != 16 {
					t.Fatalf("no slot with %d in use", n)
				}
			case 1: // cut
				if n == 0 || q.nfree == 0 {
					continue
				}
				k := rng.IntN(n)
				j := q.take()
				q.insertAfter(model[k], j)
				model = slices.Insert(model, k+1, j)
				if k < fresh {
					fresh++
				}
			case 2: // ACK
				if n > 0 {
					q.remove(model[0])
					model = model[1:]
					fresh = max(0, fresh-1)
				}
			case 3: // send
				if fresh < n {
					q.fresh = q.slots[q.fresh].next
					fresh++
				}
			}
			want := none
			if fresh < len(model) {
				want = model[fresh]
			}
			if got := q.order(t); !slices.Equal(got, model) || q.fresh != want || q.nfree != 16-len(model) {
				t.Fatalf("seed %d: %v, want %v; fresh %d, want %d; %d free", seed, got, model, q.fresh, want, q.nfree)
			}
		}
	}
}

// A name outlives its slot without harm: it names nothing, not the successor.
func TestSendQueueNames(t *testing.T) {
	var q sendQueue
	q.init(2)
	i := q.take()
	q.push(i)
	r := q.ref(i)
	if q.at(r) != i || q.at(Ref{}) != none {
		t.Fatal("names")
	}
	q.remove(i)
	if q.at(r) != none {
		t.Fatal("the name of a free slot")
	}
	for range 3 {
		j := q.take()
		q.push(j)
		if q.at(r) != none {
			t.Fatal("the name of a slot's predecessor")
		}
		q.remove(j)
	}
	for _, r := range []Ref{{slot: 3}, {slot: -1}, {slot: 1 << 30, gen: 7}, {gen: 1}} {
		if q.at(r) != none {
			t.Fatalf("%+v names something", r)
		}
	}
}

// Slots come back clean.
func TestSendQueueSlotsAreClean(t *testing.T) {
	var q sendQueue
	q.init(1)
	i := q.take()
	s := &q.slots[i]
	*s = slot{gen: s.gen, seq: 7, length: 9, xmits: 3, out: 2, nspans: 2, flags: 255, tail: 5, sent: 9, first: 9, prev: none, next: none}
	q.push(i)
	q.remove(i)
	q.take()
	s = &q.slots[i]
	if want := (slot{gen: s.gen, tail: umem.NoFrame, prev: none, next: none, older: none, newer: none}); *s != want {
		t.Fatalf("%+v", *s)
	}
}

func TestSeqWraps(t *testing.T) {
	for _, c := range []struct {
		s, t Seq
		d    int
	}{{5, 3, 2}, {3, 5, -2}, {1, ^Seq(0), 2}, {^Seq(0), 1, -2}, {1 << 31, 1, 1<<31 - 1}, {7, 7, 0}} {
		if c.s.Sub(c.t) != c.d || c.t.Add(c.d) != c.s || c.s.Before(c.t) != (c.d < 0) || c.s.AtMost(c.t) != (c.d <= 0) {
			t.Errorf("%+v", c)
		}
		if later := maxSeq(c.s, c.t); c.d < 0 && later != c.t || c.d >= 0 && later != c.s {
			t.Errorf("the later of %d and %d is %d", c.s, c.t, later)
		}
	}
}

// A segment is taken out wherever it stands.
func TestSendQueueRemovesInside(t *testing.T) {
	var q sendQueue
	q.init(3)
	var all [3]int32
	for k := range all {
		all[k] = q.take()
		q.push(all[k])
	}
	q.remove(all[1])
	if got := q.order(t); len(got) != 2 || got[0] != all[0] || got[1] != all[2] {
		t.Fatalf("%v", got)
	}
}
