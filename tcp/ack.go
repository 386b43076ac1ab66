package tcp

import "github.com/xsend/xsend/internal/wire"

// echo is the timestamp that the peer sent back.
type echo struct {
	val   uint32 // our clock in milliseconds, as tsVal gives it
	valid bool   // some peers echo nothing, and say 0: it counts for nothing, as in Linux
	conn  *Conn
}

// before reports that the echo is of an older segment than one sent at t: the ACK
// cannot be that segment's (https://www.rfc-editor.org/rfc/rfc7323#section-4).
func (e echo) before(t Time) bool { return e.valid && int32(e.val-e.conn.tsVal(t)) < 0 }

// ackEvent gathers what one ACK did.
type ackEvent struct {
	echo      echo
	acked     int // sequence numbers newly covered by the cumulative ACK
	delivered int // those plus newly SACKed, each counted once
	rtt       Duration
	ambiguous bool     // it covers a retransmission: what it answers, and so its time, is not known
	echoed    Duration // but this is what the echo says
	prior     int      // bytes in flight before it
	rate      rateSample
	duplicate bool // it ACKs nothing new, moves no window, and carries nothing (https://www.rfc-editor.org/rfc/rfc5681#section-2)
	dsack     bool // it reports a duplicate, which ends at dsackEnd
	dsackEnd  Seq
	again     bool // it covers something that was sent again since the window was last reduced
	echoes    bool // it says that a mark of congestion reached the peer
	original  bool // it covers, or SACKs, something sent before the last timeout and never sent again
}

// sample takes the round-trip time of a segment that was sent only once (Karn,
// https://www.rfc-editor.org/rfc/rfc6298#section-3): of the oldest that this ACK covers.
func (ev *ackEvent) sample(now Time, s *slot) {
	if s.xmits == 1 && ev.rtt == 0 && !s.has(slotReneged) {
		ev.rtt = max(now-s.sent, 1)
	}
}

// karn notes a segment that was sent more than once. The echo may tell which of the
// transmissions it was that arrived (https://www.rfc-editor.org/rfc/rfc7323#section-4): the last, or
// an earlier one where the ACK came too soon for an answer to the last. If it names an
// earlier one and came later than that, its ACK was lost, or the path is slow; nobody
// knows.
func (ev *ackEvent) karn(now Time, s *slot, r *rackState) {
	if s.xmits == 1 {
		return
	}
	ev.ambiguous = true
	if !ev.echo.valid {
		return
	}
	age, sent := now-s.sent, ev.echo.conn.tsVal(s.sent)
	switch {
	case ev.echo.val == sent && sent != ev.echo.conn.tsVal(s.first):
		ev.echoed = age
		r.noteRTT(now, age)
	case ev.echo.before(s.sent) && age < r.minRTT/2 && !ev.echo.before(s.first):
		ev.echoed = Duration(ev.echo.conn.tsVal(now)-ev.echo.val) * Millisecond
	}
}

// measure takes the round-trip time.
func (c *Conn) measure(ev *ackEvent) {
	if rtt := ev.measured(); rtt > 0 {
		c.rtt.sample(rtt)
	}
}

// measured is the round-trip time that the ACK shows; 0 = none. One that reports a
// duplicate was caused by the duplicate: what else it covers arrived earlier, and that
// ACK was lost.
func (ev *ackEvent) measured() Duration {
	switch {
	case ev.dsack:
		return 0
	case ev.ambiguous:
		return ev.echoed
	}
	return ev.rtt
}

// receiveAck is the ACK field of an acceptable segment, https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4
// (fifth). False: the segment is to be dropped.
func (c *Conn) receiveAck(now Time, seg *wire.Segment) bool {
	ack := Seq(seg.Ack)
	oldest := c.sndUna - Seq(c.maxSndWnd)
	if c.sndNxt.Before(ack) || ack.Before(oldest) { // https://www.rfc-editor.org/rfc/rfc5961#section-5.2
		c.challengeACK(now)
		return false
	}
	if ack.Before(c.sndUna) {
		return true // an old one, overtaken
	}
	ev := ackEvent{echo: echo{val: seg.Options.TSEcr, valid: c.tsOK && seg.Options.HasTS && seg.Options.TSEcr != 0, conn: c}, prior: c.inFlight(),
		echoes: c.ecn.agreed && seg.Flags&wire.FlagECE != 0}
	if ev.echoes {
		c.stats.ECEs++
	}
	moved := c.updateWindow(seg)
	c.stillThere()
	switch {
	case c.sndUna.Before(ack):
		c.cumulative(now, ack, &ev)
	case !moved && seg.Len() == 0:
		ev.duplicate = true
		c.duplicate(&ev)
	}
	if c.sackOK { // behind what is ACKed: RACK wants an ACK's segments in order of sequence
		c.receiveSACK(now, seg, &ev)
	}
	c.measure(&ev)
	if ev.acked > 0 {
		c.armRTO(now)
		c.raisePath(now)
	}
	c.probeAcked(now, seg, &ev)
	c.recover(now, &ev)
	if ev.acked > 0 || !c.mayProbe() {
		c.armPTO(now)
	}
	if moved && !c.outstanding() {
		c.windowMoved()
	}
	return true
}

// updateWindow takes the peer's window (https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4, SND.WL1
// and SND.WL2) and reports whether it changed.
func (c *Conn) updateWindow(seg *wire.Segment) bool {
	seq, ack := Seq(seg.Seq), Seq(seg.Ack)
	if !c.sndWL1.Before(seq) && !(c.sndWL1 == seq && c.sndWL2.AtMost(ack)) {
		return false
	}
	wnd := uint32(seg.Window) << c.sndScale
	changed := wnd != c.sndWnd
	c.sndWnd, c.sndWL1, c.sndWL2 = wnd, seq, ack
	c.maxSndWnd = max(c.maxSndWnd, wnd)
	return changed
}

// cumulative takes what the cumulative ACK covers out of the queue. A segment that
// is covered in part stays whole: it is sent again from its first byte if it must.
func (c *Conn) cumulative(now Time, ack Seq, ev *ackEvent) {
	ev.acked = ack.Sub(c.sndUna)
	c.stats.BytesAcked += uint64(ev.acked)
	c.sndUna = ack
	c.lastProg = now
	c.retries, c.backoff = 0, 0
	for i := c.q.head; i != none && i != c.q.fresh; i = c.q.head {
		s := &c.q.slots[i]
		if ack.Before(s.end()) {
			break
		}
		ev.again = ev.again || c.undo.covers(s)
		if !s.has(slotSACKed) {
			ev.delivered += s.seqLen()
			ev.sample(now, s)
			ev.karn(now, s, &c.rack)
			c.rack.delivered(now, s, ev.echo)
			c.rate.arrived(now, s, &ev.rate)
			ev.original = ev.original || c.original(s)
		}
		c.dropSlot(i)
	}
	c.holdProgress(now)
	if !c.sackOK {
		c.deflate(ev)
	}
	if c.finQueue && !c.finSlot && c.state.sending() {
		c.queueFIN()
	}
	if c.finSlot && ack == c.sndEnd {
		c.finAcked(now)
		c.stats.BytesAcked--
	}
}

// recover finds losses, moves between the phases, and lets congestion control do what
// follows. The ACK that ends a fast recovery, or shows it needless, is no growth of its own.
func (c *Conn) recover(now Time, ev *ackEvent) {
	was := c.recovery.phase
	undone := c.tryUndo(now, ev)
	lost := c.detectLoss(now) || c.detectLossReno(ev)
	c.leaveRecovery(now)
	marked := c.receiveEcho(ev)
	grow := 0
	switch {
	case c.recovery.phase.calm() && lost:
		c.enterRecovery(now, ev.delivered)
		c.reduceRate(ev.delivered, false)
	case c.recovery.phase == phaseRecovery || c.recovery.phase == phaseCWR:
		c.reduceRate(ev.delivered, ev.acked > 0 && !lost)
	case marked:
		c.enterCWR(now, ev.delivered)
		c.reduceRate(ev.delivered, ev.acked > 0)
	case undone:
	case was == phaseOpen:
		grow = ev.acked
	case was == phaseLoss: // https://www.rfc-editor.org/rfc/rfc3465#section-2.3
		grow = min(ev.acked, c.mss)
	}
	if !c.growing(ev) {
		grow = 0
	}
	c.tellControl(now, ev, grow, c.endsReduction(was) && !undone)
}

// endsReduction reports that an ACK, in phase was before it, is the first of congestion avoidance after a reduction,
// as in Linux (tcp_fastretrans_alert, tcp_cong_control): that which ends a fast recovery, and after a mark the first
// that also covers data which told of the reduction.
func (c *Conn) endsReduction(was phase) bool {
	r := &c.recovery
	return r.phase == phaseOpen && (was == phaseRecovery || was == phaseCWR && r.point.Before(c.sndUna))
}

// growing reports that the window was what limited us: only then what was ACKed says
// that there is room for more (https://www.rfc-editor.org/rfc/rfc7661#section-4.1 in its simplest form).
func (c *Conn) growing(ev *ackEvent) bool {
	return c.cwndLimited || c.cc.window() < c.cc.threshold() && 2*ev.prior > c.cc.window()
}

func (c *Conn) tellControl(now Time, ev *ackEvent, grow int, recovered bool) {
	c.rate.finish(&ev.rate, c.rack.minRTT)
	a := &c.sample
	*a = sample{now: now, acked: ev.acked, delivered: ev.delivered, lost: c.rate.losses.tell(), grow: grow,
		prior: ev.prior, inFlight: c.inFlight(), limited: c.cwndLimited, sackOK: c.sackOK,
		rtt: ev.measured(), srtt: c.rtt.srtt, minRTT: c.rack.minRTT, phase: c.recovery.phase, rate: ev.rate}
	if recovered {
		a.recovered = ev.delivered
	}
	c.cc.onAck(a)
	c.setPace()
}

// duplicate counts a duplicate ACK of a peer without SACK: one segment left the
// network. More of them than were out when the recovery began are somebody's invention
// (https://www.rfc-editor.org/rfc/rfc5681#section-5). Where they start no recovery, two let new segments go
// (https://www.rfc-editor.org/rfc/rfc3042#section-2); after a timeout what they are of counts as lost already.
func (c *Conn) duplicate(ev *ackEvent) {
	r := &c.recovery
	most := dupThresh
	switch {
	case c.sackOK || r.phase == phaseLoss:
		return
	case r.phase == phaseRecovery:
		most = r.point.Sub(c.sndUna) / c.mss
	case c.repeated():
		most = dupThresh - 1
	}
	if r.dupAcks < min(most, c.rack.flight.segments) {
		r.dupAcks++
		ev.delivered += c.mss
	}
}

// deflate takes back what duplicate ACKs counted and a cumulative ACK now covers
// (https://www.rfc-editor.org/rfc/rfc9937#section-5, DeliveredData).
func (c *Conn) deflate(ev *ackEvent) {
	r := &c.recovery
	n := min(r.dupAcks, (ev.acked-1)/c.mss)
	r.dupAcks -= n
	ev.delivered -= min(ev.delivered, n*c.mss)
	if r.phase != phaseRecovery {
		r.dupAcks = 0
	}
}

// detectLossReno is fast retransmit for peers without SACK: the third duplicate
// ACK, and each partial ACK in recovery, say that the first segment is lost
// (https://www.rfc-editor.org/rfc/rfc6582#section-3.2).
func (c *Conn) detectLossReno(ev *ackEvent) bool {
	if c.sackOK || !c.outstanding() {
		return false
	}
	r, repeated := &c.recovery, c.repeated()
	partial := ev.acked > 0 && r.phase == phaseRecovery && c.sndUna.Before(r.point)
	third := r.phase.calm() && r.dupAcks >= dupThresh && !repeated
	if head := c.q.head; (third || partial) && c.q.slots[head].has(slotFlight) {
		c.markLost(head)
		return true
	}
	return false
}

// repeated reports that duplicate ACKs may be of our own retransmissions: nothing
// beyond the point of the last recovery was ACKed yet
// (https://www.rfc-editor.org/rfc/rfc6582#section-3.2, step 1).
func (c *Conn) repeated() bool {
	r := &c.recovery
	r.guarded = r.guarded && c.sndUna.AtMost(r.point)
	return r.guarded
}
