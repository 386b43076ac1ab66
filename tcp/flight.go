package tcp

// slotList is a list of slots through their older and newer links. A slot is in at
// most one: in flight in order of transmission, or lost in the order to resend.
type slotList struct {
	oldest, newest int32
	segments       int
	bytes          int // sequence numbers
	again          int // segments that were sent more than once
}

func (l *slotList) clear() { *l = slotList{oldest: none, newest: none} }

// add puts slot i behind slot at; at = none puts it first.
func (l *slotList) add(slots []slot, i, at int32) {
	s := &slots[i]
	s.older = at
	if at == none {
		s.newer = l.oldest
		l.oldest = i
	} else {
		s.newer = slots[at].newer
		slots[at].newer = i
	}
	if s.newer == none {
		l.newest = i
	} else {
		slots[s.newer].older = i
	}
	l.segments++
	l.bytes += s.seqLen()
	l.again += s.repeated()
}

// after is what follows slot i; the first for none.
func (l *slotList) after(slots []slot, i int32) int32 {
	if i == none {
		return l.oldest
	}
	return slots[i].newer
}

func (l *slotList) remove(slots []slot, i int32) {
	s := &slots[i]
	if s.older == none {
		l.oldest = s.newer
	} else {
		slots[s.older].newer = s.newer
	}
	if s.newer == none {
		l.newest = s.older
	} else {
		slots[s.newer].older = s.older
	}
	s.older, s.newer = none, none
	l.segments--
	l.bytes -= s.seqLen()
	l.again -= s.repeated()
}

// enterFlight notes that slot i was just transmitted.
func (c *Conn) enterFlight(i int32) {
	c.q.slots[i].flags |= slotFlight
	c.rack.flight.add(c.q.slots, i, c.rack.flight.newest)
}

// leaveFlight takes slot i out of the list that it is in: it was ACKed, SACKed,
// marked lost, or is about to be sent again.
func (c *Conn) leaveFlight(i int32) {
	s := &c.q.slots[i]
	switch {
	case s.has(slotFlight):
		c.rack.flight.remove(c.q.slots, i)
	case s.has(slotLost):
		c.rack.lost.remove(c.q.slots, i)
	}
	s.flags &^= slotFlight | slotLost
}

// markLost moves slot i to the end of those to be sent again.
func (c *Conn) markLost(i int32) {
	s := &c.q.slots[i]
	if !s.has(slotLost) {
		c.stats.Lost++
		c.rate.losses.lose(s)
	}
	c.leaveFlight(i)
	c.dropTail(s)
	s.flags |= slotLost
	c.rack.lost.add(c.q.slots, i, c.rack.lost.newest)
}

// flightSize is what was sent and is not covered by the cumulative ACK
// (https://www.rfc-editor.org/rfc/rfc5681#section-2).
func (c *Conn) flightSize() int { return c.sndNxt.Sub(c.sndUna) }

// inFlight is the bytes believed to be in the network: "pipe" of
// https://www.rfc-editor.org/rfc/rfc6675#section-2. Without SACK each duplicate ACK says that
// one segment has left it.
func (c *Conn) inFlight() int {
	n := c.rack.flight.bytes
	if !c.sackOK {
		n -= c.recovery.dupAcks * c.mss
	}
	return max(0, n)
}
