package dataplane

import (
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// downPause is how long the doorbell is left alone after it said that the
// interface is down.
const downPause = 10 * tcp.Millisecond

// transmit lets the ready streams send in turn, a quota each, until the TX ring or
// the batch is full, and rings the doorbell once.
func (p *Poller) transmit(now tcp.Time) int {
	room := min(p.port.TxRoom(len(p.descs)), p.flights.room())
	n := 0
	for room-n >= p.perPacket && p.ready.len() > 0 {
		s := p.ready.pop()
		ask := min(txQuota, (room-n)/p.perPacket)
		k, descs := p.send(now, s, ask, n)
		n += descs
		if k == ask {
			p.ready.add(s)
		}
	}
	if n > 0 {
		p.port.Tx(p.descs[:n])
		p.counters.Submitted += uint64(n)
	}
	p.kick(now, n > 0)
	if p.mode == ReleaseSubmit {
		p.releaseSubmitted()
	}
	return n
}

// send takes at most ask packets from a stream; their descriptors go to p.descs from at on.
func (p *Poller) send(now tcp.Time, s *Stream, ask, at int) (packets, descs int) {
	p.unpark(now, s)
	k := s.conn.Transmit(now, p.txs[:ask])
	for i := range p.txs[:k] {
		tx := &p.txs[i]
		p.flights.push(p.pool.Index(tx.Frame), tx.Addr, s, tx.Ref)
		if tx.Source != umem.NoFrame {
			p.noteSubmitted(now, tx)
		}
		p.descs[at+descs] = umem.Desc{Addr: tx.Addr, Len: tx.Len, Options: options(tx)}
		descs++
		if tx.Parts > 0 {
			descs += p.sendParts(now, s, tx, at+descs)
		}
		p.auditTx(s, tx)
		if p.trace != nil {
			p.traceSend(s, tx)
		}
		if p.tap != nil {
			p.tapOut(now, tx)
		}
	}
	p.deadlines.earlier(s)
	p.observe(now, s)
	p.rebudget(s)
	return k, descs
}

// sendParts makes the descriptors of a packet's payload, behind that of its headers at at-1.
func (p *Poller) sendParts(now tcp.Time, s *Stream, tx *tcp.Tx, at int) int {
	for k := range tx.Rest[:tx.Parts] {
		r := &tx.Rest[k]
		p.descs[at+k-1].Options |= packetContinues
		p.descs[at+k] = umem.Desc{Addr: r.Addr, Len: r.Len}
		p.flights.push(p.pool.Index(r.Frame), r.Addr, s, tx.Ref)
		p.noteCommit(now, r.Frame, r.Len, tx.Again)
	}
	return tx.Parts
}

// noteSubmitted does the books of the commit whose bytes are in a packet of one descriptor.
func (p *Poller) noteSubmitted(now tcp.Time, tx *tcp.Tx) {
	// Payload starts at Headroom in whatever frame it is sent from.
	headers := tcp.Headroom - int(tx.Addr-p.addr(tx.Frame))
	p.noteCommit(now, tx.Source, tx.Len-uint32(headers), tx.Again)
}

// noteCommit notes that n bytes of the commit in frame f are in a packet.
func (p *Poller) noteCommit(now tcp.Time, f umem.Frame, n uint32, again bool) {
	r := &p.records[p.pool.Index(f)]
	if !r.live {
		return
	}
	r.xmits++
	if r.submitted == 0 {
		r.submitted = now
	}
	if !again {
		r.sent += n
	}
	if p.mode == ReleaseSubmit {
		p.submitted = append(p.submitted, f)
	}
}

func (p *Poller) tapOut(now tcp.Time, tx *tcp.Tx) {
	var parts [tcp.MaxDescs][]byte
	parts[0] = p.view(tx.Addr, tx.Len)
	for k, r := range tx.Rest[:tx.Parts] {
		parts[1+k] = p.view(r.Addr, r.Len)
	}
	packet := tapSlot{at: now, out: true}
	if tx.Metadata {
		packet.start, packet.offset = checksumRequest(p.pool.Region().Memory()[:tx.Addr])
	}
	if !p.tap.put(packet, parts[:1+tx.Parts]...) {
		p.counters.TapLost++
	}
}

// view is the bytes that a descriptor covers.
func (p *Poller) view(addr uint64, n uint32) []byte {
	return p.pool.Region().Memory()[addr : addr+uint64(n)]
}

// kick rings the doorbell: for what is new, while the kernel has not taken
// everything, and after a wait with descriptors out.
func (p *Poller) kick(now tcp.Time, fresh bool) {
	if now < p.kickAt {
		return
	}
	p.down = false
	if !fresh && !p.kickOwed && p.port.TxUnsent() == 0 {
		return
	}
	p.kickOwed = false
	k := p.port.Kick()
	p.counters.Kicks[min(k, KickDead)]++
	switch {
	case k == KickDown:
		p.down = true
		p.kickAt = now + downPause
	case k >= KickDead:
		p.dead = errKick
	}
}
