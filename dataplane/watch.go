package dataplane

import "github.com/xsend/xsend/tcp"

// watchTick is how often the watchdog must look while descriptors are out; time
// during which nobody called Step does not count beyond it.
const watchTick = 100 * tcp.Millisecond

// watch finds a queue that stands still: descriptors are out, none is completed, and
// the kernel takes none off the TX ring. While the interface is down that is as it
// should be.
func (p *Poller) watch(now tcp.Time, completions, sent int) {
	unsent := p.port.TxUnsent()
	taken := p.unsent + sent - unsent
	p.unsent = unsent
	gap := min(now-p.last, watchTick)
	p.last = now
	switch {
	case p.port.Corrupt():
		p.dead = errCorrupt
	case completions > 0 || taken > 0 || p.flights.out == 0 || p.down || p.linkDown.Load():
		p.still = 0
	default:
		p.still += gap
		if p.still >= p.stall {
			p.dead = errStalled
		}
	}
}

// SetLink tells the watchdog whether the link has a carrier: without one, nothing
// completes in zero-copy mode, and that is no fault. Any goroutine may call it.
func (p *Poller) SetLink(up bool) { p.linkDown.Store(!up) }

// Dead is why the queue is of no use any more; nil while it is. Run, or whoever
// calls Step, then calls Rebuild.
func (p *Poller) Dead() error { return p.dead }
