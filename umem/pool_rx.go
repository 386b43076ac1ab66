package umem

import "fmt"

// Fill gives a free frame to the kernel for a packet to be received into: the
// caller puts it into the fill ring.
func (p *Pool) Fill() (Frame, bool) {
	if len(p.free) == 0 {
		return NoFrame, false
	}
	f := p.pop()
	h := p.at(f)
	h.lent, h.kernel = byRX, 1
	return f, true
}

// Received takes one address out of the RX ring: the frame is the engine's to
// parse. It leaves by Refill or Recycle. Faults are as with Complete.
func (p *Pool) Received(addr uint64) (Frame, Fault) {
	f, ok := p.region.FrameAt(addr)
	i := uint64(f) - uint64(p.first)
	if !ok || i >= uint64(len(p.holds)) {
		return NoFrame, FaultRange
	}
	h := &p.holds[i]
	if h.lent != byRX || h.kernel == 0 {
		return f, FaultSpurious
	}
	h.kernel = 0
	if h.quarantined {
		h.quarantined = false
		p.quarantine--
	}
	return f, FaultNone
}

// Refill gives a received frame back to the kernel through the fill ring.
func (p *Pool) Refill(f Frame) {
	h := p.at(f)
	if h.lent != byRX || h.kernel != 0 {
		p.broken(f, "refill")
	}
	h.kernel = 1
}

// Recycle makes a received frame free.
func (p *Pool) Recycle(f Frame) {
	h := p.at(f)
	if h.lent != byRX || h.kernel != 0 {
		p.broken(f, "recycle")
	}
	h.lent = byNobody
	p.free = append(p.free, f)
}

// Quarantine marks every frame that the kernel holds: the queue is dead, and
// nobody knows whether the NIC still reads them. They stay out of use, and are
// counted as quarantined, until a late completion or Reregistered. It returns
// the number of descriptors concerned.
func (p *Pool) Quarantine() (descriptors int) {
	p.carving = NoFrame
	for i := range p.holds {
		h := &p.holds[i]
		if h.kernel == 0 {
			continue
		}
		descriptors += int(h.kernel)
		if !h.quarantined {
			h.quarantined = true
			p.quarantine++
		}
	}
	return descriptors
}

// Reregistered says that the registration under which the kernel held frames is
// gone (its socket is closed, and a new one could be bound): the kernel holds
// none of them any more. Frames that only the kernel held become free; those
// with un-ACKed bytes stay with TCP.
func (p *Pool) Reregistered() {
	for i := range p.holds {
		h := &p.holds[i]
		if h.kernel == 0 {
			continue
		}
		h.kernel = 0
		if h.quarantined {
			h.quarantined = false
			p.quarantine--
		}
		if h.lent == byRX {
			h.lent = byNobody
			p.free = append(p.free, p.first+Frame(i))
			continue
		}
		p.settle(p.first+Frame(i), h)
	}
}

// Census is how many frames are in each state. The states exclude each other;
// their sum is Total.
type Census struct {
	Total, Free   int
	Writer        int // lent to a writer
	Engine        int // taken by the engine, not yet in use
	TCP           int // un-ACKed segments only
	TCPKernel     int // un-ACKed segments and descriptors
	Kernel        int // descriptors only: the ACK was first
	Fill          int // in the fill ring
	RX            int // received, being parsed
	Quarantined   int // the kernel never gave it back
	LentWhileHeld int // a writer was told too early (and the frame is not quarantined); 0 with release on ACK and completion
	Descriptors   int // TX descriptors that the kernel has not completed
}

// Sum is the sum over all states.
func (c Census) Sum() int {
	return c.Free + c.Writer + c.Engine + c.TCP + c.TCPKernel + c.Kernel + c.Fill + c.RX + c.Quarantined + c.LentWhileHeld
}

// Audit counts the frames anew and proves the books: every frame is in exactly
// one state, the free stack holds exactly the free frames, each once, and the
// running counters agree. It looks at every frame; it is for tests, for watchers
// and for the end of a run. An error is a bug of ours.
func (p *Pool) Audit() (Census, error) {
	c, early := Census{Total: len(p.holds)}, 0
	for i := range p.holds {
		h := &p.holds[i]
		h.count(&c)
		if h.lent == byWriter && !h.idle() {
			early++ // counted apart: in the census a quarantined one is Quarantined
		}
	}
	if c.Sum() != c.Total {
		return c, fmt.Errorf("umem: audit: states add up to %d of %d frames: %+v", c.Sum(), c.Total, c)
	}
	if c.Free != len(p.free) {
		return c, fmt.Errorf("umem: audit: %d frames without a holder, %d on the free stack", c.Free, len(p.free))
	}
	if early != p.early {
		return c, fmt.Errorf("umem: audit: %d frames lent while held, counted %d", early, p.early)
	}
	if c.Quarantined != p.quarantine {
		return c, fmt.Errorf("umem: audit: %d frames quarantined, counted %d", c.Quarantined, p.quarantine)
	}
	return c, p.auditStack()
}

// auditStack proves that no frame is on the free stack that is held, or twice.
func (p *Pool) auditStack() error {
	seen := make([]bool, len(p.holds))
	for _, f := range p.free {
		if h := p.at(f); *h != (hold{}) {
			return fmt.Errorf("umem: audit: frame %d is on the free stack and held: %+v", f, *h)
		}
		if i := p.Index(f); !seen[i] {
			seen[i] = true
			continue
		}
		return fmt.Errorf("umem: audit: frame %d is on the free stack twice", f)
	}
	return nil
}

// count adds the frame's one state to the census.
func (h *hold) count(c *Census) {
	if h.lent != byRX {
		c.Descriptors += int(h.kernel)
	}
	*c.of(h.holder())++
}

// LentEarly is how many times a writer was handed a frame too early, ever.
func (p *Pool) LentEarly() uint64 { return p.earlyEver }
