package tcp

import (
	"slices"
	"testing"

	"github.com/xsend/xsend/umem"
)

// waiting is what each segment waits for, in order of sequence.
func (h *harness) waiting() (all []Waiting) {
	h.c.EachWaiting(func(f umem.Frame, w Waiting) {
		if h.pool.InTCP(f) == 0 {
			h.t.Errorf("frame %d waits, and no segment refers to it", f)
		}
		all = append(all, w)
	})
	return all
}

func (h *harness) wantWaiting(want ...Waiting) {
	h.t.Helper()
	if got := h.waiting(); !slices.Equal(got, want) {
		h.t.Fatalf("segments wait for %v, want %v", got, want)
	}
}

// A segment waits to be sent, then for its ACK, then, where the peer has it, for what is in front of it.
func TestWaiting(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.wantWaiting(WaitsForACK, WaitsForACK, WaitsForACK, WaitsForACK)
	h.ack(0, [2]int{2 * mss, 4 * mss})
	h.wantWaiting(WaitsForACK, WaitsForACK, WaitsForHole, WaitsForHole)
	h.writeFrame(payloadAt, mss)
	h.wantWaiting(WaitsForACK, WaitsForACK, WaitsForHole, WaitsForHole, WaitsForSend)
	h.transmit()
	h.wantData(4*mss, 5*mss)
	h.wantWaiting(WaitsForACK, WaitsForACK, WaitsForHole, WaitsForHole, WaitsForACK)
	h.ack(5 * mss)
	h.wantWaiting()
}
