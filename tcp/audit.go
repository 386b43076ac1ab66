package tcp

import (
	"fmt"

	"github.com/xsend/xsend/umem"
)

// Audit counts anew what the connection keeps as running sums, and proves that its
// lists, its timers and the pool's books agree with the send queue. It looks at
// every segment; it is for tests and simulations. An error is a bug of ours.
func (c *Conn) Audit() error {
	if c.sndNxt.Before(c.sndUna) || c.sndEnd.Before(c.sndNxt) && c.state != Closed {
		return fmt.Errorf("tcp: audit: sndUna %d, sndNxt %d, sndEnd %d", c.sndUna, c.sndNxt, c.sndEnd)
	}
	var sum census
	if err := sum.count(c); err != nil {
		return err
	}
	if err := c.auditList(&c.rack.flight, slotFlight); err != nil {
		return err
	}
	if err := c.auditList(&c.rack.lost, slotLost); err != nil {
		return err
	}
	switch {
	case sum.flight != c.rack.flight.bytes || sum.lost != c.rack.lost.bytes || sum.sacked != c.rack.sacked:
		return fmt.Errorf("tcp: audit: counted / kept: flight %d/%d, lost %d/%d, sacked %d/%d",
			sum.flight, c.rack.flight.bytes, sum.lost, c.rack.lost.bytes, sum.sacked, c.rack.sacked)
	case sum.slots+c.q.nfree != len(c.q.slots):
		return fmt.Errorf("tcp: audit: %d slots in use, %d free, of %d", sum.slots, c.q.nfree, len(c.q.slots))
	case sum.demoted != c.hold.segments || sum.arena != c.hold.bytes || c.hold.out < 0:
		return fmt.Errorf("tcp: audit: counted / kept: %d/%d segments and %d/%d bytes in the arena; %d descriptors of them out",
			sum.demoted, c.hold.segments, sum.arena, c.hold.bytes, c.hold.out)
	case sum.slots > 0 && sum.end != c.sndEnd:
		return fmt.Errorf("tcp: audit: the queue ends at %d, sndEnd is %d", sum.end, c.sndEnd)
	case c.outstanding() && c.timers.rto == Never:
		return fmt.Errorf("tcp: audit: %d bytes are outstanding and no timer runs", c.flightSize())
	}
	return nil
}

// census is what the send queue adds up to.
type census struct {
	slots, flight, lost, sacked int
	demoted                     int // segments
	arena                       int // their bytes
	held                        int // ranges in frames
	end                         Seq
	fresh                       bool // the first segment never sent was passed
}

func (n *census) count(c *Conn) error {
	una := c.sndUna
	if c.state == SynReceived {
		una++ // our SYN has no slot
	}
	for i := c.q.head; i != none; i = c.q.slots[i].next {
		s := &c.q.slots[i]
		n.fresh = n.fresh || i == c.q.fresh
		if n.slots > 0 && s.seq != n.end {
			return fmt.Errorf("tcp: audit: a hole in the send queue: %d to %d", n.end, s.seq)
		}
		if n.slots == 0 && (una.Before(s.seq) || !una.Before(s.end())) {
			return fmt.Errorf("tcp: audit: the first segment is [%d, %d), sndUna is %d", s.seq, s.end(), c.sndUna)
		}
		n.end = s.end()
		n.slots++
		if err := n.segment(c, s); err != nil {
			return err
		}
	}
	return nil
}

// segment counts one, and looks at its own books.
func (n *census) segment(c *Conn, s *slot) error {
	switch s.flags & (slotFlight | slotLost | slotSACKed) {
	case slotFlight:
		n.flight += s.seqLen()
	case slotLost:
		n.lost += s.seqLen()
	case slotSACKed:
		n.sacked++
	case 0:
		if !n.fresh {
			return fmt.Errorf("tcp: audit: segment %d was sent and is neither in flight, lost nor SACKed", s.seq)
		}
	default:
		return fmt.Errorf("tcp: audit: segment %d is two things at once: flags %b", s.seq, s.flags)
	}
	if (s.xmits > 0) == n.fresh || int(s.out) > int(s.xmits)*(1+maxSpans) {
		return fmt.Errorf("tcp: audit: segment %d: sent %d times, %d out, counts as never sent: %v", s.seq, s.xmits, s.out, n.fresh)
	}
	length := 0
	for _, p := range s.spans[:s.nspans] {
		length += int(p.length)
		if s.has(slotDemoted) && c.cfg.Arena.Holds(umem.Block(p.frame)) == 0 {
			return fmt.Errorf("tcp: audit: segment %d refers to block %d, which is free", s.seq, p.frame)
		}
		if !s.has(slotDemoted) && c.pool.InTCP(p.frame) == 0 {
			return fmt.Errorf("tcp: audit: segment %d refers to frame %d, which the pool does not know", s.seq, p.frame)
		}
	}
	if err := n.addDemoted(s); err != nil {
		return err
	}
	if length != int(s.length) {
		return fmt.Errorf("tcp: audit: segment %d: %d bytes in spans of %d", s.seq, s.length, length)
	}
	return nil
}

// addDemoted counts a demoted segment: none may lie behind one whose payload is in frames.
func (n *census) addDemoted(s *slot) error {
	if !s.has(slotDemoted) {
		n.held += int(s.nspans)
		return nil
	}
	n.demoted++
	n.arena += int(s.length)
	if n.held > 0 {
		return fmt.Errorf("tcp: audit: segment %d is demoted, and one before it is not", s.seq)
	}
	return nil
}

// auditList proves the links and sums of a list; the flight is in order of transmission.
func (c *Conn) auditList(l *slotList, flag slotFlags) error {
	segments, bytes, again, last := 0, 0, 0, none
	for i := l.oldest; i != none; i = c.q.slots[i].newer {
		s := &c.q.slots[i]
		if !s.has(flag) || s.older != last || segments > len(c.q.slots) {
			return fmt.Errorf("tcp: audit: segment %d, flags %b, is in the wrong list, or linked wrongly", s.seq, s.flags)
		}
		if flag == slotFlight && last != none && s.sent < c.q.slots[last].sent {
			return fmt.Errorf("tcp: audit: segment %d was sent before the one in front of it", s.seq)
		}
		segments++
		bytes += s.seqLen()
		again += s.repeated()
		last = i
	}
	if l.newest != last || segments != l.segments || bytes != l.bytes || again != l.again {
		return fmt.Errorf("tcp: audit: counted / kept: %d/%d segments, %d/%d bytes, %d/%d sent again",
			segments, l.segments, bytes, l.bytes, again, l.again)
	}
	return nil
}
