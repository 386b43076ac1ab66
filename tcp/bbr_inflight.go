package tcp

// noteLoss learns of what was marked lost since the last ACK. While probing, too much of it
// shows how much in flight is too much
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.10.2, HandleLostPacket).
func (b *bbr) noteLoss(a *sample) {
	if a.lost.bytes == 0 {
		return
	}
	b.latest.note(b.delivered, a.lost.runs)
	if w := &a.lost.worst; b.cycle.probing && (tooMuch(w.lost, w.inFlight) || !a.sackOK) {
		b.tooHigh(a.now, w.inFlightAtLoss(), w.appLimited)
	}
}

// tooHigh lowers the long-term bound to what was in flight when losses became too many, once for each
// probe, and ends the probe (HandleInflightTooHigh).
func (b *bbr) tooHigh(now Time, inFlight int, appLimited bool) {
	b.cycle.tooHigh, b.cycle.probing = true, false
	if !appLimited {
		b.long = max(inFlight, b.target()*betaNum/betaDen)
	}
	if b.mode == bbrUp {
		b.saved.mode, b.saved.moved = bbrUp, true
		b.enterDown(now)
	}
}

// inFlightAtLoss is how much was in flight where losses became too many: all before the
// segment, and of it as much as may be lost for 2 % of both (InflightAtLoss).
func (r *lostRate) inFlightAtLoss() int {
	before, lost := r.inFlight-r.size, r.lost-r.size
	return before + max(0, before-lossThresh*lost)/(lossThresh-1)
}

// adaptLong follows what the ACKs of a probe say, and raises the long-term bound where they say that
// it is safe. True: it decided where the cycle goes
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.3.9, AdaptLongTermModel).
func (b *bbr) adaptLong(a *sample) bool {
	c := &b.cycle
	switch {
	case !b.rounds.start:
	case c.acks == acksStarting:
		c.acks = acksFeedback
	case c.acks == acksStopping:
		c.acks, c.probing = acksInit, false
		if b.mode.cycles() && !a.rate.appLimited {
			b.bandwidth.advance()
		}
		if b.mode.cycles() && c.cautious && !c.tooHigh {
			b.enterRefill() // what was too high is not: at once beyond it
			return true
		}
	}
	if b.long == unbounded || tooMuch(a.rate.lost, a.rate.txInFlight) || !a.sackOK && a.rate.lost > 0 {
		return false
	}
	b.long = max(b.long, a.rate.txInFlight)
	if b.mode == bbrUp {
		b.raiseLong(a)
	}
	return false
}

// raiseLong lets the long-term bound grow with what is ACKed while it is what limits
// (ProbeInflightLongtermUpward).
func (b *bbr) raiseLong(a *sample) {
	c := &b.cycle
	if !a.limited || b.cwnd < b.long {
		return
	}
	c.upAcked += a.delivered
	steps := c.upAcked / c.perStep
	c.upAcked -= steps * c.perStep
	b.long += steps * b.mss
	if b.rounds.start {
		b.raiseSlope()
	}
}

// raiseSlope doubles the growth: one segment in the first round trip, then 2, 4, 8.
func (b *bbr) raiseSlope() {
	c := &b.cycle
	c.perStep = max(b.cwnd>>c.upRounds, b.mss)
	c.upRounds = min(c.upRounds+1, 30)
}

// headroom is the long-term bound less 15 %, which are left for others (InflightWithHeadroom).
func (b *bbr) headroom() int {
	if b.long == unbounded {
		return unbounded
	}
	return max(b.long-max(b.mss, b.long*15/100), minPipe*b.mss)
}

// target is what should be in flight (TargetInflight).
func (b *bbr) target() int { return min(b.bdp(100), b.cwnd) }
