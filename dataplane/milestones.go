package dataplane

import (
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
)

// observe looks whether something happened to the stream that its writer, or
// whoever waits for it, wants to know.
func (p *Poller) observe(now tcp.Time, s *Stream) {
	if m := s.conn.MSS(); m != s.mssNow {
		s.mssNow = m
		s.mss.Store(int32(m))
	}
	if st := s.conn.State(); st != s.stateNow {
		s.stateNow = st
		if p.trace != nil {
			p.traceState(s, st)
		}
		s.state.Store(uint32(st))
	}
	p.observeHold(s)
	if bits := s.bits | s.milestones(p.failed != nil); bits != s.bits {
		p.reach(now, s, bits)
	}
}

// milestones are those that can be seen now. gone says that nothing can be sent any
// more, a last RST included.
func (s *Stream) milestones(gone bool) milestones {
	var m milestones
	if s.stateNow >= tcp.Established {
		m |= isEstablished
		if s.conn.Canary().Over() {
			m |= isTested
		}
	}
	if s.conn.SendClosed() {
		m |= isSendClosed
	}
	if s.conn.PeerClosed() {
		m |= isPeerClosed
	}
	if s.stateNow == tcp.Closed {
		m |= isEnded
		if s.committed == 0 && s.out == 0 && (gone || s.conn.Done()) {
			m |= isHome
		}
	}
	return m
}

// reach makes new milestones known.
func (p *Poller) reach(now tcp.Time, s *Stream, bits milestones) {
	fresh := bits &^ s.bits
	s.bits = bits
	if fresh&isEnded != 0 {
		s.err = s.cause
		if s.err == nil {
			s.err = s.conn.Err()
		}
	}
	s.reached.Store(bits)
	if p.trace != nil && fresh&isHome != 0 {
		p.traceConn(trace.Home, s, 0, 0, 0, 0)
	}
	if fresh&isEnded != 0 {
		p.dropParked(s)
		p.settle(now)
	}
	if !s.changed {
		s.changed = true
		p.changed = append(p.changed, s) // never more than there are streams
	}
	s.writer.lane.urgent = true
	s.writer.lane.touch(p)
}
