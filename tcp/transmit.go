package tcp

import (
	"github.com/xsend/xsend/internal/wire"
)

// Transmit makes the packets that may go now, at most len(out), and returns how
// many: control first, then what was lost, then new data. Every one of them is
// counted in the pool as submitted and must be put on the TX ring. Fewer than
// len(out) means that there is no more to send now.
func (c *Conn) Transmit(now Time, out []Tx) int {
	n := 0
	if c.sendRST {
		n += c.emitResets(now, out)
	}
	if c.refuse && n < len(out) {
		n += c.emitRefusal(now, &out[n])
	}
	if c.sendSYN && n < len(out) {
		n += c.emitSYN(now, &out[n])
	}
	if c.canary.busy() {
		return n + c.transmitCanary(now, out[n:])
	}
	if c.state.sending() {
		if c.tlp.wanted && n < len(out) {
			n += c.emitTailProbe(now, &out[n])
		}
		n += c.resendLost(now, out[n:])
		n += c.sendNew(now, out[n:])
		c.armHold(now)
		c.noteLimit()
		c.noteLull(n < len(out))
		c.armPersist(now)
		if c.probeNow && n < len(out) {
			n += c.emitProbe(now, &out[n])
		}
	}
	if c.keep.now && n < len(out) {
		n += c.emitKeepAlive(now, &out[n])
	}
	if c.ackNow && c.state.synchronized() && n < len(out) && c.emitControl(now, &out[n], c.controlSeq(), wire.FlagACK, nil) {
		n++
	}
	return n
}

// heldScan is how many segments that the kernel holds resendLost looks behind. It
// completes nearly in order of submission: where so many in front are held, those
// behind are too, and a walk over all of them at each turn would be dear.
const heldScan = 64

// resendLost sends again what is marked lost, as far as the window lets it. What
// the kernel still holds from the last time is left for its completion.
func (c *Conn) resendLost(now Time, out []Tx) int {
	n, held := 0, 0
	if c.recovery.frto == frtoNew {
		return 0 // new segments ask whether any of this is lost
	}
	for i := c.rack.lost.oldest; i != none && n < len(out) && held < heldScan; {
		s := &c.q.slots[i]
		next := s.newer
		if s.out > 0 {
			c.deferResend(s)
			held++
			i = next
			continue
		}
		if !c.windowAllows(i) || !c.pace.ready(now) {
			c.waitPace(now)
			break
		}
		var ok bool
		if i, ok = c.fit(i); !ok { // no slot for a cut: one is kept for the first segment, which may come later
			i = next
			continue
		}
		next = c.q.slots[i].newer // a cut put the rest there
		if !c.emitSlot(now, i, &out[n]) {
			break
		}
		out[n].Again, out[n].Why = true, c.whyAgain()
		c.resent(now, i)
		n++
		i = next
	}
	return n
}

// resent does the books of a retransmission.
func (c *Conn) resent(now Time, i int32) {
	c.stats.Retransmits++
	c.undo.resent(now, c.q.slots[i].seq)
}

// deferResend counts, once, that the kernel still holds what is to be sent again.
func (c *Conn) deferResend(s *slot) {
	if !s.has(slotDeferred) {
		s.flags |= slotDeferred
		c.stats.RetransmitsHeld++
	}
}

// windowAllows reports that slot i may be sent again: the congestion window has
// room for it, or nothing is in flight, or a timeout is to be answered; and the peer's
// window reaches it, or it is the first (a window that shrank must not stop the repair).
func (c *Conn) windowAllows(i int32) bool {
	s := &c.q.slots[i]
	flight := c.inFlight()
	answer := c.recovery.phase == phaseLoss && c.recovery.out == 0
	if flight > 0 && flight+min(s.seqLen(), c.mss) > c.cc.window() && !answer {
		return false
	}
	return i == c.q.head || s.seq.Before(c.sndUna.Add(int(c.sndWnd)))
}

// fit cuts slot i where it is longer than a segment may be, and gives the slot to
// send; false when it cannot be cut now. What is ACKed already of the first segment
// goes with a cut: a piece in front that the peer has would be sent to no effect.
func (c *Conn) fit(i int32) (int32, bool) {
	s := &c.q.slots[i]
	if int(s.length) <= c.mss {
		return i, true
	}
	if s.seq.Before(c.sndUna) {
		if !c.cut(i, c.sndUna.Sub(s.seq)) {
			return i, false
		}
		c.dropSlot(i)
		if i = c.q.head; int(c.q.slots[i].length) <= c.mss {
			return i, true
		}
	}
	return i, c.cut(i, c.mss)
}

// sendNew sends what was never sent, as far as both windows and the pacer let it.
func (c *Conn) sendNew(now Time, out []Tx) int {
	n := 0
	c.restart(now)
	for c.q.fresh != none && n < len(out) {
		i := c.q.fresh
		if !c.pace.ready(now) {
			c.waitPace(now)
			break
		}
		if _, ok := c.fit(i); !ok || !c.fitWindow(now, i) {
			break
		}
		s := &c.q.slots[i]
		if flight := c.inFlight(); flight > 0 && flight+s.seqLen() > c.cc.window() {
			break
		}
		if !c.emitSlot(now, i, &out[n]) {
			break
		}
		c.overrideSWS = false
		n++
	}
	if n > 0 {
		c.armPTO(now)
	}
	if n < len(out) && c.pace.ready(now) {
		c.pace.waited = false // something else than the pacer is in the way
	}
	return n
}

// restart goes back to the initial window where so long nothing was sent that the
// last ACKs say nothing about the path as it is now
// (https://www.rfc-editor.org/rfc/rfc5681#section-4.1).
func (c *Conn) restart(now Time) {
	if c.q.fresh == none || c.outstanding() || c.lastSent == 0 {
		return
	}
	if now-c.lastSent > c.rtt.rto {
		c.cc.onIdle(now, c.cfg.InitialCwnd*c.mss)
		c.lastSent = now // where it goes on, a closed window perhaps, this part of it was told
	}
	if c.rate.appLimited != 0 && c.cc.onRestart(now) {
		c.setPace()
	}
}

// noteLimit notes whether the congestion window left no room for a segment. That it did once is
// remembered until what is out now is ACKed: a pacer, or a late wakeup, that holds something
// back for a moment does not make it a window that is not used.
func (c *Conn) noteLimit() {
	limited := c.inFlight()+c.mss > c.cc.window()
	if limited || c.limitEnd.AtMost(c.sndUna) {
		c.cwndLimited, c.limitEnd = limited, c.sndNxt
	}
}

// noteLull marks what is sent from now on as limited by the writer, until all that is
// in flight now is delivered: it says little about the path. done says that nothing more
// can be sent at the moment.
func (c *Conn) noteLull(done bool) {
	if done && c.q.fresh == none && c.rack.lost.segments == 0 && c.inFlight()+c.mss <= c.cc.window() {
		c.rate.appLimited = max(1, c.rate.delivered+uint64(c.inFlight()))
	}
}

// fitWindow makes slot i, never sent, fit into the peer's window, if need be by
// cutting it: sender's silly window avoidance, https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1.
// False: wait for the window or for armPersist.
func (c *Conn) fitWindow(now Time, i int32) bool {
	s := &c.q.slots[i]
	usable := c.sndUna.Add(int(c.sndWnd)).Sub(s.seq)
	switch {
	case s.seqLen() <= usable:
		return true
	case usable <= 0:
		return false
	case usable >= int(c.maxSndWnd)/2 || c.overrideSWS:
		return c.cut(i, usable)
	}
	return false
}

// waitPace asks to be called again when the pacer lets the next packet go.
func (c *Conn) waitPace(now Time) {
	if !c.pace.ready(now) {
		c.timers.send = c.pace.wake
		c.pace.waited = true
	}
}

// Completed says that the kernel is done with one transmission that Transmit gave
// with this Ref. Completion is not delivery: it only means that the segment may be
// sent again.
func (c *Conn) Completed(now Time, r Ref) {
	if r.arena {
		c.hold.out--
	}
	i := c.q.at(r)
	if i == none {
		return
	}
	s := &c.q.slots[i]
	if s.out > 0 {
		s.out--
	}
	s.flags &^= slotDeferred
}
