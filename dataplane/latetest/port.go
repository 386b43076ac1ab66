package latetest

import (
	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/late"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Config says how late. Zero means the default given.
type Config struct {
	Region *umem.Region    // what descriptors point into; must be set
	Now    func() tcp.Time // the poller's clock; must be set
	Seed   uint64
	Most   tcp.Duration // the latest that a completion is handed on; 0 = late.DefaultMost
}

// Stats is what the port saw.
type Stats struct {
	late.Stats
	Rewritten uint64 // descriptors whose bytes changed between Tx and the completion handed on
	Bytes     uint64 // bytes of them that did
}

// Port is a late port that compares what descriptors cover when their completions are handed on with what they covered
// when they were submitted.
type Port struct {
	*late.Port
	region    *umem.Region
	out       map[uint64][]*sent // by address, oldest first
	rewritten uint64
	bytes     uint64
}

// sent is a descriptor between Tx and the completion handed on.
type sent struct {
	desc umem.Desc
	copy []byte // what it covered at Tx
}

// Wrap makes a late port that compares of an ordinary one.
func Wrap(p dataplane.Port, cfg Config) *Port {
	delay := late.Wrap(p, late.Config{Now: cfg.Now, Seed: cfg.Seed, Most: cfg.Most})
	return &Port{Port: delay, region: cfg.Region, out: map[uint64][]*sent{}}
}

// Stats is what the port saw so far.
func (p *Port) Stats() Stats { return Stats{p.Port.Stats(), p.rewritten, p.bytes} }

// Refused is what the port inside says, see dataplane.Refused.
func (p *Port) Refused() uint64 { return dataplane.Refused(p.Port) }

// Tx implements dataplane.Port: it remembers what each descriptor covers.
func (p *Port) Tx(descs []umem.Desc) {
	for _, d := range descs {
		p.out[d.Addr] = append(p.out[d.Addr], &sent{desc: d, copy: append([]byte(nil), p.covered(d)...)})
	}
	p.Port.Tx(descs)
}

func (p *Port) covered(d umem.Desc) []byte {
	mem := p.region.Memory()
	if d.Addr > uint64(len(mem)) || uint64(d.Len) > uint64(len(mem))-d.Addr {
		return nil
	}
	return mem[d.Addr : d.Addr+uint64(d.Len)]
}

// Reap implements dataplane.Port: what is handed on is compared.
func (p *Port) Reap(addrs []uint64) int {
	n := p.Port.Reap(addrs)
	for _, addr := range addrs[:n] {
		list := p.out[addr]
		if len(list) == 0 {
			continue // unexpected: counted by the late port
		}
		if p.out[addr] = list[1:]; len(list) == 1 {
			delete(p.out, addr)
		}
		p.compare(list[0])
	}
	return n
}

// compare looks whether what the descriptor covers is still what was submitted.
func (p *Port) compare(s *sent) {
	changed := 0
	for i, b := range p.covered(s.desc) {
		if b != s.copy[i] {
			changed++
		}
	}
	if changed > 0 {
		p.rewritten++
		p.bytes += uint64(changed)
	}
}
