package tcp

// phase is where loss recovery stands; Linux calls the four Open, Recovery, Loss and CWR.
type phase uint8

const (
	phaseOpen     phase = iota
	phaseRecovery       // fast recovery, until recoveryPoint is ACKed
	phaseLoss           // after a timeout, until recoveryPoint is ACKed
	phaseCWR            // slowing down for a mark of congestion, until recoveryPoint is ACKed
)

func (p phase) String() string {
	return [...]string{"open", "recovery", "loss", "cwr"}[min(int(p), 3)]
}

// calm reports that nothing is being recovered.
func (p phase) calm() bool { return p == phaseOpen || p == phaseCWR }

// recoveryState is the phase and what proportional rate reduction counts in it
// (https://www.rfc-editor.org/rfc/rfc9937#section-6).
type recoveryState struct {
	phase     phase
	point     Seq // recoveryPoint: sndNxt when the phase began
	recoverFS int // RecoverFS: bytes in flight when it began
	delivered int // prr_delivered
	out       int // prr_out
	dupAcks   int // only without SACK

	frto frtoStep // in phaseLoss

	guarded bool // phaseOpen, without SACK: duplicate ACKs count for nothing until point is passed
}

// enterRecovery begins fast recovery: ssthresh falls once, for what is lost and marked in a
// window (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2). delivered is what the ACK that showed the loss
// delivered.
func (c *Conn) enterRecovery(now Time, delivered int) {
	c.stats.Recoveries++
	if c.recovery.phase == phaseOpen {
		c.mayUndo(false)
		c.cc.onLoss(now, c.used(0))
		c.noteReduction()
	}
	c.doubtMarks()
	c.tlp, c.timers.pto = tlpState{}, Never
	c.recovery = recoveryState{phase: phaseRecovery, point: c.sndNxt,
		recoverFS: max(1, c.inFlight()+c.rack.lost.bytes+delivered), dupAcks: c.recovery.dupAcks}
}

// used is what the window was used for, and so what a reduction starts from: all of it where it
// was what limited us, else what was in flight before so much of it was ACKed. What limited transmit
// sent beyond the window does not count (https://www.rfc-editor.org/rfc/rfc5681#section-3.2, step 2).
func (c *Conn) used(acked int) int {
	if c.cwndLimited {
		return c.cc.window()
	}
	return min(c.flightSize()+acked, c.cc.window())
}

// reduceRate is PRR-SSRB with the safe-ACK heuristic: how much may be sent in
// answer to an ACK that delivered so many bytes
// (https://www.rfc-editor.org/rfc/rfc9937#section-6.2). It sets the congestion window.
func (c *Conn) reduceRate(delivered int, safe bool) {
	r := &c.recovery
	if r.phase == phaseOpen || r.phase == phaseLoss || !c.cc.proportional() {
		return
	}
	r.delivered += delivered
	pipe, target := c.inFlight(), c.cc.threshold()
	var quota int
	if pipe > target {
		quota = (r.delivered*target+r.recoverFS-1)/r.recoverFS - r.out
	} else {
		quota = max(r.delivered-r.out, delivered)
		if safe {
			quota += c.mss
		}
		quota = min(target-pipe, quota)
	}
	if r.out == 0 && r.phase == phaseRecovery || !c.sackOK && c.rack.lost.segments > 0 {
		// The first retransmission is never held back, nor, without SACK, the one that
		// answers a partial ACK (https://www.rfc-editor.org/rfc/rfc6582#section-3.2, step 3).
		quota = max(quota, c.mss)
	}
	c.cc.setWindow(pipe + max(quota, 0))
}

// leaveRecovery ends a phase once everything sent before it was ACKed.
func (c *Conn) leaveRecovery(now Time) {
	was := c.recovery.phase
	if was == phaseOpen || c.sndUna.Before(c.recovery.point) {
		return
	}
	if was != phaseLoss {
		c.cc.onRecovered(now)
	}
	if was == phaseCWR {
		c.recovery = recoveryState{point: c.recovery.point, dupAcks: c.recovery.dupAcks}
		return
	}
	c.recovery = recoveryState{point: c.recovery.point, guarded: !c.sackOK}
	c.rack.recovered()
}

// enterLoss is what a retransmission timeout means: what was out for long enough is lost, and
// we begin again with one segment (https://www.rfc-editor.org/rfc/rfc5681#section-3.1).
func (c *Conn) enterLoss(now Time) {
	reneged, was := c.q.slots[c.q.head].has(slotSACKed), c.recovery.phase
	r := recoveryState{phase: phaseLoss, point: c.sndNxt}
	if was.calm() {
		c.mayUndo(true)
		if c.sackOK && !reneged {
			r.frto = frtoSent
		}
	}
	if reneged {
		c.forgetSACKs()
	}
	c.cc.onTimeout(now, c.flightSize(), was != phaseLoss)
	c.noteReduction()
	c.doubtMarks()
	c.recovery = r
	c.timers.reo, c.timers.pto, c.tlp = Never, Never, tlpState{}
	for i := c.q.head; i != none && i != c.q.fresh; i = c.q.slots[i].next {
		if s := &c.q.slots[i]; !s.has(slotSACKed) && (i == c.q.head || c.overdue(now, s)) {
			c.markLost(i)
		}
	}
}

// overdue reports that a timeout means segment s too, which is not the first: it was sent
// a round trip and a reordering window ago
// (https://www.rfc-editor.org/rfc/rfc8985#section-6.3), or the peer has thrown it away. Without SACK
// nobody could tell later.
func (c *Conn) overdue(now Time, s *slot) bool {
	return !c.sackOK || !c.rack.have || !s.has(slotFlight) || s.sent+c.rack.rtt+c.reoWnd() <= now
}

// forgetSACKs is for a peer that reneged: what stands first in the queue was
// SACKed and yet not ACKed for a whole timeout
// (https://www.rfc-editor.org/rfc/rfc2018#section-8).
func (c *Conn) forgetSACKs() {
	c.stats.Reneged++
	for i := c.q.head; i != none && i != c.q.fresh; i = c.q.slots[i].next {
		if s := &c.q.slots[i]; s.has(slotSACKed) {
			s.flags = s.flags&^slotSACKed | slotReneged
		}
	}
	c.rack.sacked, c.rack.blocks = 0, sackBlocks{}
	c.undo.live = false // what arrived, and when, is not known any more
}
