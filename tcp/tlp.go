package tcp

import "github.com/xsend/xsend/internal/wire"

// tlpState is the tail loss probe, https://www.rfc-editor.org/rfc/rfc8985#section-7: where ACKs stay out,
// one segment asks for news before the retransmission timeout concludes the worst.
type tlpState struct {
	wanted bool // the timer asks Transmit for a probe
	out    bool // a probe is out, and end says what was sent before it and with it
	again  bool // TLP.is_retrans: it was sent before
	end    Seq  // TLP.end_seq
}

const (
	// maxAckDelay is how long a receiver may keep the ACK of a single segment to itself
	// (TLP.max_ack_delay). Linux goes up to 200 ms.
	maxAckDelay = 200 * Millisecond
	// probeSlack is for timers and schedulers, ours and the peer's: on a path of
	// microseconds two round trips are less than what a busy machine takes for an ACK.
	probeSlack = 2 * Millisecond
)

// armPTO schedules the probe after new data was sent or ACKed
// (https://www.rfc-editor.org/rfc/rfc8985#section-7.2, TLP_calc_PTO).
func (c *Conn) armPTO(now Time) {
	c.timers.pto = Never
	if !c.mayProbe() {
		return
	}
	pto := Second
	if c.rtt.have {
		pto = 2*c.rtt.srtt + probeSlack
		if c.rack.flight.segments == 1 {
			pto += maxAckDelay
		}
	}
	if c.q.fresh != none && !c.pace.ready(now) {
		now = c.pace.wake // what goes at the pacer's next turn asks as well as a probe
	}
	c.timers.pto = min(now+pto, c.timers.rto)
}

// mayProbe is the conditions of https://www.rfc-editor.org/rfc/rfc8985#section-7.2: SACK, no recovery, nothing
// SACKed, and no probe out already.
func (c *Conn) mayProbe() bool {
	return c.sackOK && c.recovery.phase.calm() && c.rack.sacked == 0 && !c.tlp.out &&
		c.rack.lost.segments == 0 && c.outstanding() && c.state.sending()
}

// onPTO is https://www.rfc-editor.org/rfc/rfc8985#section-7.3. What the kernel still holds was never on
// the wire or is on it: its probe waits.
func (c *Conn) onPTO(now Time) {
	if !c.mayProbe() {
		return
	}
	if !c.freshFits() && c.q.slots[c.lastSentSlot()].out > 0 {
		c.stats.TailProbesHeld++
		c.timers.pto = min(now+heldRetry, c.timers.rto)
		return
	}
	c.tlp.wanted = true
	c.armRTO(now) // where both are due the probe goes first
}

// lastSentSlot is the segment sent with the highest sequence number.
func (c *Conn) lastSentSlot() int32 {
	if c.q.fresh == none {
		return c.q.last
	}
	return c.q.slots[c.q.fresh].prev
}

// freshFits reports that there is something new to send that the peer has room for.
func (c *Conn) freshFits() bool {
	if c.q.fresh == none {
		return false
	}
	s := &c.q.slots[c.q.fresh]
	return s.seq.Add(min(s.seqLen(), c.mss)).AtMost(c.sndUna.Add(int(c.sndWnd)))
}

// emitTailProbe sends new data beyond the congestion window, or else the last segment
// again.
func (c *Conn) emitTailProbe(now Time, tx *Tx) int {
	c.tlp.wanted = false
	i, again := c.q.fresh, false
	if !c.freshFits() {
		i, again = c.lastSentSlot(), true
	}
	if !c.mayProbe() || c.q.slots[i].out > 0 {
		return 0 // something else came first
	}
	if _, ok := c.fit(i); !ok || !c.emitSlot(now, i, tx) {
		return 0 // no slot, or no frame: the retransmission timeout remains
	}
	c.tlp = tlpState{out: true, again: again, end: c.sndNxt}
	c.stats.TailProbes++
	tx.Why = WhyTailProbe
	if again {
		tx.Again = true
		c.resent(now, i)
	}
	c.timers.pto = Never
	c.armRTO(now)
	return 1
}

// probeAcked is https://www.rfc-editor.org/rfc/rfc8985#section-7.4.2, TLP_process_ack. A probe that was a
// retransmission and filled a hole hid a loss, which must not go unpunished.
func (c *Conn) probeAcked(now Time, seg *wire.Segment, ev *ackEvent) {
	t := &c.tlp
	if !t.out || c.sndUna.Before(t.end) {
		return
	}
	switch {
	case !t.again, ev.dsack && ev.dsackEnd == t.end:
	case t.end.Before(c.sndUna):
		c.stats.TailLosses++
		c.punishTailLoss(now, ev.acked)
	case ev.duplicate && seg.Options.NumSACK == 0: // both arrived, says a peer without DSACK
	default:
		return // the next ACK will tell
	}
	*t = tlpState{}
}

// punishTailLoss reduces the window, which a mark has not done already in this round.
func (c *Conn) punishTailLoss(now Time, acked int) {
	c.undo.live = false // what it would give back is older than this
	if c.recovery.phase == phaseOpen {
		c.cc.onLoss(now, c.used(acked))
		c.cc.onRecovered(now)
		c.noteReduction()
	}
}
