package tcp

import "github.com/xsend/xsend/internal/wire"

// armPersist starts the persist timer where there is something to send, nothing
// outstanding whose timer would move things, and the peer's window in the way.
// https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1
func (c *Conn) armPersist(now Time) {
	if c.probeNow {
		return
	}
	blocked := c.q.fresh != none && !c.outstanding() && c.timers.send == Never
	if !blocked || c.timers.persist != Never {
		return
	}
	if c.backoff == 0 {
		c.lastProg = now // the wait begins
	}
	if c.sndWnd > 0 {
		c.timers.persist = now + swsOverride
		return
	}
	c.timers.persist = now + min(c.rtt.rto<<c.backoff, persistMax)
}

// onPersist sends into a window that is too small for politeness, or asks whether
// a closed one has opened. The peer that answers keeps us waiting as long as it likes
// (stillThere); one that does not is gone.
func (c *Conn) onPersist(now Time) {
	if c.q.fresh == none || c.outstanding() {
		return
	}
	if c.sndWnd > 0 {
		c.overrideSWS = true
		return
	}
	if c.gaveUp(now) {
		return
	}
	c.probeNow = true
	c.backoff = min(c.backoff+1, maxBackoff)
	c.timers.persist = c.patience(now+min(c.rtt.rto<<c.backoff, persistMax), c.lastProg)
}

// stillThere is an ACK that left the window closed: as long as the peer answers, the
// connection must stay (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1), whether it was a
// probe that it answered or the retransmission of what it no longer takes.
func (c *Conn) stillThere() {
	if c.sndWnd == 0 {
		c.retries = 0
	}
}

// windowMoved is an ACK that changed the window while nothing was outstanding.
func (c *Conn) windowMoved() {
	c.timers.persist, c.backoff, c.probeNow = Never, 0, false
}

// probeByte is the garbage that a probe carries: its sequence number was ACKed
// long ago, so that the peer throws it away and answers.
var probeByte = [1]byte{0xa5}

// emitProbe makes a segment with one garbage byte at sndUna-1
// (https://www.rfc-editor.org/rfc/rfc1122#page-101, section 4.2.3.6). Linux answers each of those,
// but only one empty probe in 500 ms.
func (c *Conn) emitProbe(now Time, tx *Tx) int {
	if !c.emitGarbage(now, tx) {
		return 0
	}
	c.probeNow = false
	c.stats.Probes++
	tx.Why = WhyProbe
	return 1
}

// emitGarbage makes a segment that only asks for an answer.
func (c *Conn) emitGarbage(now Time, tx *Tx) bool {
	if !c.emitControl(now, tx, c.sndUna-1, wire.FlagACK, probeByte[:]) {
		return false
	}
	tx.Again = true
	c.asked = c.sndUna
	return true
}
