package umem

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"
)

// Desc is struct xdp_desc: one entry of an RX or TX ring.
type Desc struct {
	Addr    uint64 // UMEM address of the first byte
	Len     uint32 // bytes
	Options uint32 // XDP_PKT_CONTD, XDP_TX_METADATA
}

// Offsets is struct xdp_ring_offset: where in a mapped ring the shared words lie, in bytes.
type Offsets struct {
	Producer, Consumer, Desc, Flags uint64
}

// ErrRing says that a ring cannot be laid over the memory given for it.
var ErrRing = errors.New("umem: bad ring")

// maxEntries is the longest ring whose indices can tell full from empty.
const maxEntries = 1 << 31

// sizeOK says whether n entries can make a ring.
func sizeOK(n int) bool { return n > 0 && n&(n-1) == 0 && uint64(n) <= maxEntries }

// ringNeedWakeup is XDP_RING_NEED_WAKEUP.
const ringNeedWakeup = 1

// words are the three shared words of a ring.
type words struct {
	prod, cons, flags *atomic.Uint32
}

// heapWords lays the shared words of an in-memory ring on cache lines of their own.
type heapWords struct {
	prod  atomic.Uint32
	_     [60]byte
	cons  atomic.Uint32
	_     [60]byte
	flags atomic.Uint32
	_     [60]byte
}

// Producer is the end of a single-producer single-consumer ring that puts
// entries in. Indices run freely over 32 bits; only differences count.
type Producer[T any] struct {
	w     words
	slots []T
	next  uint32 // where the next Put goes; what is before it and not yet published is ours
	cons  uint32 // last seen consumer index
}

// Consumer is the end of a ring that takes entries out.
type Consumer[T any] struct {
	w     words
	slots []T
	next  uint32 // the next entry to take
	prod  uint32 // last seen producer index
	bad   bool
}

// NewRing makes a ring of n entries in ordinary memory and returns both ends.
// n is a power of two; anything else panics, because only our own code asks.
func NewRing[T any](n int) (*Producer[T], *Consumer[T]) {
	if !sizeOK(n) {
		panic(fmt.Sprintf("umem: ring of %d entries: not a power of two up to 2^31", n))
	}
	h := new(heapWords)
	w := words{prod: &h.prod, cons: &h.cons, flags: &h.flags}
	slots := make([]T, n)
	return &Producer[T]{w: w, slots: slots}, &Consumer[T]{w: w, slots: slots}
}

// ProducerOver lays the producing end over a ring that the kernel shares with
// us: mem is the mapping, n the number of entries. It continues where the words
// stand. The mapping must outlive the Producer. The error wraps ErrRing.
func ProducerOver[T uint64 | Desc](mem []byte, o Offsets, n int) (*Producer[T], error) {
	w, slots, err := ringOver[T](mem, o, n)
	if err != nil {
		return nil, err
	}
	return &Producer[T]{w: w, slots: slots, next: w.prod.Load(), cons: w.cons.Load()}, nil
}

// ConsumerOver lays the consuming end over a ring that the kernel shares with us,
// as ProducerOver does. What the producer index says is believed only by Peek.
func ConsumerOver[T uint64 | Desc](mem []byte, o Offsets, n int) (*Consumer[T], error) {
	w, slots, err := ringOver[T](mem, o, n)
	if err != nil {
		return nil, err
	}
	next := w.cons.Load()
	return &Consumer[T]{w: w, slots: slots, next: next, prod: next}, nil
}

func ringOver[T uint64 | Desc](mem []byte, o Offsets, n int) (words, []T, error) {
	if !sizeOK(n) {
		return words{}, nil, fmt.Errorf("%w: %d entries: not a power of two up to 2^31", ErrRing, n)
	}
	if misaligned(mem, 8) {
		return words{}, nil, fmt.Errorf("%w: memory must start at a multiple of 8 bytes, as mmap returns it", ErrRing)
	}
	var zero T
	need := uint64(n) * uint64(unsafe.Sizeof(zero))
	size := uint64(len(mem))
	if o.Desc > size || need > size-o.Desc || o.Desc%8 != 0 {
		return words{}, nil, fmt.Errorf("%w: %d entries at offset %d do not fit in %d bytes", ErrRing, n, o.Desc, size)
	}
	var w words
	for _, word := range []struct {
		off uint64
		p   **atomic.Uint32
	}{{o.Producer, &w.prod}, {o.Consumer, &w.cons}, {o.Flags, &w.flags}} {
		if word.off%4 != 0 || word.off > size-4 {
			return words{}, nil, fmt.Errorf("%w: word at offset %d of %d bytes", ErrRing, word.off, size)
		}
		// Valid: in bounds and aligned (checked above), the kernel uses the same 32-bit
		// word with acquire and release, and the mapping outlives the ring.
		*word.p = (*atomic.Uint32)(unsafe.Pointer(&mem[word.off]))
	}
	// Valid: in bounds and 8-byte aligned (checked above); T is uint64 or struct
	// xdp_desc, which hold no Go pointers.
	slots := unsafe.Slice((*T)(unsafe.Pointer(&mem[o.Desc])), n)
	return w, slots, nil
}

// misaligned reports whether mem does not start at a multiple of align.
func misaligned(mem []byte, align int) bool {
	// Valid: the address is only looked at.
	return uintptr(unsafe.Pointer(unsafe.SliceData(mem)))%uintptr(align) != 0
}

// Cap is the number of entries the ring holds.
func (p *Producer[T]) Cap() int { return len(p.slots) }

// Reserve reports how many of n entries may be Put now, looking at the consumer
// index only where the last look does not suffice. It is 0 while that index is
// nonsense: further behind than the ring is long.
func (p *Producer[T]) Reserve(n int) int {
	free := len(p.slots) - int(p.next-p.cons)
	if free >= n {
		return n
	}
	p.cons = p.w.cons.Load()
	used := p.next - p.cons
	if used > uint32(len(p.slots)) {
		return 0 // the other side's index is nonsense: nothing is free
	}
	return min(n, len(p.slots)-int(used))
}

// Put writes one entry that Reserve granted. It is seen by the other side after Submit.
func (p *Producer[T]) Put(v T) {
	s := p.slots
	if len(s) > 0 {
		s[int(p.next)&(len(s)-1)] = v
	}
	p.next++
}

// Submit publishes everything Put so far.
func (p *Producer[T]) Submit() { p.w.prod.Store(p.next) }

// Pending is the number of published entries that the other side has not taken;
// more than Cap where its index is nonsense.
func (p *Producer[T]) Pending() int {
	p.cons = p.w.cons.Load()
	return int(p.w.prod.Load() - p.cons)
}

// NeedWakeup reports whether the kernel asks for a system call to go on. It must
// be asked after Submit.
func (p *Producer[T]) NeedWakeup() bool { return p.w.flags.Load()&ringNeedWakeup != 0 }

// SetNeedWakeup is for the consuming side of an in-memory ring: it sets what
// NeedWakeup of the producing side reports.
func (c *Consumer[T]) SetNeedWakeup(on bool) {
	v := uint32(0)
	if on {
		v = ringNeedWakeup
	}
	c.w.flags.Store(v)
}

// Cap is the number of entries the ring holds.
func (c *Consumer[T]) Cap() int { return len(c.slots) }

// Peek reports how many of n entries may be Taken now. A producer index that is
// more than the ring's size ahead is nonsense: Peek then gives 0 for ever and
// Corrupt reports it.
func (c *Consumer[T]) Peek(n int) int {
	if c.bad {
		return 0
	}
	avail := int(c.prod - c.next)
	if avail >= n {
		return n
	}
	c.prod = c.w.prod.Load()
	if c.prod-c.next > uint32(len(c.slots)) {
		c.bad = true
		c.prod = c.next
		return 0
	}
	return min(n, int(c.prod-c.next))
}

// Take reads the next entry that Peek granted.
func (c *Consumer[T]) Take() T {
	s := c.slots
	i := c.next
	c.next++
	if len(s) == 0 {
		var zero T
		return zero
	}
	return s[int(i)&(len(s)-1)]
}

// Release gives the entries Taken so far back to the producer.
func (c *Consumer[T]) Release() { c.w.cons.Store(c.next) }

// Corrupt reports that the producer index was seen further ahead than the ring is long.
func (c *Consumer[T]) Corrupt() bool { return c.bad }
