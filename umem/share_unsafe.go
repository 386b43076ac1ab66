package umem

import (
	"fmt"
	"unsafe"
)

// HoldSize is the bytes that the ledger keeps of a frame.
const HoldSize = int(unsafe.Sizeof(hold{}))

// Share moves the ledger's entries to mem, HoldSize bytes for each frame of the pool in order, so that another process
// can read with ReadHolding who held what when this one died. mem is 8-byte aligned, zero, and stays mapped for the pool's
// life. It belongs right behind NewPool.
func (p *Pool) Share(mem []byte) error {
	if len(mem) != len(p.holds)*HoldSize || misaligned(mem, 8) {
		return fmt.Errorf("%w: a ledger of %d frames in %d bytes", ErrGeometry, len(p.holds), len(mem))
	}
	// Valid: aligned and long enough, both checked; a hold has no pointers, and any bytes are one.
	shared := unsafe.Slice((*hold)(unsafe.Pointer(unsafe.SliceData(mem))), len(p.holds))
	copy(shared, p.holds)
	p.holds = shared
	return nil
}

// Holding is what a ledger said of a frame.
type Holding struct {
	Kernel   int    // descriptors that the kernel had not completed
	Segments int    // un-ACKed segments that referred to it
	Lent     bool   // a writer was lent it
	Who      string // held it: nobody, a writer, TCP, TCP and kernel, kernel, the engine, quarantine
}

// ReadHolding reads the entry of one frame, HoldSize bytes of what Share was given. Its owner may be writing to it.
func ReadHolding(entry []byte) Holding {
	// Valid as in Share; a copy, so that nothing changes while it is looked at.
	h := *(*hold)(unsafe.Pointer(unsafe.SliceData(entry[:HoldSize])))
	return Holding{Kernel: int(h.kernel), Segments: int(h.tcp), Lent: h.lent == byWriter, Who: holderNames[h.holder()]}
}

// holderNames are what a Holding calls the holders.
var holderNames = [...]string{
	HeldByNobody: "nobody", HeldByWriter: "a writer", HeldByEngine: "the engine", HeldByTCP: "TCP", HeldByTCPAndKernel: "TCP and kernel",
	HeldByKernel: "kernel", HeldByFillRing: "the engine, to receive into", HeldByRX: "the engine, to receive into",
	HeldByQuarantine: "quarantine", HeldAndLent: "a writer, who was told too early",
}

// WriterBase is the address at which the writers' view begins.
func (r *Region) WriterBase() uintptr {
	// Valid: the address is only compared; the region is not on the heap and does not move.
	return uintptr(unsafe.Pointer(unsafe.SliceData(r.writer)))
}
