package tcp

// undoState is what tells a needless recovery from a needed one: whether all that was
// sent again arrived twice (https://www.rfc-editor.org/rfc/rfc3708#section-2), or the peer answered to what was
// sent before it (Eifel, https://www.rfc-editor.org/rfc/rfc3522#section-3.2).
type undoState struct {
	timeout bool // it was a timeout's
	live    bool // the last reduction can still be taken back
	marker  Seq  // sndUna when it happened
	end     Seq  // sndNxt then
	first   Time // the first retransmission since; 0 = none
	pending int  // retransmissions whose duplicate was not reported
}

// mayUndo notes that congestion control is about to reduce its window. What is in flight
// for the second time, from an earlier recovery or as a tail loss probe, may be reported as a
// duplicate too.
func (c *Conn) mayUndo(timeout bool) {
	c.undo = undoState{live: true, timeout: timeout, marker: c.sndUna, end: c.sndNxt, pending: c.rack.flight.again}
	if c.tlp.out && c.tlp.again {
		c.undo.pending = max(1, c.undo.pending)
	}
	c.cc.save()
}

// resent counts a retransmission of what was sent before the reduction.
func (u *undoState) resent(now Time, seq Seq) {
	if !u.live || !seq.Before(u.end) {
		return
	}
	if u.first == 0 {
		u.first = now
	}
	u.pending++
}

// duplicated takes back what a DSACK of n segments from seq on reports. One of something
// older than the reduction is of no account.
func (u *undoState) duplicated(from Seq, n int) {
	if u.live && u.marker.AtMost(from) && from.Before(u.end) {
		u.pending = max(0, u.pending-n)
	}
}

// covers reports that slot s, which is being ACKed, was sent again since the reduction: the ACK of one
// that an earlier recovery sent again is older than everything that this one did.
func (u *undoState) covers(s *slot) bool {
	return u.live && u.first > 0 && s.xmits > 1 && s.sent >= u.first
}

// needless reports that the reduction followed from no loss.
func (u *undoState) needless(ev *ackEvent) bool {
	if !u.live || u.first == 0 {
		return false
	}
	return ev.dsack && u.pending == 0 || ev.again && ev.echo.before(u.first)
}

// tryUndo takes back a needless reduction: the window is what it was, and what counted as
// lost is on its way (https://www.rfc-editor.org/rfc/rfc4015#section-3). F-RTO looks first: it moves with
// each ACK.
func (c *Conn) tryUndo(now Time, ev *ackEvent) bool {
	spurious := c.recovery.phase == phaseLoss && c.frto(ev)
	if !spurious && !c.undo.needless(ev) {
		return false
	}
	c.takeBack(now)
	return true
}

func (c *Conn) takeBack(now Time) {
	c.undo.live = false
	c.ecn.tell = false // if it was said already, it was said too often, which harms nobody
	if c.undo.timeout {
		c.stats.SpuriousTimeouts++
	} else {
		c.stats.SpuriousRecoveries++
		c.rack.reorder = true // what was sent again too early had been overtaken
	}
	c.cc.undo(now)
	c.rack.have = false // what seemed to be the retransmission's ACK was the original's
	c.recovery = recoveryState{point: c.recovery.point, guarded: !c.sackOK}
	c.unmarkLost()
}

// unmarkLost puts what was marked lost back into the flight; what is larger than the path carries
// by now stays, to be cut.
func (c *Conn) unmarkLost() {
	at := none
	for i := c.rack.lost.oldest; i != none; {
		next := c.q.slots[i].newer
		if int(c.q.slots[i].length) <= c.mss {
			c.unmark(i, at)
			at = i
		}
		i = next
	}
}

// unmark puts slot i where its last transmission belongs in the flight: behind slot at, if that
// was not sent later, or nearer to the end.
func (c *Conn) unmark(i, at int32) {
	s := &c.q.slots[i]
	c.leaveFlight(i)
	if at != none && c.q.slots[at].sent > s.sent {
		at = none
	}
	for next := c.rack.flight.after(c.q.slots, at); next != none && c.q.slots[next].sent <= s.sent; {
		at = next
		next = c.q.slots[next].newer
	}
	s.flags = s.flags&^slotDeferred | slotFlight
	c.rack.flight.add(c.q.slots, i, at)
}
