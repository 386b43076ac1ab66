package late

import (
	"container/heap"
	"math/rand/v2"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// DefaultMost is the latest that a completion is handed on where Config doesn't say.
const DefaultMost = 200 * tcp.Millisecond

// Config says how late. Zero means the default given.
type Config struct {
	Now  func() tcp.Time // a monotonic clock; must be set
	Seed uint64
	Most tcp.Duration // the latest that a completion is handed on; 0 = DefaultMost
}

// Stats is what the port saw.
type Stats struct {
	Submitted  uint64       // descriptors
	HandedOn   uint64       // completions of them
	Unexpected uint64       // completions of addresses that were not out; handed on at once
	Late       tcp.Duration // the most that one was kept back
}

// Port is a dataplane.Port that hands completions on up to Config.Most late, in an order of its own; those of one address
// stay in order, since the same address comes back.
type Port struct {
	dataplane.Port
	cfg     Config
	random  *rand.Rand
	out     map[uint64]int // descriptors submitted and not yet completed, by address
	waiting queue
	stats   Stats
	addrs   [256]uint64
}

// completion is one between the port inside and the poller.
type completion struct {
	addr      uint64
	came, due tcp.Time
}

// Wrap makes a late port of an ordinary one.
func Wrap(p dataplane.Port, cfg Config) *Port {
	if cfg.Most == 0 {
		cfg.Most = DefaultMost
	}
	return &Port{Port: p, cfg: cfg, random: rand.New(rand.NewPCG(cfg.Seed, 0x1a7e)), out: map[uint64]int{}}
}

// Stats is what the port saw so far; for the poller's goroutine.
func (p *Port) Stats() Stats { return p.stats }

// Tx implements dataplane.Port.
func (p *Port) Tx(descs []umem.Desc) {
	for _, d := range descs {
		p.out[d.Addr]++
	}
	p.stats.Submitted += uint64(len(descs))
	p.Port.Tx(descs)
}

// Reap implements dataplane.Port: completions that came go on the pile, those that are due leave it.
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
		c := heap.Pop(&p.waiting).(completion)
		p.stats.HandedOn++
		p.stats.Late = max(p.stats.Late, now-c.came)
		addrs[n] = c.addr
		n++
	}
	return n
}

// came puts a completion on the pile; false where nothing of the address is out.
func (p *Port) came(now tcp.Time, addr uint64) bool {
	switch p.out[addr] {
	case 0:
		p.stats.Unexpected++
		return false
	case 1:
		delete(p.out, addr)
	default:
		p.out[addr]--
	}
	due := now + tcp.Duration(p.random.Int64N(int64(p.cfg.Most)+1))
	heap.Push(&p.waiting, completion{addr, now, due})
	return true
}

// queue is a heap of completions by when they are due.
type queue []completion

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].due < q[j].due }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }
func (q *queue) Push(x any)        { *q = append(*q, x.(completion)) }
func (q *queue) Pop() any {
	old := *q
	c := old[len(old)-1]
	*q = old[:len(old)-1]
	return c
}
