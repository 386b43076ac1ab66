package tcp

import "github.com/xsend/xsend/umem"

// Waiting says what a segment in the send queue waits for.
type Waiting uint8

// What segments wait for.
const (
	WaitsForHole Waiting = iota // the peer has it and says so, but something in front of it is missing there
	WaitsForSend                // it was never sent
	WaitsForACK                 // it was sent, and the peer has not said that it has it
)

// EachWaiting calls visit for each frame that a segment's payload lies in, with what that segment waits for, in order of
// sequence: a frame comes as often as segments refer to it. Segments that were demoted lie in no frame. It looks at the whole send queue; it is for watchers.
func (c *Conn) EachWaiting(visit func(umem.Frame, Waiting)) {
	fresh := false
	for i := c.q.head; i != none; i = c.q.slots[i].next {
		s := &c.q.slots[i]
		fresh = fresh || i == c.q.fresh
		w := WaitsForACK
		switch {
		case fresh:
			w = WaitsForSend
		case s.has(slotSACKed):
			w = WaitsForHole
		}
		if s.has(slotDemoted) {
			continue
		}
		for _, p := range s.spans[:s.nspans] {
			visit(p.frame, w)
		}
	}
}
