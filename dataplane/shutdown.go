package dataplane

import (
	"errors"

	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Shutdown aborts every stream that is not over; one in TIME-WAIT is just forgotten.
// No stream can be opened any more. It is for the poller's goroutine; Run calls it
// when its context is done. Step on until Drained.
func (p *Poller) Shutdown(now tcp.Time) {
	p.closing = true
	for _, s := range p.deadlines.heap {
		if st := s.conn.State(); st != tcp.TimeWait && st != tcp.Closed {
			p.Abort(now, s)
		}
	}
}

// Drained reports that after Shutdown nothing is left to be sent or to come back.
// Streams in TIME-WAIT have nothing of either.
func (p *Poller) Drained() bool {
	return p.failed != nil || p.dead == nil && p.flights.out == 0 && p.ready.len() == 0
}

// Remains is what is left of the frames when a poller is over.
type Remains struct {
	Census umem.Census
	// Leaked frames are those that nobody accounts for: Total without the free ones,
	// those lent to the kernel for receiving, and those in quarantine.
	Leaked int
	// Books are those after the end. Where everything is back they are Settled.
	Books Books
	Times *Times // nil without Config.Times
}

// Close closes the port and takes back the frames that writers have. Run must have
// ended (or nobody call Step any more), and no writer be in use. The error is the
// port's, or the ledger's if the books do not add up, a bug of ours.
func (p *Poller) Close() (Remains, error) {
	if !p.closing {
		p.Shutdown(p.last)
	}
	var err error
	if !p.rebuild.closed {
		p.lastRefused()
		p.rebuild.closed = true
		err = p.port.Close()
	}
	if n := p.flights.out; n > 0 {
		if p.trace != nil {
			p.traceNote(trace.Dead, 0, uint64(p.flights.out))
		}
		p.pool.Quarantine()
		p.ground(p.last)
	}
	for _, l := range p.lanes {
		p.reclaim(l)
	}
	if p.trace != nil {
		p.traceEnd()
	}
	p.publish()
	c, audit := p.pool.Audit()
	leaked := c.Total - c.Free - c.Fill - c.RX - c.Quarantined
	return Remains{Census: c, Leaked: leaked, Books: p.lastBooks(leaked), Times: p.TimesNow()}, errors.Join(err, audit)
}

// reclaim takes back what a writer that is not in use any more has: on its rings, on
// its stack, in its hands. What it committed comes back when it is released.
func (p *Poller) reclaim(l *lane) {
	p.noteLeft(l)
	l.left = true
	for p.take(p.last, l) > 0 {
	}
	p.publishLanes()
	w := l.writer
	for range w.credits.Peek(w.credits.Cap()) {
		p.takeBack(l, w.credits.Take())
	}
	for range w.releases.Peek(w.releases.Cap()) {
		if r := w.releases.Take(); r.Frame != umem.NoFrame {
			p.takeBack(l, r.Frame)
		}
	}
	for _, f := range w.free {
		p.takeBack(l, f)
	}
	w.free = w.free[:0]
	for i, s := range w.reserved {
		if s != nil {
			p.takeBack(l, p.frameAt(i))
			w.reserved[i] = nil
		}
	}
}

// takeBack takes a frame from its writer, unused.
func (p *Poller) takeBack(l *lane, f umem.Frame) {
	if p.trace != nil {
		p.traceFrame(trace.Back, f)
	}
	p.pool.Abandon(f)
	l.lent--
	l.owned--
}
