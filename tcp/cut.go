package tcp

import "github.com/xsend/xsend/umem"

// cut leaves the first n payload bytes in slot i and puts the rest into a slot of
// its own right behind. A segment may be cut at any byte, as long as the kernel
// holds none of its transmissions; false, and nothing happened, otherwise or when
// there is no slot left. The last one is for the head of the queue.
func (c *Conn) cut(i int32, n int) bool {
	s := &c.q.slots[i]
	if s.out > 0 || n <= 0 || n >= int(s.length) || i != c.q.head && c.q.nfree <= headReserve {
		return false
	}
	j := c.q.take()
	if j == none {
		return false
	}
	r := &c.q.slots[j]
	lost, at := s.has(slotLost), s.older
	if lost {
		c.rack.lost.remove(c.q.slots, i) // its length is about to change
	}
	c.divide(s, r, n)
	r.xmits, r.sent, r.first, r.rate = s.xmits, s.sent, s.first, s.rate
	r.flags |= s.flags & slotReneged
	s.flags &^= slotSummed
	c.q.insertAfter(i, j)
	if lost {
		c.rack.lost.add(c.q.slots, i, at) // where it was, the rest right behind
		r.flags |= slotLost
		c.rack.lost.add(c.q.slots, j, i)
	}
	c.stats.Cuts++
	return true
}

// divide splits length and spans of s at n bytes; the rest goes to r. A frame
// that the cut runs through gets one more hold.
func (c *Conn) divide(s, r *slot, n int) {
	r.seq, r.length = s.seq.Add(n), s.length-uint32(n)
	s.length = uint32(n)
	keep, left := uint8(0), uint32(n)
	for k := range s.nspans {
		p := s.spans[k]
		switch {
		case left >= p.length:
			keep++
			left -= p.length
			continue
		case left > 0:
			c.holdSpan(s, p)
			s.spans[k].length = left
			keep++
			p.off, p.length = p.off+left, p.length-left
			left = 0
		}
		r.spans[r.nspans] = p
		r.nspans++
	}
	s.nspans = keep
	r.tail = umem.NoFrame
	c.cutDemoted(s, r)
}
