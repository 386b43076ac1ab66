package dataplane

import (
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// reap takes completions. What the kernel says is input: the pool decides whether
// an address is believed.
func (p *Poller) reap(now tcp.Time) int {
	n := p.port.Reap(p.addrs[:])
	for _, addr := range p.addrs[:n] {
		f, fault := p.pool.Complete(addr)
		if p.trace != nil {
			p.traceCompletion(addr, f, fault)
		}
		switch fault {
		case umem.FaultNone:
			p.completed(now, f, addr)
		case umem.FaultRange:
			p.counters.OutOfRange++
		default:
			p.notBelieved(f, addr)
		}
	}
	p.settle(now)
	return n
}

// completed tells the connection whose descriptor it was.
func (p *Poller) completed(now tcp.Time, f umem.Frame, addr uint64) {
	p.counters.Completed++
	i := p.pool.Index(f)
	p.noteCompleted(f, &p.records[i], addr)
	s, ref, ok := p.flights.pop(i, addr)
	if !ok {
		return
	}
	s.conn.Completed(now, ref)
	p.ready.add(s) // what waited for this completion may be sent again
	p.records[i].completed = now
	if p.mode == ReleaseCompletion {
		p.releaseCompleted(f)
	}
}
