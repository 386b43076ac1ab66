package tcp

// rackState is the RACK part of https://www.rfc-editor.org/rfc/rfc8985: a segment is lost when one
// that was sent sufficiently later has been delivered.
type rackState struct {
	flight   slotList // transmitted, neither ACKed, SACKed nor lost; in order of transmission
	lost     slotList // to be sent again
	xmitTime Time     // of the most recently sent segment that was delivered
	endSeq   Seq      // its end
	rtt      Duration
	minRTT   Duration  // the least of the last five minutes
	recent   minFilter // what minRTT comes from
	fack     Seq       // the highest sequence number delivered
	reorder  bool      // reordering was seen on this connection
	have     bool
	sacked   int // segments SACKed now
	blocks   sackBlocks
	degree   int // bytes: the farthest behind fack that something arrived out of order

	// The reordering window grows with each round that a DSACK calls a retransmission
	// needless, and shrinks back after 16 recoveries without any
	// (https://www.rfc-editor.org/rfc/rfc8985#section-6.2, step 4).
	mult     int // reo_wnd_mult, less one
	persist  int // reo_wnd_persist
	inRound  bool
	roundEnd Seq // dsack_round
}

const (
	dupThresh    = 3  // https://www.rfc-editor.org/rfc/rfc8985#section-3.1
	reoPersist   = 16 // recoveries, https://www.rfc-editor.org/rfc/rfc8985#section-6.2
	maxReoMult   = 255
	minRTTWindow = 300 * Second // as Linux has it
)

// delivered notes that slot s was ACKed or SACKed for the first time
// (https://www.rfc-editor.org/rfc/rfc8985#section-6.2, steps 1 to 3).
func (r *rackState) delivered(now Time, s *slot, ts echo) {
	rtt := now - s.sent
	if s.xmits > 1 && (rtt < r.minRTT || ts.before(s.sent)) {
		return // likely the ACK of an earlier transmission
	}
	if s.xmits == 1 {
		r.noteRTT(now, rtt)
	}
	if r.have && (s.sent < r.xmitTime || s.sent == r.xmitTime && s.end().AtMost(r.endSeq)) {
		r.noteOrder(s)
		return
	}
	r.xmitTime, r.endSeq, r.rtt, r.have = s.sent, s.end(), rtt, true
	r.noteOrder(s)
}

// noteOrder detects reordering: something below the highest delivered arrives that
// was sent only once (https://www.rfc-editor.org/rfc/rfc8985#section-6.2, step 3).
func (r *rackState) noteOrder(s *slot) {
	switch {
	case r.fack.Before(s.end()):
		r.fack = s.end()
	case s.xmits == 1 && s.end().Before(r.fack):
		r.reorder = true
		r.degree = max(r.degree, r.fack.Sub(s.seq))
	}
}

// reoWnd is the reordering window, https://www.rfc-editor.org/rfc/rfc8985#section-6.2 step 4.
func (c *Conn) reoWnd() Duration {
	if !c.rack.reorder && (!c.recovery.phase.calm() || c.rack.sacked >= dupThresh) {
		return 0
	}
	return min(Duration(1+c.rack.mult)*c.rack.minRTT/4, c.rtt.srtt)
}

// noteRTT keeps the least round-trip time (https://www.rfc-editor.org/rfc/rfc8985#section-6.2, step 1).
func (r *rackState) noteRTT(now Time, rtt Duration) {
	r.minRTT = r.recent.update(now, max(rtt, 1), minRTTWindow)
}

// noteDSACK widens the reordering window, once in a round.
func (r *rackState) noteDSACK(dsack bool, sndUna, sndNxt Seq) {
	if r.inRound && r.roundEnd.AtMost(sndUna) {
		r.inRound = false
	}
	if dsack && !r.inRound {
		r.inRound, r.roundEnd = true, sndNxt
		r.mult = min(r.mult+1, maxReoMult)
		r.persist = reoPersist
	}
}

// recovered counts a recovery that ended.
func (r *rackState) recovered() {
	if r.persist--; r.persist <= 0 {
		r.mult = 0
	}
}

// detectLoss marks what RACK calls lost, arms the timer for what may be soon, and
// reports whether anything was marked.
func (c *Conn) detectLoss(now Time) bool {
	c.timers.reo = Never
	if !c.sackOK || !c.rack.have {
		return false
	}
	found := false
	wnd := c.reoWnd()
	for i := c.rack.flight.oldest; i != none; {
		s := &c.q.slots[i]
		next := s.newer
		if s.sent > c.rack.xmitTime || s.sent == c.rack.xmitTime && !s.end().Before(c.rack.endSeq) {
			break
		}
		due := s.sent + c.rack.rtt + wnd
		if due > now {
			c.timers.reo = due
			break // those behind were sent later
		}
		c.markLost(i)
		found = true
		i = next
	}
	return found
}

// onReorderTimer is https://www.rfc-editor.org/rfc/rfc8985#section-6.3: the reordering window is over.
func (c *Conn) onReorderTimer(now Time) {
	if !c.detectLoss(now) {
		return
	}
	if c.recovery.phase.calm() {
		c.enterRecovery(now, 0)
	}
	c.reduceRate(0, false)
}
