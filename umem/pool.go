package umem

import (
	"errors"
	"fmt"
	"math"
)

// ErrTooSmall says that a pool has not enough frames for what must come out of it.
var ErrTooSmall = errors.New("umem: too few frames")

// lender says who was lent a frame; the counts beside it say who else refers to it.
type lender uint8

const (
	byNobody lender = iota
	byWriter        // a writer fills it, or was told that it may
	byEngine        // taken from the reserve, not yet submitted nor part of a segment
	byRX            // lent to the kernel through the fill ring, or received and being parsed
)

// hold is everything the pool knows of one frame: 8 bytes.
type hold struct {
	kernel      uint16 // descriptors that the kernel has not completed; 1 in the fill ring
	tcp         uint16 // un-ACKed segments that refer to the frame
	lent        lender
	committed   bool // a writer's payload is in it: its end is an event (see Acked, Done)
	quarantined bool // the kernel never gave it back
}

func (h *hold) idle() bool { return h.kernel == 0 && h.tcp == 0 }

// Fault says what is wrong with an address that came back from the kernel.
type Fault uint8

// The faults that Complete and Received report.
const (
	FaultNone     Fault = iota
	FaultRange          // outside the region or the pool
	FaultSpurious       // inside, but the kernel holds no descriptor of it
)

// Pool is the ledger of the frames of one poller: who holds each, and which are
// free. It serves frames first, first+1, ... of a region, so that several pollers
// can share one region, each with frames of its own.
//
// A Pool is for one goroutine. Its methods do not allocate. They panic where the
// caller broke the rules (a frame given back that it did not hold); what comes
// from the kernel is checked and reported instead.
type Pool struct {
	region  *Region
	first   Frame
	holds   []hold
	free    []Frame // a stack: the frame freed last is the one still in the cache
	reserve int     // frames that Lend leaves for the engine
	acked   []Frame // events: see Acked
	done    []Frame // events: see Done

	carving Frame // what Carve cuts pieces from; NoFrame = nothing is begun
	carved  int   // bytes of it that are given out

	early      int // frames lent to a writer while held (wrong release modes only)
	earlyEver  uint64
	quarantine int
}

// NewPool makes a pool of n frames starting at first, all free. reserve frames
// are kept back from Lend, for the engine. The error wraps ErrTooSmall or ErrGeometry.
func NewPool(r *Region, first Frame, n, reserve int) (*Pool, error) {
	if n < 1 || uint64(first)+uint64(n) > uint64(r.Frames()) {
		return nil, fmt.Errorf("%w: a pool of %d frames from frame %d on: the region has %d", ErrGeometry, n, first, r.Frames())
	}
	if reserve < 0 || reserve > n-2 {
		return nil, fmt.Errorf("%w: %d frames, but the reserve of %d and 2 to send from make %d",
			ErrTooSmall, n, reserve, uint64(reserve)+2)
	}
	p := &Pool{
		region: r, first: first, reserve: reserve, carving: NoFrame,
		holds: make([]hold, n),
		free:  make([]Frame, n),
		acked: make([]Frame, 0, n),
		done:  make([]Frame, 0, n),
	}
	for i := range p.free {
		p.free[i] = first + Frame(n-1-i) // the lowest frame is lent first
	}
	return p, nil
}

// Region is the memory that the pool keeps the books of.
func (p *Pool) Region() *Region { return p.region }

// Bytes is the engine's view of frame f.
func (p *Pool) Bytes(f Frame) []byte { return p.region.Bytes(f) }

// Len is the number of frames in the pool.
func (p *Pool) Len() int { return len(p.holds) }

// Index is the place of f in the pool, from 0; out of range where f is not of this pool.
func (p *Pool) Index(f Frame) int { return int(f) - int(p.first) }

// Free is the number of frames that nobody holds.
func (p *Pool) Free() int { return len(p.free) }

// Lendable is the number of frames that Lend would give out.
func (p *Pool) Lendable() int { return max(0, len(p.free)-p.reserve) }

// Reserve is the frames that Lend leaves for the engine.
func (p *Pool) Reserve() int { return p.reserve }

func (p *Pool) at(f Frame) *hold {
	i := uint32(f) - uint32(p.first)
	if uint64(i) >= uint64(len(p.holds)) {
		panic(fmt.Sprintf("umem: frame %d is not of the pool that starts at %d with %d frames", f, p.first, len(p.holds)))
	}
	return &p.holds[i]
}

func (p *Pool) broken(f Frame, op string) {
	h := p.at(f)
	panic(fmt.Sprintf("umem: %s of frame %d: kernel %d, tcp %d, lent %d, committed %v, quarantined %v",
		op, f, h.kernel, h.tcp, h.lent, h.committed, h.quarantined))
}

func (p *Pool) pop() Frame {
	f := p.free[len(p.free)-1]
	p.free = p.free[:len(p.free)-1]
	return f
}

// Lend gives a free frame to a writer; false when only the reserve is left.
func (p *Pool) Lend() (Frame, bool) {
	if len(p.free) <= p.reserve {
		return NoFrame, false
	}
	f := p.pop()
	p.at(f).lent = byWriter
	return f, true
}

// Abandon takes frame f back from a writer who did not commit it.
func (p *Pool) Abandon(f Frame) {
	h := p.at(f)
	if h.lent != byWriter {
		p.broken(f, "abandon")
	}
	h.lent, h.committed = byNobody, false
	if !h.idle() {
		p.early--
		return
	}
	p.free = append(p.free, f)
}

// Commit takes frame f from its writer and gives it to TCP: one segment refers to
// it. Further segments over it are counted by Hold.
func (p *Pool) Commit(f Frame) {
	h := p.at(f)
	if h.lent != byWriter || h.tcp == math.MaxUint16 {
		p.broken(f, "commit")
	}
	if !h.idle() {
		p.early--
	}
	h.lent, h.committed = byNobody, true
	h.tcp++
}

// Alloc gives a free frame to the engine, from the reserve too. It leaves the
// engine by Hold, Submit or Return.
func (p *Pool) Alloc() (Frame, bool) {
	if len(p.free) == 0 {
		return NoFrame, false
	}
	f := p.pop()
	p.at(f).lent = byEngine
	return f, true
}

// Return gives back a frame from Alloc that was not used.
func (p *Pool) Return(f Frame) {
	h := p.at(f)
	if h.lent != byEngine || !h.idle() {
		p.broken(f, "return")
	}
	h.lent = byNobody
	p.free = append(p.free, f)
}

// Hold counts one more un-ACKed segment that refers to frame f.
func (p *Pool) Hold(f Frame) {
	h := p.at(f)
	if h.lent != byEngine && h.tcp == 0 || h.tcp == math.MaxUint16 {
		p.broken(f, "hold")
	}
	if h.lent == byEngine {
		h.lent = byNobody
	}
	h.tcp++
}

// Drop counts one segment less: it was ACKed, or its connection is gone.
func (p *Pool) Drop(f Frame) {
	h := p.at(f)
	if h.tcp == 0 {
		p.broken(f, "drop")
	}
	h.tcp--
	if h.tcp > 0 {
		return
	}
	if h.committed {
		p.acked = append(p.acked, f)
	}
	p.settle(f, h)
}

// Submit counts one more descriptor of frame f on its way to the kernel. The
// frame's bytes that it covers must not be written until it is completed.
func (p *Pool) Submit(f Frame) {
	h := p.at(f)
	if h.lent != byEngine && h.idle() || h.lent == byRX || h.kernel == math.MaxUint16 {
		p.broken(f, "submit")
	}
	if h.lent == byEngine {
		h.lent = byNobody
	}
	h.kernel++
}

// Complete takes one address out of the completion ring: the kernel is done with
// one descriptor of the frame it lies in. What the kernel says is input: a fault
// is reported, changes nothing, and is for the caller to count.
func (p *Pool) Complete(addr uint64) (Frame, Fault) {
	f, ok := p.region.FrameAt(addr)
	i := uint64(f) - uint64(p.first)
	if !ok || i >= uint64(len(p.holds)) {
		return NoFrame, FaultRange
	}
	h := &p.holds[i]
	if h.kernel == 0 || h.lent == byRX {
		return f, FaultSpurious
	}
	h.kernel--
	if h.kernel == 0 {
		if h.quarantined {
			h.quarantined = false
			p.quarantine--
		}
		p.settle(f, h)
	}
	return f, FaultNone
}

// settle frees frame f if nobody holds it any more.
func (p *Pool) settle(f Frame, h *hold) {
	if !h.idle() {
		return
	}
	switch {
	case h.lent == byWriter: // told too early (wrong release modes): it is the writer's now
		p.early--
	case h.committed:
		h.committed = false
		h.lent = byWriter
		p.done = append(p.done, f)
	default:
		if f == p.carving {
			p.carving = NoFrame
		}
		p.free = append(p.free, f)
	}
}

// Acked are the committed frames whose last un-ACKed segment went since the last
// call of Drain: every byte in them is covered by the peer's cumulative ACK (or
// the connection is gone). The kernel may still hold them.
func (p *Pool) Acked() []Frame { return p.acked }

// Done are the committed frames that became free of every hold since the last
// call of Drain: ACKed, and completed by the kernel as often as submitted. They
// are lent to their writer again, who is to be told.
func (p *Pool) Done() []Frame { return p.done }

// Drain forgets the events that Acked and Done gave.
func (p *Pool) Drain() { p.acked, p.done = p.acked[:0], p.done[:0] }

// LendEarly tells the ledger that a writer was handed frame f although it is
// still held: the wrong release modes. The holds are counted as ever; Audit
// reports such frames as lent while held.
func (p *Pool) LendEarly(f Frame) {
	h := p.at(f)
	if h.lent != byNobody || !h.committed || h.idle() {
		p.broken(f, "early lend")
	}
	h.lent, h.committed = byWriter, false
	p.early++
	p.earlyEver++
}

// InKernel is the number of descriptors of frame f that the kernel has not completed.
func (p *Pool) InKernel(f Frame) int { return int(p.at(f).kernel) }

// InTCP is the number of un-ACKed segments that refer to frame f.
func (p *Pool) InTCP(f Frame) int { return int(p.at(f).tcp) }
