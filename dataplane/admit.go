package dataplane

import (
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// admit takes what writers committed, in turn and at most a batch from each, and
// lends them the frames that their streams have a budget for.
func (p *Poller) admit(now tcp.Time) int {
	n := 0
	p.firstLane++
	for i := range p.lanes {
		l := p.lanes[(i+p.firstLane)%len(p.lanes)]
		n += p.take(now, l)
		p.lend(l)
	}
	return n
}

// take carries out what one writer asked for.
func (p *Poller) take(now tcp.Time, l *lane) int {
	n := l.commits.Peek(admitBatch)
	for range n {
		c := l.commits.Take()
		switch c.op {
		case opCommit:
			p.commit(now, l, &c)
		case opAbandon:
			p.takeBack(l, c.frame)
		case opClose:
			c.stream.closing = true
			if p.trace != nil {
				p.traceConn(trace.CloseWrite, c.stream, 0, 0, 0, 0)
			}
			p.ready.add(c.stream)
		case opLeave:
			l.left = true
			p.leaving = true
		}
	}
	if n > 0 {
		l.commits.Release()
	}
	return n
}

// commit gives the payload of a frame to its connection.
func (p *Poller) commit(now tcp.Time, l *lane, c *commit) {
	s := c.stream
	p.pool.Commit(c.frame)
	if p.trace != nil {
		p.traceCommit(s, c)
	}
	l.lent--
	if s.committed < s.allowed {
		l.room--
	}
	s.committed++
	p.counters.Commits++
	p.counters.BytesWritten += uint64(c.length)
	p.records[p.pool.Index(c.frame)] = record{
		stream: s, cookie: c.cookie, start: s.end, length: c.length, next: umem.NoFrame, live: true,
		committed: now, last: p.records[p.pool.Index(c.frame)].last,
	}
	s.end += uint64(c.length)
	p.sums.admitted(c.frame)
	p.noteFilled(c.filled)
	switch {
	case s.closing || s.bits&isEnded != 0:
		p.giveUp(now, c.frame)
	case s.parked == umem.NoFrame && s.conn.Queue(c.frame, p.payloadAt, int(c.length)):
		p.ready.add(s)
	default:
		p.park(s, c.frame)
	}
}

// giveUp ends a commit that no connection will take.
func (p *Poller) giveUp(now tcp.Time, f umem.Frame) {
	p.records[p.pool.Index(f)].reason = Aborted
	p.pool.Drop(f)
	p.settle(now)
}

// park lets a commit wait for room in its connection. It waits here and not in the
// ring, so that it blocks no other stream of the same writer.
func (p *Poller) park(s *Stream, f umem.Frame) {
	p.counters.Parked++
	if s.parked == umem.NoFrame {
		s.parked = f
	} else {
		p.records[p.pool.Index(s.parkedEnd)].next = f
	}
	s.parkedEnd = f
}

// unpark moves parked commits into the connection, and our FIN behind the last.
func (p *Poller) unpark(now tcp.Time, s *Stream) {
	for s.parked != umem.NoFrame {
		r := &p.records[p.pool.Index(s.parked)]
		if !s.conn.Queue(s.parked, p.payloadAt, int(r.length)) {
			return
		}
		s.parked, r.next = r.next, umem.NoFrame
	}
	if s.closing && !s.finished && s.stateNow >= tcp.Established {
		s.finished = true
		s.conn.CloseWrite(now)
	}
}

// dropParked gives up the commits that a connection which ended did not take.
func (p *Poller) dropParked(s *Stream) {
	for s.parked != umem.NoFrame {
		f := s.parked
		r := &p.records[p.pool.Index(f)]
		s.parked, r.next = r.next, umem.NoFrame
		r.reason = Aborted
		p.pool.Drop(f)
	}
}

// lend gives a writer frames until it has one for each that its streams may use.
func (p *Poller) lend(l *lane) {
	n := min(l.room-l.lent, l.most-l.owned, lendBatch)
	if n <= 0 || l.left {
		return
	}
	for range n {
		f, ok := p.pool.Lend()
		if !ok {
			return
		}
		if p.trace != nil {
			p.traceFrame(trace.Lend, f)
		}
		l.credits.Put(f)
		l.lent++
		l.owned++
		l.fresh++
		l.touch(p)
	}
}
