package tcp

// timers are deadlines; Never is off. Advance fires them in the order of the fields.
type timers struct {
	reo      Time // RACK's reordering window ends, https://www.rfc-editor.org/rfc/rfc8985#section-6.3
	pto      Time // tail loss probe, https://www.rfc-editor.org/rfc/rfc8985#section-7.2
	rto      Time // retransmission, also of SYN
	persist  Time // zero-window probe, https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
	timeWait Time
	keep     Time // keepalive, https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4
	canary   Time // of the checksums: the next probe, or the end of the wait for its answer
	hold     Time // the peer was without progress for as long as Hold allows
	send     Time // Transmit may give more: the pacer's next turn, or another try for a frame
}

func (t *timers) init() { *t = timers{Never, Never, Never, Never, Never, Never, Never, Never, Never} }

func (t *timers) next() Time {
	return min(t.reo, t.pto, t.rto, t.persist, t.timeWait, t.keep, t.canary, t.hold, t.send)
}

// Limits of retransmission.
const (
	maxRTO        = 120 * Second      // as Linux; RFC 6298 asks for at least 60 s
	heldRetry     = 10 * Millisecond  // the kernel still holds what should be sent again
	frameRetry    = Millisecond       // the reserve had no frame
	persistMax    = 60 * Second       // https://www.rfc-editor.org/rfc/rfc1122#page-92 leaves it to us
	swsOverride   = 200 * Millisecond // https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1 (0.1 to 1 s)
	maxBackoff    = 16
	initialRTO    = Second     // https://www.rfc-editor.org/rfc/rfc6298#section-2
	unmeasuredRTO = 3 * Second // https://www.rfc-editor.org/rfc/rfc6298#section-5 (5.7)
	clockGranular = Millisecond
)

// Advance fires the timers that are due.
func (c *Conn) Advance(now Time) {
	if c.timers.send <= now {
		c.timers.send = Never
	}
	if c.timers.reo <= now {
		c.timers.reo = Never
		c.onReorderTimer(now)
	}
	if c.timers.pto <= now {
		c.timers.pto = Never
		c.onPTO(now)
	}
	if c.timers.rto <= now {
		c.timers.rto = Never
		c.onRTO(now)
	}
	if c.timers.persist <= now {
		c.timers.persist = Never
		c.onPersist(now)
	}
	if c.timers.keep <= now {
		c.timers.keep = Never
		c.onKeepAlive(now)
	}
	if c.timers.canary <= now {
		c.timers.canary = Never
		c.onCanary(now)
	}
	if c.timers.hold <= now {
		c.timers.hold = Never
		c.onHold(now)
	}
	if c.timers.timeWait <= now {
		c.timers.timeWait = Never
		c.state = Closed
	}
}

// outstanding reports that something sent is not ACKed.
func (c *Conn) outstanding() bool { return c.q.head != none && c.q.head != c.q.fresh }

// armRTO restarts the retransmission timer, or stops it where nothing is outstanding
// (https://www.rfc-editor.org/rfc/rfc6298#section-5).
func (c *Conn) armRTO(now Time) {
	if !c.outstanding() {
		c.timers.rto = Never
		return
	}
	c.timers.rto = c.patience(now+min(c.rtt.rto<<c.backoff, maxRTO), c.lastProg)
}

// onRTO is the retransmission timeout.
func (c *Conn) onRTO(now Time) {
	if c.state == SynSent || c.state == SynReceived {
		c.retrySYN(now)
		return
	}
	if !c.outstanding() {
		return
	}
	if c.late(now) { // before whatever makes the retransmission wait
		c.giveUp()
		return
	}
	if c.q.slots[c.q.head].out > 0 {
		// The kernel has not let go of the last transmission: it was never on the wire, or its
		// completion is late. Neither says anything about the network (Linux:
		// skb_still_in_host_queue). No retransmission, no backoff, no change of cwnd.
		c.stats.TimeoutsHeld++
		c.timers.rto = c.patience(now+min(heldRetry, c.rtt.rto), c.lastProg)
		return
	}
	if c.q.slots[c.q.head].has(slotLost) && !c.pace.ready(now) {
		c.armRTO(c.pace.wake) // the retransmission waits for its turn: nothing was in vain
		return
	}
	if c.gaveUp(now) {
		return
	}
	c.stats.Timeouts++
	c.suspectBlackHole(now)
	c.enterLoss(now)
	c.backoff = min(c.backoff+1, maxBackoff)
	c.armRTO(now)
}

// patience is when a timer that asks again is due, or when the user's patience since then
// ends, if that is earlier (https://www.rfc-editor.org/rfc/rfc5482#section-3): waits that double would lead
// far beyond it.
func (c *Conn) patience(due, since Time) Time {
	if c.cfg.UserTimeout == 0 {
		return due
	}
	return min(due, since+c.cfg.UserTimeout)
}

// late reports that the user's patience has ended.
func (c *Conn) late(now Time) bool {
	return c.cfg.UserTimeout > 0 && now-c.lastProg >= c.cfg.UserTimeout
}

// gaveUp counts a timeout and ends the connection where it was the last.
func (c *Conn) gaveUp(now Time) bool {
	c.retries++
	if c.retries <= c.cfg.Retries && !c.late(now) {
		return false
	}
	c.giveUp()
	return true
}

// giveUp ends a connection whose peer is silent.
func (c *Conn) giveUp() {
	c.sendRST = true
	c.die(ErrTimeout)
}
