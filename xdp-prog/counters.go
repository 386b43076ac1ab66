package xdpprog

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// Counters count frames since Attach, summed over the CPUs. Each frame is in exactly
// one of Redirected, NoSocket and Passed.
type Counters struct {
	TCP        uint64 // segments for our ports
	ICMP       uint64 // ICMP errors that quote a segment of ours
	Redirected uint64 // of TCP and ICMP: handed to the socket of their queue
	NoSocket   uint64 // of TCP: dropped, because their queue had no socket
	Passed     uint64 // to the kernel
	Fragments  uint64 // of Passed: IP fragments, whatever they carry
	Malformed  uint64 // of Passed: frame ends within a header, or lengths contradict each other

	// NoSocketQueue is NoSocket by RX queue, for all RX queues of the interface,
	// sockets or not: it tells where replies arrive.
	NoSocketQueue []uint64
}

// Counters reads the counters. The CPUs go on counting meanwhile, so the numbers of
// one reading may differ from each other by the frames in flight.
func (p *Program) Counters() (Counters, error) {
	var c Counters
	err := p.do("read counters", func() (err error) {
		c, err = p.objs.counters()
		return err
	})
	return c, err
}

func (o *steerMaps) counters() (Counters, error) {
	var c Counters
	var perCPU []steerCounters
	if err := o.Totals.Lookup(uint32(0), &perCPU); err != nil {
		return c, fmt.Errorf("totals: %w", err)
	}
	for i := range perCPU {
		c.add(&perCPU[i])
	}
	c.NoSocketQueue = make([]uint64, o.Nosocket.MaxEntries())
	if c.NoSocket == 0 {
		return c, nil
	}
	for q := range c.NoSocketQueue {
		n, err := sum(o.Nosocket, uint32(q))
		if err != nil {
			return c, fmt.Errorf("queue %d: %w", q, err)
		}
		c.NoSocketQueue[q] = n
	}
	return c, nil
}

func (c *Counters) add(n *steerCounters) {
	c.TCP += n.Tcp
	c.ICMP += n.Icmp
	c.Redirected += n.Redirected
	c.NoSocket += n.Nosocket
	c.Passed += n.Passed
	c.Fragments += n.Fragments
	c.Malformed += n.Malformed
}

func sum(m *ebpf.Map, key uint32) (total uint64, err error) {
	var perCPU []uint64
	err = m.Lookup(key, &perCPU)
	for _, n := range perCPU {
		total += n
	}
	return total, err
}
