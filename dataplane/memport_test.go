package dataplane

import (
	"time"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// memPort is a port in memory with the kernel's end of its rings: what Kick finds on
// the TX ring is read and completed at once, unless the test says otherwise.
type memPort struct {
	region *umem.Region
	caps   Caps

	tx   *umem.Producer[umem.Desc]
	comp *umem.Consumer[uint64]
	fill *umem.Producer[uint64]
	rx   *umem.Consumer[umem.Desc]

	ktx   *umem.Consumer[umem.Desc]
	kcomp *umem.Producer[uint64]
	kfill *umem.Consumer[uint64]
	krx   *umem.Producer[umem.Desc]

	wire    func(packet []byte) // what was sent, read by the NIC
	hold    bool                // descriptors are taken and neither read nor completed
	noWire  bool                // completed and thrown away
	deaf    bool                // requests for checksums are not read
	asked   int                 // of them
	held    []umem.Desc
	packet  []byte // what of one was read
	request bool   // and that it asks for a checksum
	start   uint16
	offset  uint16
	answer  func() Kick // what Kick says instead; KickDown and KickDead take nothing
	kicks   int
	waits   int
	wake    chan struct{}
	noFill  int // packets lost because the fill ring was empty
	closed  bool
	corrupt bool
}

func newMemPort(r *umem.Region, ring int) *memPort {
	p := &memPort{region: r, wake: make(chan struct{}, 1)}
	p.caps = Caps{Binding: "memory", SG: testSegs > 1, MaxSegs: max(testSegs, 1), TxRing: ring, RxRing: ring, FillRing: ring, Completion: ring}
	p.tx, p.ktx = umem.NewRing[umem.Desc](ring)
	p.kcomp, p.comp = umem.NewRing[uint64](ring)
	p.fill, p.kfill = umem.NewRing[uint64](ring)
	p.krx, p.rx = umem.NewRing[umem.Desc](ring)
	return p
}

func (p *memPort) Caps() Caps         { return p.caps }
func (p *memPort) TxRoom(n int) int   { return p.tx.Reserve(n) }
func (p *memPort) TxUnsent() int      { return p.tx.Pending() }
func (p *memPort) FillRoom(n int) int { return p.fill.Reserve(n) }
func (p *memPort) Corrupt() bool      { return p.corrupt || p.comp.Corrupt() || p.rx.Corrupt() }
func (p *memPort) Close() error       { p.closed = true; return nil }

func (p *memPort) Tx(descs []umem.Desc) {
	for _, d := range descs {
		p.tx.Put(d)
	}
	p.tx.Submit()
}

func (p *memPort) Fill(addrs []uint64) {
	for _, a := range addrs {
		p.fill.Put(a)
	}
	p.fill.Submit()
}

func (p *memPort) Reap(addrs []uint64) int {
	n := p.comp.Peek(len(addrs))
	for i := range n {
		addrs[i] = p.comp.Take()
	}
	p.comp.Release()
	return n
}

func (p *memPort) Rx(descs []umem.Desc) int {
	n := p.rx.Peek(len(descs))
	for i := range n {
		descs[i] = p.rx.Take()
	}
	p.rx.Release()
	return n
}

func (p *memPort) Kick() Kick {
	p.kicks++
	if p.answer != nil {
		if k := p.answer(); k == KickDown || k == KickDead {
			return k
		}
	}
	for range p.ktx.Peek(p.kcomp.Cap()) {
		p.held = append(p.held, p.ktx.Take())
	}
	p.ktx.Release()
	if !p.hold {
		p.finish(len(p.held))
	}
	return KickOK
}

// finish lets the NIC read and complete n of the descriptors that it holds.
func (p *memPort) finish(n int) {
	batch := p.held[:n]
	for _, d := range batch {
		p.gather(d)
		if d.Options&packetContinues != 0 {
			continue
		}
		if p.wire != nil && !p.noWire {
			p.wire(p.packet)
		}
		p.packet = p.packet[:0]
	}
	for _, d := range batch {
		p.complete(d.Addr)
	}
	p.held = append(p.held[:0], p.held[n:]...)
}

// whole reports that descriptor i of those held is a packet of its own.
func (p *memPort) whole(i int) bool {
	return p.held[i].Options&packetContinues == 0 && (i == 0 && len(p.packet) == 0 || i > 0 && p.held[i-1].Options&packetContinues == 0)
}

// gather reads one descriptor, and with the last of a packet completes the checksum that the first asked for.
func (p *memPort) gather(d umem.Desc) {
	mem := p.region.Memory()
	if len(p.packet) == 0 {
		p.request = d.Options&TxMetadata != 0 && !p.deaf
		p.start, p.offset = checksumRequest(mem[:d.Addr])
	}
	p.packet = append(p.packet, mem[d.Addr:d.Addr+uint64(d.Len)]...)
	if d.Options&packetContinues == 0 && p.request {
		p.asked++
		wire.Complete(p.packet, int(p.start), int(p.offset))
	}
}

// complete puts an address on the completion ring, whatever it is.
func (p *memPort) complete(addr uint64) {
	if p.kcomp.Reserve(1) == 0 {
		panic("memPort: completion ring is full")
	}
	p.kcomp.Put(addr)
	p.kcomp.Submit()
}

// deliver receives a packet.
func (p *memPort) deliver(packet []byte) {
	if p.kfill.Peek(1) == 0 || p.krx.Reserve(1) == 0 {
		p.noFill++
		return
	}
	addr := p.kfill.Take() + 256
	p.kfill.Release()
	copy(p.region.Memory()[addr:], packet)
	p.krx.Put(umem.Desc{Addr: addr, Len: uint32(len(packet))})
	p.krx.Submit()
	p.Wake()
}

func (p *memPort) Wait(d time.Duration) {
	p.waits++
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-p.wake:
	case <-t.C:
	}
}

func (p *memPort) Wake() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
