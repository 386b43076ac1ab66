package latetest

import (
	"container/heap"
	"math/rand/v2"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Config says how late. Zero means the default given.
type Config struct {
	Region *umem.Region    // what descriptors point into; must be set
	Now    func() tcp.Time // the poller's clock; must be set
	Seed   uint64
	Most   tcp.Duration // the latest that a completion is handed on; 0 = 200 ms
}

// Stats is what the port saw.
type Stats struct {
	Submitted  uint64       // descriptors
	HandedOn   uint64       // completions of them
	Unexpected uint64       // completions of addresses that were not out; handed on at once
	Late       tcp.Duration // the most that one was kept back
	Rewritten  uint64       // descriptors whose bytes changed between Tx and the completion handed on
	Bytes      uint64       // bytes of them that did
}

// Port is a dataplane.Port that hands completions on up to Config.Most late, in an
// order of its own; those of one address stay in order.
type Port struct {
	dataplane.Port
	cfg     Config
	random  *rand.Rand
	out     map[uint64][]*sent // by address, oldest first
	waiting queue
	stats   Stats
	addrs   [256]uint64
}

// sent is a descriptor between Tx and the completion handed on.
type sent struct {
	desc umem.Desc
	copy []byte   // what it covered at Tx
	came tcp.Time // when its completion did
	due  tcp.Time
}

// Wrap makes a late port of an ordinary one.
func Wrap(p dataplane.Port, cfg Config) *Port {
	if cfg.Most == 0 {
		cfg.Most = 200 * tcp.Millisecond
	}
	return &Port{Port: p, cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 0x1a7e)), out: map[uint64][]*sent{}}
}

// Stats is what the port saw so far.
func (p *Port) Stats() Stats { return p.stats }

// Refused is what the port inside says, see dataplane.Refused.
func (p *Port) Refused() uint64 { return dataplane.Refused(p.Port) }

// Tx implements dataplane.Port: it remembers what each descriptor covers.
func (p *Port) Tx(descs []umem.Desc) {
	for _, d := range descs {
		p.stats.Submitted++
		p.out[d.Addr] = append(p.out[d.Addr], &sent{desc: d, copy: append([]byte(nil), p.bytes(d)...)})
	}
	p.Port.Tx(descs)
}

func (p *Port) bytes(d umem.Desc) []byte {
	mem := p.cfg.Region.Memory()
	if d.Addr > uint64(len(mem)) || uint64(d.Len) > uint64(len(mem))-d.Addr {
		return nil
	}
	return mem[d.Addr : d.Addr+uint64(d.Len)]
}

// Reap implements dataplane.Port: completions that came go on the pile, those that
// are due leave it.
func (p *Port) Reap(addrs []uint64) int {
	now := p.cfg.Now()
	n := 0
	room := min(len(addrs), len(p.addrs))
	for _, addr := range p.addrs[:p.Port.Reap(p.addrs[:room])] {
		if !p.came(now, addr) {
			addrs[n] = addr
			n++
		}
	}
	for n < len(addrs) && len(p.waiting) > 0 && p.waiting[0].due <= now {
		s := heap.Pop(&p.waiting).(*sent)
		p.compare(now, s)
		addrs[n] = s.desc.Addr
		n++
	}
	return n
}

// came puts a completion on the pile; false where nothing of the address is out.
func (p *Port) came(now tcp.Time, addr uint64) bool {
	list := p.out[addr]
	if len(list) == 0 {
		p.stats.Unexpected++
		return false
	}
	s := list[0]
	if p.out[addr] = list[1:]; len(list) == 1 {
		delete(p.out, addr)
	}
	s.came = now
	s.due = now + tcp.Duration(p.random.Int64N(int64(p.cfg.Most)+1))
	heap.Push(&p.waiting, s)
	return true
}

// compare looks whether what the descriptor covers is still what was submitted.
func (p *Port) compare(now tcp.Time, s *sent) {
	p.stats.HandedOn++
	p.stats.Late = max(p.stats.Late, now-s.came)
	changed := 0
	for i, b := range p.bytes(s.desc) {
		if b != s.copy[i] {
			changed++
		}
	}
	if changed > 0 {
		p.stats.Rewritten++
		p.stats.Bytes += uint64(changed)
	}
}

// queue is a heap of completions by when they are due.
type queue []*sent

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(*sent)) }
func (q *queue) Pop() any {
	old := *q
	s := old[len(old)-1]
	*q = old[:len(old)-1]
	return s
}
