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
	room := min(p.port.TxRoom(txBatch), p.flights.room())
	n := 0
	for n < room && p.ready.len() > 0 {
		s := p.ready.pop()
		ask := min(txQuota, room-n)
		k := p.send(now, s, ask, n)
		n += k
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
func (p *Poller) send(now tcp.Time, s *Stream, ask, at int) int {
	p.unpark(now, s)
	k := s.conn.Transmit(now, p.txs[:ask])
	for i := range p.txs[:k] {
		tx := &p.txs[i]
		p.flights.push(p.pool.Index(tx.Frame), s, tx.Ref)
		if tx.Source != umem.NoFrame {
			p.noteSubmitted(now, tx)
		}
		p.descs[at+i] = umem.Desc{Addr: tx.Addr, Len: tx.Len, Options: options(tx)}
		if p.tap != nil {
			p.tapOut(now, tx)
		}
	}
	p.deadlines.earlier(s)
	p.observe(now, s)
	p.rebudget(s)
	return k
}

// noteSubmitted does the books of a commit whose bytes are in a packet.
func (p *Poller) noteSubmitted(now tcp.Time, tx *tcp.Tx) {
	r := &p.records[p.pool.Index(tx.Source)]
	if !r.live {
		return
	}
	r.xmits++
	if r.submitted == 0 {
		r.submitted = now
	}
	if !tx.Again {
		// In the linear layout payload starts at Headroom in whatever frame it is sent from.
		headers := tcp.Headroom - int(tx.Addr-p.addr(tx.Frame))
		r.sent += tx.Len - uint32(headers)
	}
	if p.mode == ReleaseSubmit {
		p.submitted = append(p.submitted, tx.Source)
	}
}

func (p *Poller) tapOut(now tcp.Time, tx *tcp.Tx) {
	off := tx.Addr - p.addr(tx.Frame)
	packet := tapSlot{at: now, out: true}
	if tx.Metadata {
		packet.start, packet.offset = checksumRequest(p.pool.Bytes(tx.Frame)[:off])
	}
	if !p.tap.put(packet, p.pool.Bytes(tx.Frame)[off:off+uint64(tx.Len)]) {
		p.counters.TapLost++
	}
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
