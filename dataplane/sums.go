package dataplane

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"

	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// ErrChanged says that something wrote to a frame whose payload was committed and not released; the error is a
// *Changed, which says where.
var ErrChanged = errors.New("dataplane: payload changed after it was committed")

// Moment says when an audit compared.
type Moment uint8

// The moments. What was found at one happened since the one before.
const (
	AtFirst   Moment = iota // before the bytes' first transmission
	AtAgain                 // before a retransmission
	AtRelease               // before the frame is handed back
)

// String says when.
func (m Moment) String() string {
	return [...]string{"its first transmission", "a retransmission", "its release"}[min(int(m), 2)]
}

// Changed is the first difference that an audit found. It wraps ErrChanged.
type Changed struct {
	Local, Remote netip.AddrPort // of the connection whose bytes they are
	Frame         umem.Frame
	Offset        int    // of the first byte that changed, in the frame
	Position      uint64 // of that byte in the stream, from 0
	When          Moment
	Was, Is       byte
	Known         bool // Was is. Not where the frame was committed anew while the old bytes were still to be sent
	Bytes         int  // that differ, in what was compared
	Compared      int  // bytes
}

// Error names everything that is known.
func (c *Changed) Error() string {
	was := "unknown"
	if c.Known {
		was = fmt.Sprintf("0x%02x", c.Was)
	}
	return fmt.Sprintf("%v: frame %d, offset %d: byte %d of the stream from %v to %v was %s and is 0x%02x before %v (%d of %d bytes differ): "+
		"something writes to memory that it no longer holds; --trap finds it where it does",
		ErrChanged, c.Frame, c.Offset, c.Position, c.Local, c.Remote, was, c.Is, c.When, c.Bytes, c.Compared)
}

// Unwrap is ErrChanged.
func (c *Changed) Unwrap() error { return ErrChanged }

// PayloadAudit is what pollers that audit payload found together: one for all of a session (Config.Audit). A poller with one keeps a copy
// of what is committed, made by Commit, and compares it with the frame before each transmission and before the release: a sum would
// say that something changed, and not which byte. The first difference ends all streams of all these pollers, with a *Changed as their
// error; a packet that would have carried changed bytes leaves with an EtherType that nobody takes.
//
// It does not look at what is sent from the arena, where no writer has a view of it (tcp.HoldDemote), and it cannot see bytes that changed and changed back between two comparisons, and those that change after the last one under the
// NIC's eyes: package witness does. In a wrong release mode a writer that believes it is what it finds.
type PayloadAudit struct {
	first         atomic.Pointer[Changed]
	commits       atomic.Uint64
	transmissions atomic.Uint64
	releases      atomic.Uint64
	bytes         atomic.Uint64
}

// AuditReport is what was compared. Its counts are exact once the pollers have ended.
type AuditReport struct {
	Commits       uint64   // copied
	Transmissions uint64   // frames in packets that were compared
	Releases      uint64   // frames that were compared before they were handed back
	Bytes         uint64   // of payload, compared
	First         *Changed // the first difference; nil = none
}

// Report is what was compared so far. Any goroutine may call it.
func (a *PayloadAudit) Report() AuditReport {
	return AuditReport{
		Commits: a.commits.Load(), Transmissions: a.transmissions.Load(), Releases: a.releases.Load(), Bytes: a.bytes.Load(),
		First: a.first.Load(),
	}
}

// sums is one poller's part of the audit. Nil audits nothing.
type sums struct {
	audit  *PayloadAudit
	pool   *umem.Pool
	at     int // where payload begins in a frame
	size   int // bytes of a copy
	ways   int // copies of a frame: in a wrong mode it may be committed anew while the poller compares the old one
	copies []byte

	next  []uint8 // by frame: how often it was committed, modulo ways; of whoever holds it
	now   []uint8 // the same as the poller knows it
	early []bool  // handed back although it is held

	found                                  Changed // so that nothing is allocated
	ended                                  bool
	commits, transmissions, releases, seen uint64 // since publish
}

func newSums(cfg *Config, payloadAt int) *sums {
	if cfg.Audit == nil {
		return nil
	}
	n := cfg.Pool.Len()
	m := &sums{
		audit: cfg.Audit, pool: cfg.Pool, at: payloadAt, size: cfg.Pool.Region().ChunkSize() - payloadAt, ways: 1,
		next: make([]uint8, n), now: make([]uint8, n), early: make([]bool, n),
	}
	if cfg.Release != ReleaseAck {
		m.ways = 2
	}
	m.copies = make([]byte, n*m.ways*m.size)
	return m
}

func (m *sums) copyOf(i int, way uint8) []byte {
	at := (i*m.ways + int(way)) * m.size
	return m.copies[at : at+m.size]
}

// committed takes the copy; it is the writer's, who holds frame f until it is on the ring.
func (m *sums) committed(f umem.Frame, n int) {
	if m == nil {
		return
	}
	i := m.pool.Index(f)
	m.next[i] = (m.next[i] + 1) & uint8(m.ways-1)
	copy(m.copyOf(i, m.next[i]), m.pool.Region().WriterBytes(f)[m.at:m.at+n])
}

// admitted is committed's other end: the poller goes by the new copy from now on.
func (m *sums) admitted(f umem.Frame) {
	if m == nil {
		return
	}
	i := m.pool.Index(f)
	m.now[i] = m.next[i]
	m.commits++
}

// auditTx compares what a packet is about to carry.
func (p *Poller) auditTx(s *Stream, tx *tcp.Tx) {
	if p.sums == nil || tx.Source == umem.NoFrame && tx.Parts == 0 {
		return
	}
	same, at := true, tx.Offset
	if tx.Source != umem.NoFrame { // in one piece behind the headers, which end at Headroom
		n := tx.Len - uint32(tcp.Headroom-int(tx.Addr-p.addr(tx.Frame)))
		same = p.auditPart(s, tx.Source, at, p.pool.Bytes(tx.Frame)[tcp.Headroom:tcp.Headroom+n], tx.Again)
	}
	for _, part := range tx.Rest[:tx.Parts] {
		same = p.auditPart(s, part.Frame, at, p.view(part.Addr, part.Len), tx.Again) && same
		at += part.Len
	}
	if !same {
		spoil(p.view(tx.Addr, tx.Len))
	}
}

// nobodys is an EtherType for local experiments (IEEE Std 802): no stack takes it.
const nobodys = 0x88B5

// spoil makes a packet one that nobody takes. Its headers are written anew for each transmission.
func spoil(packet []byte) { packet[12], packet[13] = nobodys>>8, nobodys&0xff }

// auditPart compares bytes that are to be sent, and come from frame f, with those that were committed at that place of the
// stream, modulo 2^32.
func (p *Poller) auditPart(s *Stream, f umem.Frame, at uint32, sent []byte, again bool) bool {
	m, i := p.sums, p.pool.Index(f)
	r := &p.records[i]
	if !r.live && !(m.early[i] && p.pool.InTCP(f) > 0) {
		return true // the engine's own bytes
	}
	when := AtFirst
	if again {
		when = AtAgain
	}
	m.transmissions++
	m.seen += uint64(len(sent))
	begin := at - uint32(r.start)
	if r.stream != s || uint64(begin)+uint64(len(sent)) > uint64(r.length) { // it carries another commit by now
		acked := s.conn.Stats().BytesAcked
		m.note(s, f, when, Changed{
			Offset: m.at, Position: acked + uint64(int64(int32(at-uint32(acked)))), Is: sent[0], Bytes: len(sent), Compared: len(sent),
		})
		return false
	}
	return m.compare(s, f, when, r.start+uint64(begin), int(begin), sent)
}

// compare looks for the first byte that is not as committed.
func (m *sums) compare(s *Stream, f umem.Frame, when Moment, position uint64, begin int, is []byte) bool {
	i := m.pool.Index(f)
	was := m.copyOf(i, m.now[i])[begin : begin+len(is)]
	if bytes.Equal(was, is) {
		return true
	}
	first, n := -1, 0
	for k := range is {
		if is[k] != was[k] {
			if n++; first < 0 {
				first = k
			}
		}
	}
	if n == 0 {
		return true // it changed back in this moment
	}
	m.note(s, f, when, Changed{
		Offset: m.at + begin + first, Position: position + uint64(first), Was: was[first], Is: is[first], Known: true,
		Bytes: n, Compared: len(is),
	})
	return false
}

// note keeps the first difference of all pollers.
func (m *sums) note(s *Stream, f umem.Frame, when Moment, c Changed) {
	if m.found.Compared > 0 {
		return
	}
	c.Local, c.Remote, c.Frame, c.When = s.flow.LocalAddr(), s.flow.RemoteAddr(), f, when
	m.found = c
	m.audit.first.CompareAndSwap(nil, &m.found)
}

// auditRelease compares a whole commit before its frame is handed back.
func (p *Poller) auditRelease(f umem.Frame, r *record, early bool) {
	m := p.sums
	if m == nil {
		return
	}
	m.early[p.pool.Index(f)] = early
	m.releases++
	m.seen += uint64(r.length)
	m.compare(r.stream, f, AtRelease, r.start, 0, p.pool.Bytes(f)[m.at:m.at+int(r.length)])
}

// endAudited ends every stream once a difference was found, here or by another poller of the audit.
func (p *Poller) endAudited(now tcp.Time) {
	m := p.sums
	if m == nil {
		return
	}
	c := m.audit.first.Load()
	if c == nil || m.ended {
		return
	}
	m.ended = true
	for _, s := range p.deadlines.heap {
		if st := s.conn.State(); st != tcp.TimeWait && st != tcp.Closed {
			s.cause = c
			p.Abort(now, s)
		}
	}
}

// publish adds what was compared since the last time to what all pollers did.
func (m *sums) publish() {
	if m == nil {
		return
	}
	m.audit.commits.Add(m.commits)
	m.audit.transmissions.Add(m.transmissions)
	m.audit.releases.Add(m.releases)
	m.audit.bytes.Add(m.seen)
	m.commits, m.transmissions, m.releases, m.seen = 0, 0, 0, 0
}

// spoiled is why no stream can be opened any more; nil = there is no reason.
func (m *sums) spoiled() error {
	if m == nil {
		return nil
	}
	if c := m.audit.first.Load(); c != nil {
		return c
	}
	return nil
}
