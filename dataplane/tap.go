package dataplane

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Tap hands copies of packets, whole, from the poller to one other goroutine, which
// writes them to a file: nothing else can see what AF_XDP sends.
type Tap struct {
	slots  []tapSlot
	copies []byte
	size   int
	full   *umem.Producer[uint32] // the poller's ends
	empty  *umem.Consumer[uint32]
	next   *umem.Consumer[uint32] // the reader's ends
	back   *umem.Producer[uint32]
	held   uint32
	holds  bool
}

type tapSlot struct {
	at     tcp.Time
	length int
	out    bool
	start  uint16 // of what a checksum was asked for; 0 = it is there
	offset uint16 // from start to the checksum
}

// TapPacket is one packet as it was sent or received. Bytes is valid until the next
// call of Next. Where the checksum was left to device or kernel, it is completed as they
// have to do it: what they made of it nobody sees from here.
type TapPacket struct {
	Time  tcp.Time // the poller's, of the Step
	Sent  bool     // put on the TX ring by us; otherwise received
	Bytes []byte
}

// NewTap makes a tap with room for packets, a power of two, of at most size bytes
// each: the chunk size of the region.
func NewTap(packets, size int) *Tap {
	t := &Tap{slots: make([]tapSlot, packets), copies: make([]byte, packets*size), size: size}
	t.full, t.next = umem.NewRing[uint32](packets)
	t.back, t.empty = umem.NewRing[uint32](packets)
	for i := range packets {
		t.back.Put(uint32(i))
	}
	t.back.Submit()
	return t
}

// put is the poller's: it copies a packet, which lies in parts; false where there is no room.
func (t *Tap) put(s tapSlot, parts ...[]byte) bool {
	for _, p := range parts {
		s.length += len(p)
	}
	if t.empty.Peek(1) == 0 || s.length > t.size {
		return false
	}
	i := t.empty.Take()
	t.empty.Release()
	t.slots[i] = s
	to := t.copies[int(i)*t.size:]
	for _, p := range parts {
		to = to[copy(to, p):]
	}
	t.full.Put(i)
	t.full.Submit()
	return true
}

// Next is the next packet; false where there is none now. It belongs to one
// goroutine.
func (t *Tap) Next() (TapPacket, bool) {
	if t.holds {
		t.holds = false
		t.back.Put(t.held)
		t.back.Submit()
	}
	if t.next.Peek(1) == 0 {
		return TapPacket{}, false
	}
	i := t.next.Take()
	t.next.Release()
	t.held, t.holds = i, true
	s := &t.slots[i]
	at := int(i) * t.size
	packet := t.copies[at : at+s.length : at+s.length]
	if s.start > 0 {
		wire.Complete(packet, int(s.start), int(s.offset))
	}
	return TapPacket{Time: s.at, Sent: s.out, Bytes: packet}, true
}
