package tcp

import "github.com/xsend/xsend/internal/wire"

// minMSS is the least that we let a peer or a path talk us into.
const minMSS = 64

// defaultMSS is what a peer takes that announces nothing
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1).
func defaultMSS(is4 bool) int {
	if is4 {
		return 536
	}
	return 1220
}

// ipTCP is the bytes of IP and TCP header without options.
func (c *Conn) ipTCP() int {
	if c.cfg.Flow.Is4() {
		return 40
	}
	return 60
}

// headers is the bytes of IP and TCP header of every segment.
func (c *Conn) headers() int {
	if c.tsOK {
		return c.ipTCP() + tsOptionLen
	}
	return c.ipTCP()
}

// limitMSS turns what the peer announced into payload bytes of a full segment: the
// options that every segment carries come off
// (https://www.rfc-editor.org/rfc/rfc6691#section-2).
func (c *Conn) limitMSS(peer int) int {
	mss := min(peer, c.mtu-c.ipTCP())
	if c.cfg.MSS > 0 {
		mss = min(mss, c.cfg.MSS)
	}
	if c.tsOK {
		mss -= tsOptionLen
	}
	return max(mss, minMSS)
}

func (c *Conn) advertMSS() int {
	mss := c.cfg.MTU - c.ipTCP()
	if c.cfg.AdvertMSS > 0 {
		mss = min(mss, c.cfg.AdvertMSS)
	}
	return mss
}

// setMSS follows a change of the path. What is in flight and larger than the path
// now carries is to be sent again, in pieces; that says nothing about congestion.
func (c *Conn) setMSS() {
	mss := c.limitMSS(c.peerMSS)
	if mss == c.mss {
		return
	}
	c.mss = mss
	c.cc.setMSS(mss)
	was := c.rate.losses
	for i := c.rack.flight.oldest; i != none; {
		next := c.q.slots[i].newer
		if int(c.q.slots[i].length) > mss {
			c.markLost(i)
		}
		i = next
	}
	c.rate.losses = was
}

// receiveSynSent is https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3.
func (c *Conn) receiveSynSent(now Time, seg *wire.Segment) {
	hasACK := seg.Flags&wire.FlagACK != 0
	if hasACK && Seq(seg.Ack) != c.iss.Add(1) {
		c.refuseACK(now, seg)
		return
	}
	if seg.Flags&wire.FlagRST != 0 {
		if hasACK {
			c.stats.ResetsIn++
			c.refused()
		}
		return
	}
	if seg.Flags&wire.FlagSYN == 0 {
		return
	}
	c.takeOptions(now, seg)
	c.agreeECN(seg.Flags)
	if !hasACK { // simultaneous open
		c.state = SynReceived
		c.sendSYN, c.synTries, c.backoff = true, 0, 0
		return
	}
	c.establish(now, seg)
}

// refused is a reset in answer to our SYN. Some hosts mean the offer in it
// (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1.1): nothing was lost, and the next SYN is as the first.
func (c *Conn) refused() {
	if !c.ecn.offer {
		c.die(ErrRefused)
		return
	}
	c.withdrawECN()
	c.sendSYN, c.synTries = true, 0
}

// refuseACK answers an ACK of something that this connection never sent: the peer has a
// former one still, perhaps in TIME-WAIT, and gives it up
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.3). As seldom as challenge ACKs: anybody can ask.
func (c *Conn) refuseACK(now Time, seg *wire.Segment) {
	if seg.Flags&wire.FlagRST == 0 && c.challenge.allow(now) {
		c.refuse, c.refuseAt = true, Seq(seg.Ack)
		c.stats.Refusals++
	}
}

// emitRefusal makes the reset of refuseACK; the SYN follows when its timer says so.
func (c *Conn) emitRefusal(now Time, tx *Tx) int {
	if !c.emit(now, tx, c.refuseAt, wire.FlagRST, nil, nil) {
		return 0
	}
	c.refuse = false
	return 1
}

// takeOptions takes over what the peer's SYN says.
func (c *Conn) takeOptions(now Time, seg *wire.Segment) {
	o := &seg.Options
	c.refuse = false // the former connection is gone
	c.irs = Seq(seg.Seq)
	c.rcvNxt = c.irs.Add(1)
	c.peerMSS = defaultMSS(c.cfg.Flow.Is4())
	if o.HasMSS {
		c.peerMSS = int(o.MSS)
	}
	if o.HasWScale && !c.cfg.NoScale {
		c.sndScale = min(o.WScale, wire.MaxWScale)
	}
	c.sackOK = o.SACKPermitted && !c.cfg.NoSACK
	if c.tsOK = o.HasTS && !c.cfg.NoTimestamps; c.tsOK {
		c.tsRecent, c.tsStamp = o.TSVal, now
	}
	c.mss = c.limitMSS(c.peerMSS)
}

// completeOpen is the ACK of our SYN in a simultaneous open. False: the segment has no more
// to say; the window of a SYN-ACK, not scaled, was taken already.
func (c *Conn) completeOpen(now Time, seg *wire.Segment) bool {
	if Seq(seg.Ack) != c.iss.Add(1) {
		return false
	}
	if seg.Flags&wire.FlagSYN != 0 && seg.Flags&ecnSetup != wire.FlagECE {
		c.withdrawECN()
	}
	c.establish(now, seg)
	return seg.Flags&wire.FlagSYN == 0
}

// crossed reports the SYN-ACK of a simultaneous open: it repeats the SYN that we have, and so
// lies left of our window, and yet it opens
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.5, figure 7, line 6).
func (c *Conn) crossed(seg *wire.Segment) bool {
	const synAck = wire.FlagSYN | wire.FlagACK
	return c.state == SynReceived && seg.Flags&(synAck|wire.FlagFIN) == synAck && seg.PayloadLen == 0 &&
		Seq(seg.Seq) == c.irs && Seq(seg.Ack) == c.iss.Add(1)
}

func (c *Conn) establish(now Time, seg *wire.Segment) {
	c.state = Established
	c.sndUna = c.iss.Add(1)
	c.sndWnd = uint32(seg.Window) // never scaled in a SYN, https://www.rfc-editor.org/rfc/rfc7323#section-2.2
	if seg.Flags&wire.FlagSYN == 0 {
		c.sndWnd <<= c.sndScale
	}
	c.maxSndWnd = c.sndWnd
	c.sndWL1, c.sndWL2 = Seq(seg.Seq), Seq(seg.Ack)
	c.timers.rto = Never
	c.sendSYN = false
	segments := c.cfg.InitialCwnd
	if c.synTries > 1 {
		segments = 1 // https://www.rfc-editor.org/rfc/rfc5681#section-3.1: the SYN was lost
	}
	if c.synTries == 1 || c.tsOK && seg.Options.TSEcr == c.tsVal(c.synSent) {
		c.rtt.sample(now - c.synSent)
		c.rack.noteRTT(now, c.rtt.last)
	} else {
		c.rtt.rto = max(c.rtt.rto, unmeasuredRTO)
	}
	c.retries, c.backoff = 0, 0
	c.lastProg = now
	c.rack.fack = c.sndUna
	c.cc.start(now, c.mss, segments)
	c.pace.free = c.cc.window()
	c.startKeepAlive(now)
	c.startCanary(now)
	c.setPace()
	c.ackNow = true
}

// retrySYN is the timeout of the handshake.
func (c *Conn) retrySYN(now Time) {
	if c.synTries > c.cfg.SynRetries || c.late(now) {
		c.die(ErrTimeout)
		return
	}
	c.backoff = min(c.backoff+1, maxBackoff)
	c.withdrawECN() // perhaps something on the path takes offence (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1.1)
	c.sendSYN = true
}

// synOptions are those of SYN and SYN-ACK: everything we can do, or, answering,
// what both can.
func (c *Conn) synOptions(now Time) []byte {
	answer := c.state == SynReceived
	b := wire.PutMSS(c.optBuf[:0], uint16(c.advertMSS()))
	if !c.cfg.NoSACK && (!answer || c.sackOK) {
		b = wire.PutSACKPermitted(b)
	}
	if !c.cfg.NoTimestamps && (!answer || c.tsOK) {
		b = wire.PutTimestamps(b, c.tsVal(now), c.tsRecent)
	}
	if !c.cfg.NoScale && (!answer || c.sndScale > 0) {
		b = wire.PutWScale(b, 0)
	}
	return b
}
