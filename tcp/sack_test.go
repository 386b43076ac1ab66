package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// sacked is the segments marked, by their place in the flight.
func (h *harness) sacked() (marks []int) {
	k := 0
	for i := h.c.q.head; i != none && i != h.c.q.fresh; i = h.c.q.slots[i].next {
		if h.c.q.slots[i].has(slotSACKed) {
			marks = append(marks, k)
		}
		k++
	}
	return marks
}

func (h *harness) wantSacked(marks ...int) {
	h.t.Helper()
	got := h.sacked()
	if len(got) != len(marks) {
		h.t.Fatalf("SACKed: %v, want %v", got, marks)
	}
	for i := range got {
		if got[i] != marks[i] {
			h.t.Fatalf("SACKed: %v, want %v", got, marks)
		}
	}
}

func TestSackMarksWholeSegmentsOnly(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(0, [2]int{mss + 1, 3 * mss}, [2]int{4 * mss, 5*mss - 1})
	h.wantSacked(2)
	if h.c.Stats().InFlight != 5*mss {
		t.Fatalf("%+v", h.c.Stats())
	}
	h.ack(6 * mss)
}

func TestSackBlocksThatAreNonsense(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(0, [2]int{2 * mss, mss}, [2]int{mss, 7 * mss}, [2]int{3 * mss, 3 * mss}, [2]int{-5 * mss, -4 * mss})
	h.wantSacked()
	h.ack(0, [2]int{1 << 30, 1<<30 + 5}, [2]int{mss, mss + 1<<31})
	h.wantSacked()
	h.ack(6 * mss)
}

// A block below the cumulative ACK reports a duplicate
// (https://www.rfc-editor.org/rfc/rfc2883#section-4), and marks nothing.
func TestSackDuplicateReported(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(2*mss, [2]int{mss, 2 * mss}, [2]int{4 * mss, 5 * mss})
	h.wantSacked(2)
	if h.c.Stats().DSACKs != 1 {
		t.Fatalf("%+v", h.c.Stats())
	}
	h.ack(6 * mss)
}

// A peer that did not say SACK-permitted may send blocks; they mean nothing.
func TestSackNotAgreed(t *testing.T) {
	h := flightOf(t, 6, func(_ *Config, h *harness) { h.opts.SACKPermitted = false })
	for range 2 {
		h.ack(0, [2]int{mss, 5 * mss})
	}
	h.wantSacked()
	h.ack(6 * mss)
}

// SACKed is not ACKed: no frame comes back.
func TestSackGivesNothingBack(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(0, [2]int{mss, 6 * mss})
	h.advance(Millisecond)
	h.want(1, mss, wire.FlagACK)
	if len(h.done) != 0 {
		t.Fatalf("%d frames back", len(h.done))
	}
	h.ack(6 * mss)
	if len(h.done) != 6 {
		t.Fatalf("%d frames back", len(h.done))
	}
}

// The FIN can be SACKed like any other.
func TestSackOfFin(t *testing.T) {
	h := flightOf(t, 2, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(2*mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.ack(0, [2]int{mss, 2*mss + 1})
	h.wantSacked(1, 2)
	h.wantState(FinWait1)
	h.advance(Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.ack(2*mss + 1)
	h.wantState(FinWait2)
}

// Whatever blocks come in whatever order, what is marked is what a walk over the whole
// queue marks.
func TestSackAgainstAWalk(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		h := flightOf(t, 60, nil)
		h.hold = true // nothing is sent again, so that the segments stay as they are
		marked := map[int32]bool{}
		una := 0
		for range 200 {
			if rng.IntN(8) == 0 {
				una = min(una+rng.IntN(3)*mss, 59*mss)
			}
			var blocks [][2]int
			for range rng.IntN(5) {
				from := rng.IntN(60) * mss
				if rng.IntN(4) == 0 {
					from += rng.IntN(mss)
				}
				blocks = append(blocks, [2]int{from, from + 1 + rng.IntN(1+rng.IntN(20*mss))})
			}
			h.ack(una, blocks...)
			for i := h.c.q.head; i != none; i = h.c.q.slots[i].next {
				s := &h.c.q.slots[i]
				from, to := s.seq.Sub(testISS)-1, s.end().Sub(testISS)-1
				for _, b := range blocks {
					if b[0] >= una && b[1] <= 60*mss && b[0] <= from && to <= b[1] {
						marked[i] = true
					}
				}
				if s.has(slotSACKed) != marked[i] {
					t.Fatalf("seed %d: segment %d to %d: marked %v", seed, from, to, s.has(slotSACKed))
				}
			}
			h.out = nil
		}
	}
}

func TestSackWalksAreShort(t *testing.T) {
	// See BenchmarkAck...: here only that no ACK of a window under repair costs a walk
	// over it. The distance between neighbours among the anchors is what is walked.
	const n = 4096
	w := newBenchFlight(t, n, false)
	for k := 1; k < n-1; k++ {
		w.ack(0, [2]int{1, 1 + k})
		if i := w.c.slotNear(w.c.iss + 1 + Seq((1+k)*mss)); w.c.iss+1+Seq((k)*mss) != w.c.q.slots[i].seq {
			t.Fatalf("ACK %d: the walk begins at %d", k, w.c.q.slots[i].seq)
		}
	}
}
