package dataplane

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// A dead queue is opened again with growing pauses, for about ten seconds.
const (
	rebuildFirst = 10 * tcp.Millisecond
	rebuildMost  = tcp.Second
	rebuildTries = 16
)

// rebuildState is where opening a dead queue again stands.
type rebuildState struct {
	closed bool     // the port is
	tries  int      // since it died
	at     tcp.Time // not before
	pause  tcp.Duration
}

// Rebuild makes one attempt to open a dead queue again: the old port is closed, the
// frames that the kernel held are in quarantine until a new one is there, and the
// streams go on from their retained frames. It is for the poller's goroutine,
// between two Steps, once Dead says why, and again from Deadline on while it returns
// an error. After the last attempt all streams end with ErrQueueDead.
func (p *Poller) Rebuild(now tcp.Time) error {
	r := &p.rebuild
	if p.dead == nil || p.failed != nil {
		return p.failed
	}
	if now < r.at {
		return p.dead
	}
	if !r.closed {
		p.retire()
	}
	if p.reopen == nil {
		return p.fail(now, ErrNoReopen)
	}
	p.counters.RebuildTry++
	port, err := p.reopen(p.caps.Queue)
	if err != nil {
		return p.tryLater(now, err)
	}
	p.install(now, port)
	return nil
}

// retire gives the old port up. Its error is of no use: the queue is dead already.
func (p *Poller) retire() {
	if p.trace != nil {
		p.traceNote(trace.Dead, 0, uint64(p.flights.out))
	}
	p.pool.Quarantine()
	p.lastRefused()
	p.rebuild = rebuildState{closed: true, pause: rebuildFirst}
	_ = p.port.Close()
}

func (p *Poller) tryLater(now tcp.Time, err error) error {
	r := &p.rebuild
	r.tries++
	if r.tries >= rebuildTries || errors.Is(err, ErrNoReopen) {
		return p.fail(now, err)
	}
	r.at = now + r.pause
	r.pause = min(2*r.pause, rebuildMost)
	return err
}

// install goes on with a new port. The registration under which the kernel held
// frames is gone with the old one.
func (p *Poller) install(now tcp.Time, port Port) {
	p.port = port
	p.caps = port.Caps()
	p.waker.Store(&waker{port})
	p.counters.Rebuilds++
	p.dead, p.rebuild = nil, rebuildState{}
	p.kickAt, p.kickOwed, p.down, p.unsent, p.still, p.last = 0, false, false, 0, 0, now
	if p.trace != nil {
		p.traceNote(trace.Rebuilt, 0, 0)
	}
	p.ground(now)
	p.pool.Reregistered()
	p.settle(now)
	p.filled = 0
	p.rxFrames = min(p.rxFrames, p.caps.FillRing)
	p.refill()
	for _, s := range p.deadlines.heap {
		p.ready.add(s)
	}
}

// ground ends every descriptor that was out: the kernel will not complete it.
func (p *Poller) ground(now tcp.Time) {
	for i := range p.flights.head {
		for s, ref, ok := p.flights.pop(i, 0); ok; s, ref, ok = p.flights.pop(i, 0) {
			s.conn.Completed(now, ref)
			p.counters.Quarantined++
		}
	}
}

// fail ends every stream: the queue cannot be had again.
func (p *Poller) fail(now tcp.Time, err error) error {
	p.failed = fmt.Errorf("queue %d: %w: %w; opening it again: %w", p.caps.Queue, ErrQueueDead, p.dead, err)
	if p.trace != nil {
		p.traceNote(trace.Failed, 0, 0)
	}
	p.rebuild.at = tcp.Never
	p.ground(now)
	for _, s := range p.deadlines.heap {
		if s.conn.State() != tcp.Closed {
			s.cause = p.failed
		}
		s.conn.Abort(now)
		p.settle(now)
		p.observe(now, s)
	}
	p.writeOff()
	for _, s := range p.deadlines.heap {
		p.observe(now, s)
	}
	p.publishLanes()
	return p.failed
}

// refuse answers what was committed on a queue that is dead for good.
func (p *Poller) refuse(now tcp.Time) int {
	if p.failed == nil {
		return 0
	}
	n := p.admit(now)
	p.publishLanes()
	return n
}

// writeOff answers the commits whose frame stays in quarantine: there will never be
// another answer.
func (p *Poller) writeOff() {
	for i := range p.records {
		r := &p.records[i]
		if !r.live {
			continue
		}
		r.reason = Quarantined
		if p.trace != nil {
			p.traceRelease(r, i)
		}
		p.count(r)
		l := r.stream.writer.lane
		l.owned--
		if !l.left {
			l.releases.Put(r.release(umem.NoFrame, false))
			l.fresh++
		}
		p.forget(r)
	}
}

// frameAt is the frame with index i in the pool.
func (p *Poller) frameAt(i int) umem.Frame { return umem.Frame(i - p.pool.Index(0)) }
