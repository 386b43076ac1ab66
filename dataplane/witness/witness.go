// Package witness is a dataplane.Port around another one that sees whether bytes
// change while the kernel has them: it sums what each descriptor covers when it is
// submitted, and again when its completion is handed on, the metadata before it
// included. They differ only if somebody wrote under the NIC's eyes.
//
// It owns the sums of what is in flight and nothing else. Like any port it is for
// the poller's goroutine; only Rewritten and Wake may be called by others. It does
// not allocate after Wrap. What it cannot see: bytes that changed and changed back,
// and bytes that the NIC reads after it said that it was done.
package witness

import (
	"hash/crc32"
	"sync/atomic"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// castagnoli is the polynomial that CPUs have an instruction for. Unlike the Internet
// checksum it sees words change places.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// none is no entry.
const none = int32(-1)

// entry is one descriptor in flight.
type entry struct {
	addr uint64
	len  uint32
	meta uint32 // bytes of metadata before addr
	sum  uint32
	next int32
}

// Port watches the transmissions of the port inside.
type Port struct {
	dataplane.Port
	region    *umem.Region
	entries   []entry
	free      int32
	byFrame   []int32 // the frame's oldest descriptor in flight
	rewritten atomic.Uint64
	unseen    atomic.Uint64
}

// Wrap puts a witness around port. Room is made for as many descriptors in flight
// as TX and completion ring hold together.
func Wrap(port dataplane.Port, region *umem.Region) *Port {
	caps := port.Caps()
	w := &Port{Port: port, region: region, free: none,
		entries: make([]entry, caps.TxRing+caps.Completion+region.Frames()),
		byFrame: make([]int32, region.Frames())}
	for i := range w.entries {
		w.entries[i].next = w.free
		w.free = int32(i)
	}
	for i := range w.byFrame {
		w.byFrame[i] = none
	}
	return w
}

// Rewritten is the number of descriptors whose bytes changed between submission
// and completion.
func (w *Port) Rewritten() uint64 { return w.rewritten.Load() }

// Unseen is the number of descriptors that could not be watched: out of range, or
// more than there is room for.
func (w *Port) Unseen() uint64 { return w.unseen.Load() }

// Refused is what the port inside says, see dataplane.Refused.
func (w *Port) Refused() uint64 { return dataplane.Refused(w.Port) }

// Tx implements dataplane.Port.
func (w *Port) Tx(descs []umem.Desc) {
	for _, d := range descs {
		w.note(d)
	}
	w.Port.Tx(descs)
}

// Reap implements dataplane.Port.
func (w *Port) Reap(addrs []uint64) int {
	n := w.Port.Reap(addrs)
	for _, a := range addrs[:n] {
		w.check(a)
	}
	return n
}

func (w *Port) note(d umem.Desc) {
	f, ok := w.region.FrameAt(d.Addr)
	if !ok || w.free == none || uint64(d.Len) > uint64(len(w.region.Memory()))-d.Addr {
		w.unseen.Add(1)
		return
	}
	i := w.free
	w.free = w.entries[i].next
	e := entry{addr: d.Addr, len: d.Len, next: none}
	if d.Options&dataplane.TxMetadata != 0 && d.Addr >= tcp.MetadataLen {
		e.meta = tcp.MetadataLen
	}
	e.sum = w.sum(&e)
	w.entries[i] = e
	p := &w.byFrame[f]
	for *p != none {
		p = &w.entries[*p].next
	}
	*p = i
}

// check takes the oldest descriptor with the completed address out of its frame's
// list. An address that was never submitted is the pool's to report.
func (w *Port) check(addr uint64) {
	f, ok := w.region.FrameAt(addr)
	if !ok {
		return
	}
	for p := &w.byFrame[f]; *p != none; p = &w.entries[*p].next {
		e := &w.entries[*p]
		if e.addr != addr {
			continue
		}
		if w.sum(e) != e.sum {
			w.rewritten.Add(1)
		}
		i := *p
		*p = e.next
		e.next = w.free
		w.free = i
		return
	}
}

func (w *Port) sum(e *entry) uint32 {
	return crc32.Checksum(w.region.Memory()[e.addr-uint64(e.meta):e.addr+uint64(e.len)], castagnoli)
}
