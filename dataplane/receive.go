package dataplane

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// receive takes packets, hands them to their connections, and gives the frames
// back to the fill ring.
func (p *Poller) receive(now tcp.Time) int {
	n := p.port.Rx(p.rx[:])
	p.refilled = 0
	for i := range p.rx[:n] {
		p.counters.RxPackets++
		d := &p.rx[i]
		f, fault := p.pool.Received(d.Addr)
		if fault != umem.FaultNone {
			p.counters.RxFault++
			continue
		}
		if packet, ok := p.packet(f, d); ok {
			p.packetIn(now, packet)
		} else {
			p.counters.RxFault++
		}
		p.addrs[p.refilled] = p.pool.Region().Addr(f)
		p.refilled++
	}
	if n > 0 {
		p.giveBack()
	}
	p.publishStrays()
	return n + p.adopt(now)
}

// packet is the bytes that an RX descriptor of frame f names; false where it
// leaves the frame.
func (p *Poller) packet(f umem.Frame, d *umem.Desc) ([]byte, bool) {
	frame := p.pool.Bytes(f)
	off := d.Addr - p.pool.Region().Addr(f)
	if off+uint64(d.Len) > uint64(len(frame)) {
		return nil, false
	}
	return frame[off : off+uint64(d.Len)], true
}

func (p *Poller) packetIn(now tcp.Time, packet []byte) {
	if p.tap != nil && !p.tap.put(tapSlot{at: now}, packet) {
		p.counters.TapLost++
	}
	switch wire.Parse(packet, p.verify, &p.seg) {
	case nil:
		p.segmentIn(now)
	case wire.ErrNotTCP:
		p.icmpIn(now, packet)
	case wire.ErrChecksum:
		p.counters.RxChecksum++
	default:
		p.counters.RxBad++
	}
}

func (p *Poller) segmentIn(now tcp.Time) {
	s := p.lookup(&p.seg.Flow)
	if s == nil {
		p.forward(&p.seg.Flow, false)
		return
	}
	p.deliver(now, s, &p.seg)
}

// deliver hands a segment to its connection.
func (p *Poller) deliver(now tcp.Time, s *Stream, seg *wire.Segment) {
	p.counters.RxTCP++
	s.conn.Receive(now, seg)
	if p.trace != nil {
		p.traceAck(now, s, seg)
	}
	p.settle(now)
	p.touched(now, s)
}

func (p *Poller) icmpIn(now tcp.Time, packet []byte) {
	switch wire.ParseICMP(packet, p.verify, &p.icmp) {
	case nil:
	case wire.ErrNotTCP:
		p.counters.RxOther++
		return
	case wire.ErrChecksum:
		p.counters.RxChecksum++
		return
	default:
		p.counters.RxBad++
		return
	}
	s := p.lookup(&p.icmp.Flow)
	if s == nil {
		p.forward(&p.icmp.Flow, true)
		return
	}
	p.deliverICMP(now, s, &p.icmp)
}

// deliverICMP hands an ICMP error to the connection that it quotes.
func (p *Poller) deliverICMP(now tcp.Time, s *Stream, e *wire.ICMPError) {
	p.counters.RxICMP++
	s.conn.ReceiveICMP(now, e)
	p.settle(now)
	p.touched(now, s)
}

// lookup finds the stream of a flow; packets of one flow come in a row, so that the
// last answer is tried first.
func (p *Poller) lookup(f *wire.Flow) *Stream {
	if s := p.lastHit; s != nil && s.flow == *f {
		return s
	}
	s := p.flows[*f]
	if s != nil {
		p.lastHit = s
	}
	return s
}
