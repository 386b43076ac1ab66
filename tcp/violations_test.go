package tcp

// A violation is the engine with one mistake: old text of a file of this package that
// becomes new text, once. It breaks the paragraph named, and scripts must show it. Which of
// them do is docs/scripts.md.
type violation struct {
	name, rfc string
	file      string
	old, new  string
}

const rfcs = "https://www.rfc-editor.org/rfc/rfc"

var violations = []violation{
	// Frames.
	{"what was SACKed is given back", rfcs + "2018#section-8", "sack.go",
		"	ev.delivered += s.seqLen()\n	ev.sample(now, s)\n",
		"	ev.delivered += s.seqLen()\n	ev.sample(now, s)\n	for k := range s.nspans {\n		c.pool.Drop(s.spans[k].frame)\n	}\n	s.nspans = 0\n"},
	{"what the kernel completed is given back", rfcs + "9293#section-3.8.1", "transmit.go",
		"		s.out--\n	}\n	s.flags &^= slotDeferred\n",
		"		s.out--\n	}\n	s.flags &^= slotDeferred\n	for k := range s.nspans {\n		c.pool.Drop(s.spans[k].frame)\n	}\n	s.nspans = 0\n"},
	{"what an ACK covers in part is given back", rfcs + "9293#section-3.10.7.4", "ack.go",
		"		if ack.Before(s.end()) {\n			break\n		}\n",
		"		if ack.AtMost(s.seq) {\n			break\n		}\n"},
	{"a timeout does not ask what the kernel holds", rfcs + "6298#section-5", "timers.go",
		"	if c.q.slots[c.q.head].out > 0 {\n", "	if c.q.slots[c.q.head].out > 100 {\n"},
	{"a retransmission does not ask what the kernel holds", rfcs + "8985#section-6.2", "transmit.go",
		"		if s.out > 0 {\n			c.deferResend(s)\n", "		if s.out > 100 {\n			c.deferResend(s)\n"},
	{"a tail loss probe does not ask what the kernel holds", rfcs + "8985#section-7.3", "tlp.go",
		"	if !c.freshFits() && c.q.slots[c.lastSentSlot()].out > 0 {\n", "	if !c.freshFits() && c.q.slots[c.lastSentSlot()].out > 100 {\n"},

	// Timeouts.
	{"the first timeout is 200 ms", rfcs + "6298#section-2", "timers.go",
		"	initialRTO    = Second ", "	initialRTO    = 200 * Millisecond "},
	{"a timeout does not double the next", rfcs + "6298#section-5", "timers.go",
		"	c.backoff = min(c.backoff+1, maxBackoff)\n", "	c.backoff = 0\n"},
	{"the ACK of a segment sent twice is a measurement", rfcs + "6298#section-3", "ack.go",
		"	ev.ambiguous = true\n", "	ev.rtt = max(now-s.sent, 1)\n"},
	{"a new ACK does not start the timer anew", rfcs + "6298#section-5", "ack.go",
		"	if ev.acked > 0 {\n		c.armRTO(now)\n", "	if ev.acked > 0 {\n		if !c.outstanding() {\n			c.armRTO(now)\n		}\n"},
	{"after a timeout the window stays", rfcs + "5681#section-3.1", "reno.go",
		"	r.cwnd, r.credit = r.mss, 0\n}", "	r.credit = 0\n}"},

	// Fast recovery.
	{"two duplicates are enough", rfcs + "5681#section-3.2", "rack.go",
		"	dupThresh    = 3 ", "	dupThresh    = 2 "},
	{"no duplicate is counted as having left the network", rfcs + "3042#section-2", "flight.go",
		"		n -= c.recovery.dupAcks * c.mss\n", "		n -= 0\n"},
	{"a recovery ends with the first new ACK", rfcs + "6582#section-3.2", "recovery.go",
		"	if c.recovery.phase == phaseOpen || c.sndUna.Before(c.recovery.point) {\n", "	if c.recovery.phase == phaseOpen || c.sndUna == c.recovery.point {\n"},
	{"a partial ACK repairs nothing", rfcs + "6582#section-3.2", "ack.go",
		"	partial := ev.acked > 0 && r.phase", "	partial := false && r.phase"},
	{"there is no reordering window", rfcs + "8985#section-6.2", "rack.go",
		"	return min(Duration(1+c.rack.mult)*c.rack.minRTT/4, c.rtt.srtt)\n", "	return 0\n"},
	{"a retransmission that was needless teaches nothing", rfcs + "8985#section-6.2", "rack.go",
		"		r.mult = min(r.mult+1, maxReoMult)\n", ""},
	{"the rate is not reduced in proportion", rfcs + "9937#section-6.2", "recovery.go",
		"		quota = (r.delivered*target+r.recoverFS-1)/r.recoverFS - r.out\n", "		quota = 0\n"},
	{"in recovery the window opens to the threshold at once", rfcs + "9937#section-6.2", "recovery.go",
		"		quota = min(target-pipe, quota)\n", "		quota = target - pipe\n"},
	{"SACKs are never doubted", rfcs + "2018#section-8", "recovery.go",
		"		c.forgetSACKs()\n", "		_ = c.forgetSACKs\n"},
	{"what a tail loss probe repaired is forgiven", rfcs + "8985#section-7.4.2", "tlp.go",
		"		c.cc.onLoss(now, c.used())\n		c.cc.onRecovered(now)\n", ""},
	{"there is no tail loss probe", rfcs + "8985#section-7.2", "tlp.go",
		"	c.timers.pto = Never\n	if !c.mayProbe() {\n", "	c.timers.pto = Never\n	if true {\n"},

	{"a timeout means everything that is out", rfcs + "8985#section-6.3", "recovery.go",
		"(i == c.q.head || c.overdue(now, s))", "(i == c.q.head || true)"},
	{"any ACK after a timeout proves it needless", rfcs + "5682#section-3.1", "frto.go",
		"	case r.frto == frtoNew && ev.original:", "	case r.frto == frtoNew:"},
	{"no timeout is ever needless", rfcs + "5682#section-3.1", "frto.go",
		"		r.frto = frtoNew\n", "		r.frto = frtoOff\n"},
	{"one duplicate undoes a recovery", rfcs + "3708#section-2", "undo.go",
		"ev.dsack && u.pending == 0", "ev.dsack"},
	{"echoes undo nothing", rfcs + "3522#section-3.2", "undo.go",
		"ev.echo.before(u.first)", "false"},
	{"after a timeout duplicates let retransmissions go", rfcs + "5681#section-3.1", "ack.go",
		"	case r.phase == phaseLoss:\n		return\n", ""},

	// Windows.
	{"CUBIC halves", rfcs + "9438#section-4.6", "cubic.go",
		"	betaNum, betaDen = 7, 10\n", "	betaNum, betaDen = 5, 10\n"},
	{"CUBIC's curve has no plateau", rfcs + "9438#section-4.2", "cubic.go",
		"		c.origin = c.wMax\n", "		c.origin = c.wMax * 2\n"},
	{"CUBIC does not make room for newcomers", rfcs + "9438#section-4.7", "cubic.go",
		"	if c.cwnd < last {\n", "	if c.cwnd < last && false {\n"},
	{"CUBIC is slower than Reno", rfcs + "9438#section-4.3", "cubic.go",
		"	if c.at(t) < c.wEst {", "	if false {"},
	{"CUBIC's time passes while the writer is the limit", rfcs + "9438#section-5.8", "cubic.go",
		"	if c.epoch > 0 && a.grow == 0 {\n", "	if false {\n"},
	{"slow start does not look at the round trip", rfcs + "9406#section-4.2", "hystart.go",
		"		h.css, h.rounds, h.baseline = true, 0, h.least\n", ""},
	{"conservative slow start never ends", rfcs + "9406#section-4.2", "hystart.go",
		"h.rounds >= hyCSSRounds", "h.rounds > 1000"},
	{"a window that was not filled grows", rfcs + "7661#section-4.1", "ack.go",
		"	if !c.growing(ev) {\n		grow = 0\n	}\n", ""},
	{"a pause changes nothing", rfcs + "5681#section-4.1", "transmit.go",
		"now-c.lastSent > c.rtt.rto {", "now-c.lastSent > 1000*c.rtt.rto {"},
	{"the window of a SYN is scaled", rfcs + "7323#section-2.2", "handshake.go",
		"	if seg.Flags&wire.FlagSYN == 0 {\n		c.sndWnd <<= c.sndScale\n	}\n", "	c.sndWnd <<= c.sndScale\n"},
	{"a closed window is not probed", rfcs + "9293#section-3.8.6.1", "persist.go",
		"	c.probeNow = true\n", ""},
	{"a peer that answers probes is given up", rfcs + "9293#section-3.8.6.1", "persist.go",
		"		c.retries = 0\n", ""},
	{"a small window is filled at once", rfcs + "9293#section-3.8.6.2.1", "transmit.go",
		"	case usable >= int(c.maxSndWnd)/2 || c.overrideSWS:\n", "	case usable > 0:\n"},
	{"options are not taken off the MSS", rfcs + "6691#section-2", "handshake.go",
		"		mss -= tsOptionLen\n", ""},

	{"the user timeout waits for the next retry", rfcs + "5482#section-3", "timers.go",
		"	return min(due, since+c.cfg.UserTimeout)\n", "	return due\n"},

	// What arrives.
	{"timestamps are not compared", rfcs + "7323#section-5.3", "input.go",
		"	if int32(seg.Options.TSVal-c.tsRecent) >= 0 ||", "	if true ||"},
	{"a reset anywhere in the window is obeyed", rfcs + "5961#section-3.2", "input.go",
		"	if Seq(seg.Seq) != c.rcvNxt {\n		if c.inWindow(seg) {\n", "	if Seq(seg.Seq) != c.rcvNxt && !c.inWindow(seg) {\n		if c.inWindow(seg) {\n"},
	{"ACKs of long ago are believed", rfcs + "5961#section-5.2", "ack.go",
		" || ack.Before(oldest) {", " || false && ack.Before(oldest) {"},
	{"challenges are not limited", rfcs + "5961#section-7", "input.go",
		"	challengeMax    = 10\n", "	challengeMax    = 1000\n"},
	{"an ICMP error may quote anything", rfcs + "5927#section-4.1", "icmp.go",
		"	if c.state == Closed || Seq(e.Seq).Before(c.sndUna) || !Seq(e.Seq).Before(c.sndNxt) {\n", "	if c.state == Closed {\n"},
	{"an ICMP error ends an established connection", rfcs + "5461#section-2.2", "icmp.go",
		"	case c.state == SynSent && hardError(e):\n", "	case hardError(e):\n"},
	{"the crossed SYN-ACK is challenged", rfcs + "9293#section-3.5", "input.go",
		"	if c.crossed(seg) {\n", "	if false {\n"},
	{"a FIN above a hole is taken", rfcs + "9293#section-3.10.7.4", "input.go",
		"	if c.rcvNxt.Before(first) || !c.state.receiving() {\n		return\n	}\n", "	if !c.state.receiving() {\n		return\n	}\n	c.rcvNxt = maxSeq(c.rcvNxt, first)\n"},
	{"TIME-WAIT is not begun anew by a FIN", rfcs + "9293#section-3.10.7.4", "input.go",
		"		c.timers.timeWait = now + c.cfg.TimeWait\n", ""},
}
