package tcp

import (
	"math/rand/v2"
	"slices"
	"testing"
)

// TestSlotListModel compares the list with a slice.
func TestSlotListModel(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 4))
	slots := make([]slot, 24)
	for i := range slots {
		slots[i] = slot{older: none, newer: none, length: uint32(i + 1)}
	}
	var l slotList
	l.clear()
	var model []int32
	for range 3000 {
		i := int32(rng.IntN(len(slots)))
		if k := slices.Index(model, i); k >= 0 {
			l.remove(slots, i)
			model = slices.Delete(model, k, k+1)
		} else {
			k := rng.IntN(len(model) + 1)
			at := none
			if k > 0 {
				at = model[k-1]
			}
			l.add(slots, i, at)
			model = slices.Insert(model, k, i)
		}
		var got []int32
		bytes, last := 0, none
		for j := l.oldest; j != none; j = slots[j].newer {
			if slots[j].older != last {
				t.Fatalf("slot %d: older is %d, want %d", j, slots[j].older, last)
			}
			got, last = append(got, j), j
			bytes += slots[j].seqLen()
		}
		if !slices.Equal(got, model) || l.newest != last || l.segments != len(model) || l.bytes != bytes {
			t.Fatalf("%v, want %v; %+v", got, model, l)
		}
	}
}

// What is in flight is in order of transmission, not of sequence.
func TestFlightInOrderOfTransmission(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(0, [2]int{2 * mss, 5 * mss})
	h.out = nil // the first two, sent again
	h.write(mss)
	h.out = nil
	var got []int
	for i := h.c.rack.flight.oldest; i != none; i = h.c.q.slots[i].newer {
		got = append(got, (h.c.q.slots[i].seq.Sub(testISS)-1)/mss)
	}
	if got[0] != 5 || !slices.Contains(got, 0) || slices.Index(got, 0) < slices.Index(got, 5) {
		t.Fatalf("flight %v", got)
	}
	h.ack(7 * mss)
	h.out = nil
}

// The pipe is never negative, whatever a peer without SACK claims: a duplicate counts as
// a full segment, and these are small.
func TestFlightPipeIsNotNegative(t *testing.T) {
	h := plain(t, 0)
	for range 5 {
		h.write(100)
	}
	h.dupAcks(3, 0)
	h.out = nil
	if st := h.c.Stats(); st.InFlight != 0 || st.Recoveries != 1 {
		t.Fatalf("in flight %d, %d recoveries", st.InFlight, st.Recoveries)
	}
	h.ack(500)
	h.out = nil
}
