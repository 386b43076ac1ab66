package tcp

import "github.com/xsend/xsend/umem"

// none is no slot.
const none = int32(-1)

// maxSpans is the number of ranges that one segment may be gathered from: a
// 9000-byte packet over 4096-byte frames touches four.
const maxSpans = 4

// span is a range of payload: frame (with slotDemoted: block of the arena), offset in it, length.
type span struct {
	frame  umem.Frame
	off    uint32
	length uint32
}

// slotFlags say what became of a segment.
type slotFlags uint8

const (
	slotFIN      slotFlags = 1 << iota // our FIN: one sequence number, no payload
	slotFlight                         // its last transmission is believed to be in the network
	slotLost                           // its last transmission is believed lost; to be sent again
	slotSACKed                         // the peer says that it has it; it may still renege
	slotSummed                         // sum is that of the payload
	slotDeferred                       // counted already as not sent because the kernel still held it
	slotReneged                        // the peer took its SACK back: when it arrived is not known
	slotDemoted                        // its ranges are in blocks of the arena, not in frames
)

// slot is one segment of the send queue: from commit (not sent yet) to the
// cumulative ACK of its last byte. It is what is sent, sent again, and cut; frames
// are only where its bytes are.
type slot struct {
	seq    Seq
	length uint32 // payload bytes
	sum    uint32 // ones-complement sum of the payload, with slotSummed
	gen    uint32 // so that a completion finds the slot that sent, not its successor
	prev   int32  // in order of sequence
	next   int32
	older  int32 // in order of the last transmission; only with slotFlight
	newer  int32
	sent   Time // last transmission
	first  Time // first transmission
	rate   rateStamp
	spans  [maxSpans]span
	tail   umem.Frame // an engine frame with a copy of the payload, where it can't be sent in place
	xmits  uint16     // transmissions
	out    uint16     // descriptors of this slot's transmissions that the kernel has not completed
	nspans uint8
	flags  slotFlags
}

func (s *slot) has(f slotFlags) bool { return s.flags&f != 0 }

// seqLen is the sequence numbers that the segment takes.
func (s *slot) seqLen() int {
	if s.has(slotFIN) {
		return 1
	}
	return int(s.length)
}

// repeated is 1 for a segment that was sent more than once. In a list of the flight no segment
// is sent: it is taken out first.
func (s *slot) repeated() int {
	if s.xmits > 1 {
		return 1
	}
	return 0
}

func (s *slot) end() Seq { return s.seq.Add(s.seqLen()) }

// sendQueue is the segments from sndUna to sndEnd in order of sequence, in a fixed
// array: slots keep their index for life, so that a cut moves nothing.
type sendQueue struct {
	slots []slot
	free  int32 // chain of free slots through next
	nfree int
	head  int32 // the segment with sndUna
	last  int32
	fresh int32 // the first segment never sent; none when all were
}

func (q *sendQueue) init(n int) {
	q.slots = make([]slot, n)
	q.head, q.last, q.fresh, q.free = none, none, none, none
	for i := n - 1; i >= 0; i-- {
		q.slots[i] = slot{next: q.free, tail: umem.NoFrame, older: none, newer: none}
		q.free = int32(i)
	}
	q.nfree = n
}

const (
	// cutReserve is the slots that Queue leaves for cuts and the FIN.
	cutReserve = 8
	// headReserve is those among them that only a cut of the first segment may have:
	// whatever else waits for a slot, the ACK of that one brings some.
	headReserve = 1
)

func (q *sendQueue) room() int { return max(0, q.nfree-cutReserve) }

// take gives a cleared slot that is in no list; none when there is no room.
func (q *sendQueue) take() int32 {
	i := q.free
	if i == none {
		return none
	}
	s := &q.slots[i]
	q.free = s.next
	q.nfree--
	*s = slot{gen: s.gen + 1, tail: umem.NoFrame, prev: none, next: none, older: none, newer: none}
	return i
}

// push appends slot i, which was never sent.
func (q *sendQueue) push(i int32) {
	s := &q.slots[i]
	s.prev, s.next = q.last, none
	if q.last != none {
		q.slots[q.last].next = i
	} else {
		q.head = i
	}
	q.last = i
	if q.fresh == none {
		q.fresh = i
	}
}

// insertAfter puts slot j right behind slot i.
func (q *sendQueue) insertAfter(i, j int32) {
	s, n := &q.slots[i], &q.slots[j]
	n.prev, n.next = i, s.next
	if s.next != none {
		q.slots[s.next].prev = j
	} else {
		q.last = j
	}
	s.next = j
}

// remove takes slot i out and makes it free.
func (q *sendQueue) remove(i int32) {
	s := &q.slots[i]
	if s.prev != none {
		q.slots[s.prev].next = s.next
	} else {
		q.head = s.next
	}
	if s.next != none {
		q.slots[s.next].prev = s.prev
	} else {
		q.last = s.prev
	}
	if q.fresh == i {
		q.fresh = s.next
	}
	s.gen++
	s.next = q.free
	q.free = i
	q.nfree++
}

// at is the slot that a Ref names; none where it is gone.
func (q *sendQueue) at(r Ref) int32 {
	i := r.slot - 1
	if i < 0 || int(i) >= len(q.slots) || q.slots[i].gen != r.gen {
		return none
	}
	return i
}

func (q *sendQueue) ref(i int32) Ref { return Ref{slot: i + 1, gen: q.slots[i].gen} }
