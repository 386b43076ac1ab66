package lifecycle

import (
	"encoding/binary"
	"net/netip"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
)

func (c *Checker) connEvent(q *queue, e *trace.Event) {
	if e.Kind == trace.Open {
		c.open(q, e)
		return
	}
	s := q.conns[e.Conn]
	if s == nil {
		c.illegal(q, e, nil, "%v of connection %d, which was not opened", e.Kind, e.Conn)
		return
	}
	switch e.Kind {
	case trace.Local, trace.Remote, trace.Path:
		s.describe(e)
		if e.Kind == trace.Path && c.capture != nil {
			s.seen = c.capture.find(s)
		}
	case trace.State:
		c.state(q, e, s)
	case trace.Ack:
		c.ack(q, e, s)
	case trace.CloseWrite:
		s.closing = true
	case trace.Demote:
		s.demoted = e.A
	case trace.Home:
		if s.open > 0 {
			c.illegal(q, e, s, "nothing is left of the connection, but %d commits have no release", s.open)
		}
	}
}

func (c *Checker) open(q *queue, e *trace.Event) {
	if s := q.conns[e.Conn]; s != nil && s.open > 0 {
		c.illegal(q, e, s, "the number is used again, but %d commits have no release", s.open)
	}
	c.r.Conns++
	q.conns[e.Conn] = c.remember(q, e)
}

func newConn(e *trace.Event) *conn {
	return &conn{
		id: e.Conn, iss: uint32(e.A >> 32), probes: map[uint32]struct{}{},
		local: netip.AddrPortFrom(netip.Addr{}, uint16(e.A>>16)), remote: netip.AddrPortFrom(netip.Addr{}, uint16(e.A)),
	}
}

// describe takes addresses and path.
func (s *conn) describe(e *trace.Event) {
	var b [16]byte
	be := binary.BigEndian
	be.PutUint64(b[:], e.A)
	be.PutUint32(b[8:], e.B)
	be.PutUint32(b[12:], e.C)
	switch e.Kind {
	case trace.Local:
		s.local = netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), s.local.Port())
	case trace.Remote:
		s.remote = netip.AddrPortFrom(netip.AddrFrom16(b).Unmap(), s.remote.Port())
	case trace.Path:
		s.path = b
	}
}

// state takes a new state. Releases of this pass that said the connection had ended were right if it has.
func (c *Checker) state(q *queue, e *trace.Event, s *conn) {
	s.state = tcp.State(e.Flags)
	if s.state != tcp.Closed {
		return
	}
	s.ended = true
	kept := q.pending[:0]
	for _, p := range q.pending {
		if p.conn != s {
			kept = append(kept, p)
		}
	}
	q.pending = kept
}

// ack takes a cumulative ACK: how far it reaches is worked out from the segment's number, and must be what the poller made of it.
func (c *Checker) ack(q *queue, e *trace.Event, s *conn) {
	reach := e.B - s.iss - 1 // mod 2^32
	switch {
	case e.A < s.acked || e.A == s.acked && len(s.acks) > 0:
		c.illegal(q, e, s, "the cumulative ACK goes from %d to %d", s.acked, e.A)
	case reach != uint32(e.A) && reach != uint32(e.A)+1: // the FIN has a number of its own
		c.illegal(q, e, s, "acknowledgement number %d covers %d bytes (mod 2^32), and %d are said to be ACKed", e.B, reach, e.A)
	case e.A > s.sent:
		c.illegal(q, e, s, "%d bytes are said to be ACKed, and %d were sent", e.A, s.sent)
	}
	s.acked, s.peer = max(s.acked, e.A), e.C
	s.acks = append(s.acks, ack{e.A, e.B})
}
