package umem

// Holder says who holds a frame. The holders exclude each other, and every frame has one.
type Holder uint8

// The holders; Census counts frames by them.
const (
	HeldByNobody       Holder = iota // free
	HeldByWriter                     // lent to a writer
	HeldByEngine                     // taken by the engine, not yet in use
	HeldByTCP                        // un-ACKed segments only
	HeldByTCPAndKernel               // un-ACKed segments and descriptors
	HeldByKernel                     // descriptors only
	HeldByFillRing                   // lent to the kernel for receiving
	HeldByRX                         // received, being parsed
	HeldByQuarantine                 // the kernel never gave it back
	HeldAndLent                      // a writer was told too early
)

func (h *hold) holder() Holder {
	switch {
	case h.quarantined:
		return HeldByQuarantine
	case h.lent == byRX && h.kernel > 0:
		return HeldByFillRing
	case h.lent == byRX:
		return HeldByRX
	case h.lent == byWriter && !h.idle():
		return HeldAndLent
	case h.lent == byWriter:
		return HeldByWriter
	case h.lent == byEngine:
		return HeldByEngine
	case h.tcp > 0 && h.kernel > 0:
		return HeldByTCPAndKernel
	case h.tcp > 0:
		return HeldByTCP
	case h.kernel > 0:
		return HeldByKernel
	}
	return HeldByNobody
}

// of is the census' count of the frames of one holder.
func (c *Census) of(h Holder) *int {
	return [...]*int{&c.Free, &c.Writer, &c.Engine, &c.TCP, &c.TCPKernel, &c.Kernel, &c.Fill, &c.RX, &c.Quarantined, &c.LentWhileHeld}[h]
}

// Holder is who holds frame f; payload says that a writer's payload is in it, so that its
// end is an event.
func (p *Pool) Holder(f Frame) (h Holder, payload bool) {
	hold := p.at(f)
	return hold.holder(), hold.committed
}
