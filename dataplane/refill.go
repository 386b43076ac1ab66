package dataplane

import (
	"github.com/xsend/xsend/dataplane/trace"
	"github.com/xsend/xsend/umem"
)

// giveBack puts the frames of the packets just received (p.addrs[:p.refilled]) on
// the fill ring again; one that the ring has no room for becomes free.
func (p *Poller) giveBack() {
	room := min(p.port.FillRoom(p.refilled), p.refilled)
	for _, addr := range p.addrs[:room] {
		f, _ := p.pool.Region().FrameAt(addr)
		p.pool.Refill(f)
	}
	for _, addr := range p.addrs[room:p.refilled] {
		f, _ := p.pool.Region().FrameAt(addr)
		if p.trace != nil {
			p.traceFrame(trace.Recycle, f)
		}
		p.pool.Recycle(f)
		p.filled--
	}
	if room > 0 {
		p.port.Fill(p.addrs[:room])
	}
}

// refill keeps as many frames with the kernel for receiving as were asked for.
func (p *Poller) refill() {
	for p.filled < p.rxFrames {
		n := p.port.FillRoom(min(p.rxFrames-p.filled, len(p.addrs)))
		k := 0
		for ; k < n; k++ {
			f, ok := p.pool.Fill()
			if !ok {
				p.counters.RxStarved++
				break
			}
			if p.trace != nil {
				p.traceFrame(trace.Fill, f)
			}
			p.addrs[k] = p.addr(f)
		}
		if k == 0 {
			return
		}
		p.port.Fill(p.addrs[:k])
		p.filled += k
	}
}

func (p *Poller) addr(f umem.Frame) uint64 { return p.pool.Region().Addr(f) }
