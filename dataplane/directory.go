package dataplane

import (
	"maps"
	"sync"
	"sync/atomic"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// strayRing is the packets that may wait for one poller from one other; what comes
// on top is dropped, as a full RX ring would.
const strayRing = 256

// Directory joins the pollers of one NIC. The NIC decides on which queue a packet
// arrives, and need not choose the one that its connection sends on: what arrives
// elsewhere goes, headers only, through a ring to the poller that owns the flow.
//
// A poller is joined by Config.Directory; all of them must be made before one of
// them runs. Looking up takes no lock.
type Directory struct {
	mu      sync.Mutex
	pollers []*Poller
	owners  atomic.Pointer[map[wire.Flow]*Poller]
}

// stray is a packet that arrived on another poller's queue, without its payload.
type stray struct {
	isICMP bool
	seg    wire.Segment
	icmp   wire.ICMPError
}

// neighbour is another poller of the same NIC, as this one sees it.
type neighbour struct {
	poller *Poller
	out    *umem.Producer[stray]
	in     *umem.Consumer[stray]
	fresh  bool // out has something to be published
}

// join makes the rings between p and the pollers that are there already.
func (d *Directory) join(p *Poller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range d.pollers {
		there, here := umem.NewRing[stray](strayRing)
		back, home := umem.NewRing[stray](strayRing)
		p.neighbours = append(p.neighbours, neighbour{poller: o, out: there, in: home})
		o.neighbours = append(o.neighbours, neighbour{poller: p, out: back, in: here})
	}
	d.pollers = append(d.pollers, p)
}

// set makes p the owner of flow f; nil makes it nobody's.
func (d *Directory) set(f wire.Flow, p *Poller) {
	d.mu.Lock()
	defer d.mu.Unlock()
	next := map[wire.Flow]*Poller{}
	if now := d.owners.Load(); now != nil {
		next = maps.Clone(*now)
	}
	if next[f] = p; p == nil {
		delete(next, f)
	}
	d.owners.Store(&next)
}

func (d *Directory) owner(f *wire.Flow) *Poller {
	if now := d.owners.Load(); now != nil {
		return (*now)[*f]
	}
	return nil
}

// forward hands the packet just parsed to the poller that owns its flow.
func (p *Poller) forward(f *wire.Flow, isICMP bool) {
	if p.directory == nil {
		p.counters.RxUnknown++
		return
	}
	owner := p.directory.owner(f)
	for i := range p.neighbours {
		n := &p.neighbours[i]
		if n.poller != owner {
			continue
		}
		if n.out.Reserve(1) == 0 {
			p.counters.RxStrayLost++
			return
		}
		s := stray{isICMP: isICMP}
		if isICMP {
			s.icmp = p.icmp
		} else {
			s.seg = p.seg
			s.seg.Payload = nil // its frame goes back to the fill ring
		}
		n.out.Put(s)
		n.fresh = true
		return
	}
	p.counters.RxUnknown++
}

// publishStrays lets the owners see what was forwarded in this Step.
func (p *Poller) publishStrays() {
	for i := range p.neighbours {
		if n := &p.neighbours[i]; n.fresh {
			n.fresh = false
			n.out.Submit()
			n.poller.wakeUp()
		}
	}
}

// adopt takes what arrived on other queues for connections of this one.
func (p *Poller) adopt(now tcp.Time) (taken int) {
	for i := range p.neighbours {
		in := p.neighbours[i].in
		n := in.Peek(strayRing)
		for range n {
			s := in.Take()
			p.counters.RxOtherQueue++
			p.stray(now, &s)
		}
		if n > 0 {
			in.Release()
			taken += n
		}
	}
	return taken
}

func (p *Poller) stray(now tcp.Time, s *stray) {
	flow := &s.seg.Flow
	if s.isICMP {
		flow = &s.icmp.Flow
	}
	stream := p.lookup(flow)
	switch {
	case stream == nil:
		p.counters.RxUnknown++
	case s.isICMP:
		p.deliverICMP(now, stream, &s.icmp)
	default:
		p.deliver(now, stream, &s.seg)
	}
}

// strayed reports that something from another queue waits.
func (p *Poller) strayed() bool {
	for i := range p.neighbours {
		if p.neighbours[i].in.Peek(1) > 0 {
			return true
		}
	}
	return false
}
