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
	Passed     uint64 // to the kernel; ICMP without a socket is among them
	Fragments  uint64 // of Passed: IP fragments, whatever they carry
	Malformed  uint64 // of Passed: frame ends within a header, or lengths contradict each other

	// NoSocketQueue is NoSocket by RX queue, for all RX queues of the interface,
	// sockets or not: it tells where replies arrive.
	NoSocketQueue []uint64
}

// Counters reads the counters. The CPUs go on counting meanwhile, so the numbers of
// one reading may differ from each other by what arrived during it.
func (p *Program) Counters() (Counters, error) {
	var c Counters
	err := p.do("read counters", func() (err error) {
		c, err = p.objs.counters()
		return err
	})
	return c, err
}

func (o *steerMaps) counters() (Counters, error) {
	n, err := sums(o.Frames)
	if err != nil {
		return Counters{}, fmt.Errorf("frames by outcome: %w", err)
	}
	c := Counters{
		TCP:        n[steerOutcomeTCP_REDIRECTED] + n[steerOutcomeTCP_DROPPED],
		ICMP:       n[steerOutcomeICMP_REDIRECTED] + n[steerOutcomeICMP_PASSED],
		Redirected: n[steerOutcomeTCP_REDIRECTED] + n[steerOutcomeICMP_REDIRECTED],
		NoSocket:   n[steerOutcomeTCP_DROPPED],
		Passed: n[steerOutcomePASSED] + n[steerOutcomeFRAGMENT] + n[steerOutcomeMALFORMED] +
			n[steerOutcomeICMP_PASSED],
		Fragments: n[steerOutcomeFRAGMENT],
		Malformed: n[steerOutcomeMALFORMED],
	}
	if c.NoSocketQueue, err = sums(o.Unserved); err != nil {
		return Counters{}, fmt.Errorf("drops by queue: %w", err)
	}
	return c, nil
}

// sums reads a per-CPU array of counters and adds the CPUs up.
func sums(m *ebpf.Map) ([]uint64, error) {
	totals := make([]uint64, m.MaxEntries())
	var perCPU []uint64
	for i := range totals {
		if err := m.Lookup(uint32(i), &perCPU); err != nil {
			return nil, fmt.Errorf("entry %d: %w", i, err)
		}
		for _, n := range perCPU {
			totals[i] += n
		}
	}
	return totals, nil
}
