package dataplane

import (
	"fmt"

	"github.com/xsend/xsend/umem"
)

// Audit proves the books of a poller between two Steps: the ledger's, that the
// descriptors out are those that the ledger knows, that each stream has as many
// commits without a release as it counts, and those of every connection. It looks at
// everything; it is for the poller's goroutine, in tests and simulations. An error
// is a bug of ours.
func (p *Poller) Audit() (umem.Census, error) {
	c, err := p.pool.Audit()
	if err != nil {
		return c, err
	}
	if p.failed == nil {
		if err := p.auditFlights(); err != nil {
			return c, err
		}
	}
	if err := p.auditHolds(); err != nil {
		return c, err
	}
	return c, p.auditStreams()
}

func (p *Poller) auditFlights() error {
	out := 0
	for i := range p.flights.head {
		n := 0
		for k := p.flights.head[i]; k != none; k = p.flights.slots[k].next {
			n++
		}
		f := p.frameAt(i)
		if held := p.pool.InKernel(f); n != held && n > 0 {
			return fmt.Errorf("dataplane: audit: frame %d: %d descriptors out by our list, %d by the ledger", f, n, held)
		}
		out += n
	}
	if out != p.flights.out {
		return fmt.Errorf("dataplane: audit: %d descriptors out, counted %d", out, p.flights.out)
	}
	return nil
}

func (p *Poller) auditStreams() error {
	live := map[*Stream]int{}
	for i := range p.records {
		if r := &p.records[i]; r.live {
			live[r.stream]++
		}
	}
	for _, s := range p.deadlines.heap {
		if live[s] != s.committed {
			return fmt.Errorf("dataplane: audit: port %d: %d commits without a release, counted %d", s.flow.LocalPort, live[s], s.committed)
		}
		delete(live, s)
		if err := s.conn.Audit(); err != nil {
			return fmt.Errorf("port %d: %w", s.flow.LocalPort, err)
		}
	}
	if len(live) > 0 {
		return fmt.Errorf("dataplane: audit: %d streams are forgotten and have commits without a release", len(live))
	}
	return nil
}
