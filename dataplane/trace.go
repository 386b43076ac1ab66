package dataplane

import (
	"encoding/binary"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// What the lifecycle trace is told, each where it happens and before anything follows from it. Callers ask p.trace != nil
// first, so that without a trace there is one branch.

// streamTrace is what a stream needs for it.
type streamTrace struct {
	id    uint16
	heard bool   // the peer answered our SYN
	acked uint64 // as last told
}

// traceQueue says what the numbers of the queue's events are about.
func (p *Poller) traceQueue() {
	p.trace.Put(trace.Event{
		Kind: trace.Queue, Flags: uint8(p.mode), Conn: uint16(p.caps.Queue), Frame: uint32(p.frameAt(0)),
		A: uint64(p.pool.Len())<<32 | uint64(p.pool.Region().ChunkSize()), B: uint32(p.payloadAt), C: uint32(p.perPacket),
	})
}

// traceFrame is an event of a frame that needs no more.
func (p *Poller) traceFrame(k trace.Kind, f umem.Frame) {
	p.trace.Add(trace.Who(k, 0, 0, uint32(f)), 0, 0)
}

// traceConn is an event of a connection.
func (p *Poller) traceConn(k trace.Kind, s *Stream, flags uint8, a uint64, b, c uint32) {
	p.trace.Add(trace.Who(k, flags, s.traced.id, trace.NoFrame), a, trace.Pair(b, c))
}

// traceNote is an event of the queue.
func (p *Poller) traceNote(k trace.Kind, flags uint8, a uint64) {
	p.trace.Add(trace.Who(k, flags, 0, trace.NoFrame), a, 0)
	p.trace.Flush()
}

// traceOpen is a new connection.
func (p *Poller) traceOpen(now tcp.Time, s *Stream, cfg *tcp.Config) {
	p.trace.Now = int64(now)
	if p.opened++; p.opened == 0 {
		p.opened = 1
	}
	s.traced.id = p.opened
	p.traceConn(trace.Open, s, 0, uint64(cfg.ISS)<<32|uint64(cfg.Flow.LocalPort)<<16|uint64(cfg.Flow.RemotePort), 0, 0)
	be := binary.BigEndian
	for k, a := range [...][16]byte{cfg.Flow.Local, cfg.Flow.Remote} {
		p.traceConn(trace.Local+trace.Kind(k), s, 0, be.Uint64(a[:]), be.Uint32(a[8:]), be.Uint32(a[12:]))
	}
	var path [16]byte
	copy(path[:], cfg.Path.SrcMAC[:])
	copy(path[6:], cfg.Path.DstMAC[:])
	be.PutUint16(path[12:], 0xffff)
	if cfg.Path.Tagged {
		be.PutUint16(path[12:], cfg.Path.VLAN)
	}
	p.traceConn(trace.Path, s, 0, be.Uint64(path[:]), be.Uint32(path[8:]), be.Uint32(path[12:]))
	p.trace.Flush()
}

// traceState is a connection in another state.
func (p *Poller) traceState(s *Stream, st tcp.State) {
	failed := uint32(0)
	if s.conn.Err() != nil {
		failed = 1
	}
	p.traceConn(trace.State, s, uint8(st), s.conn.BytesAcked(), failed, 0)
}

// traceAck is a segment that the connection was given, if it is the peer's first, or the cumulative ACK advanced by it. It comes
// before what that releases.
func (p *Poller) traceAck(now tcp.Time, s *Stream, seg *wire.Segment) {
	p.trace.Now = int64(now)
	n := s.conn.BytesAcked()
	first := !s.traced.heard && s.conn.State() >= tcp.Established
	if n == s.traced.acked && !first {
		return
	}
	s.traced.acked, s.traced.heard = n, true
	p.traceConn(trace.Ack, s, 0, n, seg.Ack, seg.Seq+uint32(seg.Len()))
}

// traceDemoted is what went to the arena, before what that releases.
func (p *Poller) traceDemoted(s *Stream) {
	copied, _, _ := s.conn.ArenaBytes()
	p.traceConn(trace.Demote, s, 0, copied, 0, 0)
}

// traceCommit is a commit that was admitted.
func (p *Poller) traceCommit(s *Stream, c *commit) {
	p.trace.Add(trace.Who(trace.Commit, 0, s.traced.id, uint32(c.frame)), s.end, trace.Pair(c.length, uint32(c.cookie)))
}

// traceSend is the descriptors of a packet.
func (p *Poller) traceSend(s *Stream, tx *tcp.Tx) {
	off, flags, headers := p.offset(tx.Frame, tx.Addr), uint8(trace.First), tx.Len
	if tx.Again {
		flags |= trace.Again
	}
	if tx.Metadata {
		flags |= trace.Metadata
	}
	if tx.Parts > 0 {
		flags |= trace.More
	} else {
		headers = tcp.Headroom - off // payload starts at Headroom in whatever frame it is sent from
	}
	why := uint32(tx.Why) | uint32(tx.Flags)<<8
	p.trace.Add(trace.Who(trace.Submit, flags, s.traced.id, uint32(tx.Frame)), where(tx.Seq, off, tx.Len), trace.Pair(uint32(tx.Source), why|headers<<16))
	if tx.Parts > 0 {
		p.traceParts(s, tx, flags&trace.Again, why)
	}
}

// where is the first word of a Submit.
func where(seq, off, n uint32) uint64 { return uint64(seq)<<32 | uint64(off)<<16 | uint64(n) }

// traceParts is those behind the headers'.
func (p *Poller) traceParts(s *Stream, tx *tcp.Tx, flags uint8, why uint32) {
	seq := tx.Seq
	for k := range tx.Rest[:tx.Parts] {
		r := &tx.Rest[k]
		more, source := uint8(trace.More), uint32(trace.NoFrame)
		if k == tx.Parts-1 {
			more = 0
		}
		if p.records[p.pool.Index(r.Frame)].live {
			source = uint32(r.Frame)
		}
		p.trace.Add(trace.Who(trace.Submit, flags|more, s.traced.id, uint32(r.Frame)), where(seq, p.offset(r.Frame, r.Addr), r.Len), trace.Pair(source, why))
		seq += r.Len
	}
}

func (p *Poller) offset(f umem.Frame, addr uint64) uint32 { return uint32(addr - p.addr(f)) }

// traceCompletion is an address out of the completion ring, and what the ledger made of it.
func (p *Poller) traceCompletion(addr uint64, f umem.Frame, fault umem.Fault) {
	p.trace.Add(trace.Who(trace.Complete, uint8(fault), 0, uint32(f)), addr, 0)
}

// traceRelease is a commit that is answered.
func (p *Poller) traceRelease(r *record, i int) {
	p.trace.Add(trace.Who(trace.Release, uint8(r.reason), r.stream.traced.id, uint32(p.frameAt(i))), r.start, trace.Pair(r.length, r.xmits))
}

// traceEnd is what the poller counted itself, and its last event.
func (p *Poller) traceEnd() {
	c := &p.counters
	for what, n := range [...]uint64{
		trace.CountedSubmitted: c.Submitted, trace.CountedCompleted: c.Completed,
		trace.CountedQuarantined: c.Quarantined, trace.CountedReleases: c.Releases,
	} {
		p.traceNote(trace.Count, uint8(what), n)
	}
	p.traceNote(trace.End, 0, 0)
}
