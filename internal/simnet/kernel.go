package simnet

import (
	"bytes"
	"math/rand/v2"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// KernelConfig is how a kernel and its NIC behave. The zero value is a NIC that
// reads and completes at once, in order, as veth in copy mode does.
type KernelConfig struct {
	Ring   int // entries of each ring, a power of two; 0 = 256
	Budget int // descriptors taken per kick; 0 = 32

	Segments int // most descriptors of a packet; 0 = 1

	Read       [2]tcp.Duration // least and most from kick to the NIC's read of a descriptor
	Complete   [2]tcp.Duration // least and most from the read to its completion
	AnyOrder   bool            // completions overtake each other
	Late       float64         // chance that a completion comes LateBy later
	LateBy     tcp.Duration    // at most
	Batch      tcp.Duration    // completions appear only at multiples of it
	Never      float64         // chance that a completion never comes
	Twice      float64         // chance that a completion appears twice
	Invent     float64         // chance that an address that was never out appears behind a completion
	InventRX   float64         // chance that a descriptor that makes no sense appears on the RX ring
	Again      float64         // chance that a kick ends early: EAGAIN
	Dropped    float64         // chance that a packet is completed and not sent: EBUSY
	Down       []Span          // when the interface is down: ENETDOWN
	DiesAt     tcp.Time        // when the queue dies; 0 = never
	DiesLoudly bool            // kicks then answer with an errno; otherwise nothing shows
	Deaf       bool            // packets leave with the seed where a checksum was asked for, and nobody is told
}

// Span is from a moment to another.
type Span struct{ From, To tcp.Time }

// KernelStats counts what the kernel and its NIC saw.
type KernelStats struct {
	Submitted, Taken, Sent, Completed uint64
	Dropped                           uint64 // completed and not sent
	Forgotten                         uint64 // read, and never completed
	Abandoned                         uint64 // out when the socket was closed
	Overtaken                         uint64 // completed behind one that was submitted later
	Twice, Invented                   uint64 // lies told about TX
	InventedRX                        uint64 // lies told about RX
	Asked                             uint64 // packets sent whose checksum was asked for
	NoFill, NoRxRoom                  uint64 // packets dropped at the receiving side
	Received                          uint64
	Kicks                             [6]uint64 // by answer

	Invalid           uint64 // descriptors or fill addresses that no kernel would take
	Refused           uint64 // packets that are not legal: completed and not sent
	RewrittenInFlight uint64 // descriptors whose bytes changed between submission and the NIC's read
	RewrittenHeld     uint64 // descriptors whose bytes changed between submission and completion
}

// flight is one descriptor between submission and completion.
type flight struct {
	desc umem.Desc
	copy []byte // what it covered when it was submitted, the metadata before it included
	dead bool   // the socket was closed under it
	nth  uint64 // in order of submission
}

// Kernel is a NIC queue and the kernel's end of its rings. It implements
// dataplane.Port: the poller has one end of each ring, Kernel the other.
type Kernel struct {
	w      *World
	cfg    KernelConfig
	region *umem.Region
	random *rand.Rand
	out    *Link

	tx   ringPair[umem.Desc]
	comp ringPair[uint64]
	fill ringPair[uint64]
	rx   ringPair[umem.Desc]

	ringed   []*flight // on the TX ring, in order
	taking   gathering // that is not whole yet
	inNIC    []*flight // taken and not completed
	spare    []*flight
	held     []int32 // by frame: descriptors out
	filled   []bool  // by frame: on the fill ring
	lastRead tcp.Time
	lastComp tcp.Time
	newest   uint64 // the last submitted of those completed
	closed   bool
	stats    KernelStats
}

// ringPair is a ring with both its ends.
type ringPair[T any] struct {
	prod *umem.Producer[T]
	cons *umem.Consumer[T]
}

func newRing[T any](n int) ringPair[T] {
	p, c := umem.NewRing[T](n)
	return ringPair[T]{p, c}
}

// NewKernel makes a queue over region that sends to out.
func (w *World) NewKernel(cfg KernelConfig, region *umem.Region, out *Link) *Kernel {
	if cfg.Ring == 0 {
		cfg.Ring = 256
	}
	if cfg.Budget == 0 {
		cfg.Budget = 32
	}
	k := &Kernel{w: w, cfg: cfg, region: region, random: w.source(), out: out,
		tx: newRing[umem.Desc](cfg.Ring), comp: newRing[uint64](cfg.Ring),
		fill: newRing[uint64](cfg.Ring), rx: newRing[umem.Desc](cfg.Ring),
		held: make([]int32, region.Frames()), filled: make([]bool, region.Frames())}
	k.taking.legal = true
	k.tx.cons.SetNeedWakeup(true)
	return k
}

// Stats is what the kernel saw so far.
func (k *Kernel) Stats() KernelStats { return k.stats }

// Holds is the number of descriptors of a frame that are out: what is true, whatever
// the completion ring said.
func (k *Kernel) Holds(f umem.Frame) int { return int(k.held[f]) }

// Out is the number of descriptors submitted and neither completed nor abandoned.
func (k *Kernel) Out() int { return len(k.ringed) + len(k.inNIC) }

// Caps implements dataplane.Port.
func (k *Kernel) Caps() dataplane.Caps {
	n := k.cfg.Ring
	return dataplane.Caps{Binding: "simnet", ZeroCopy: k.cfg.Read[1] > 0, SG: k.cfg.Segments > 1, MaxSegs: max(k.cfg.Segments, 1), TxMetadata: true, TxRing: n, RxRing: n, FillRing: n, Completion: n}
}

// TxRoom implements dataplane.Port.
func (k *Kernel) TxRoom(n int) int { return k.tx.prod.Reserve(n) }

// TxUnsent implements dataplane.Port.
func (k *Kernel) TxUnsent() int { return k.tx.prod.Pending() }

// Tx implements dataplane.Port. What a descriptor covers is remembered: nobody may
// write there until it is completed.
func (k *Kernel) Tx(descs []umem.Desc) {
	for _, d := range descs {
		k.stats.Submitted++
		k.tx.prod.Put(d)
		f := k.take()
		f.desc, f.nth = d, k.stats.Submitted
		if k.legal(d) {
			f.copy = append(f.copy[:0], k.covered(d)...)
			k.held[k.frame(d.Addr)]++
		} else {
			k.stats.Invalid++
		}
		k.ringed = append(k.ringed, f)
		k.w.note('t', d.Addr, uint64(d.Len))
	}
	k.tx.prod.Submit()
}

func (k *Kernel) take() *flight {
	if n := len(k.spare); n > 0 {
		f := k.spare[n-1]
		k.spare = k.spare[:n-1]
		f.copy, f.dead = f.copy[:0], false
		return f
	}
	return new(flight)
}

// legal is the kernel's own check: inside the region, inside one chunk
// (xp_aligned_validate_desc), not empty, no option and no request that is not known.
func (k *Kernel) legal(d umem.Desc) bool {
	f, ok := k.region.FrameAt(d.Addr)
	if !ok || d.Len == 0 || d.Options&^(txMetadata|packetContinues) != 0 {
		return false
	}
	off := int(d.Addr - k.region.Addr(f))
	if off < metadataLen || off+int(d.Len) > k.region.ChunkSize() { // room for metadata, used or not
		return false
	}
	return d.Options&txMetadata == 0 || requestOf(k.covered(d)).legal(int(d.Len))
}

func (k *Kernel) frame(addr uint64) umem.Frame {
	f, _ := k.region.FrameAt(addr)
	return f
}

// covered is what nobody may write to: the packet, and the metadata before it.
func (k *Kernel) covered(d umem.Desc) []byte {
	from := d.Addr
	if d.Options&txMetadata != 0 {
		from -= metadataLen
	}
	return k.region.Memory()[from : d.Addr+uint64(d.Len)]
}

// Refused is XDP_STATISTICS' tx_invalid_descs, for packets of one descriptor.
func (k *Kernel) Refused() uint64 { return k.stats.Refused }

// Reap implements dataplane.Port.
func (k *Kernel) Reap(addrs []uint64) int { return drain(k.comp.cons, addrs) }

// Rx implements dataplane.Port.
func (k *Kernel) Rx(descs []umem.Desc) int { return drain(k.rx.cons, descs) }

func drain[T any](c *umem.Consumer[T], out []T) int {
	n := c.Peek(len(out))
	for i := range n {
		out[i] = c.Take()
	}
	c.Release()
	return n
}

// FillRoom implements dataplane.Port.
func (k *Kernel) FillRoom(n int) int { return k.fill.prod.Reserve(n) }

// Fill implements dataplane.Port.
func (k *Kernel) Fill(addrs []uint64) {
	for _, a := range addrs {
		k.fill.prod.Put(a)
		if f, ok := k.region.FrameAt(a); !ok || k.filled[f] {
			k.stats.Invalid++
		} else {
			k.filled[f] = true
		}
	}
	k.fill.prod.Submit()
}

// Wait implements dataplane.Port: time passes in World, not here.
func (k *Kernel) Wait(time.Duration) {}

// Wake implements dataplane.Port.
func (k *Kernel) Wake() {}

// Corrupt implements dataplane.Port.
func (k *Kernel) Corrupt() bool { return k.comp.cons.Corrupt() || k.rx.cons.Corrupt() }

// Close implements dataplane.Port: the NIC stops reading, and what was out does not
// come back.
func (k *Kernel) Close() error {
	if k.closed {
		return nil
	}
	k.closed = true
	k.w.note('c')
	for _, f := range k.inNIC {
		f.dead = true
	}
	k.stats.Abandoned += uint64(k.Out())
	k.ringed, k.inNIC = nil, nil
	clear(k.held)
	return nil
}

// Deliver is a frame from the wire: it goes into the next frame of the fill ring.
func (k *Kernel) Deliver(frame []byte) {
	if k.closed || k.dead() || k.down() {
		return
	}
	switch {
	case k.rx.prod.Reserve(2) < 2:
		k.stats.NoRxRoom++
		return
	case k.fill.cons.Peek(1) == 0:
		k.stats.NoFill++
		return
	}
	addr := k.fill.cons.Take()
	k.fill.cons.Release()
	f, ok := k.region.FrameAt(addr)
	if !ok {
		return
	}
	k.filled[f] = false
	n := copy(k.region.Bytes(f)[rxHeadroom:], frame)
	k.rx.prod.Put(umem.Desc{Addr: k.region.Addr(f) + rxHeadroom, Len: uint32(n)})
	k.stats.Received++
	if chance(k.random, k.cfg.InventRX) {
		k.rx.prod.Put(k.inventedRX())
		k.stats.InventedRX++
	}
	k.rx.prod.Submit()
}

// rxHeadroom is XDP_PACKET_HEADROOM.
const rxHeadroom = 256

// same reports that what a descriptor covers has not changed since it was submitted.
func (k *Kernel) same(f *flight) bool { return bytes.Equal(f.copy, k.covered(f.desc)) }
