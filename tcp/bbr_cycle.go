package tcp

// bbrCycle is what turns the cycle of ProbeBW: down, cruise, refill, up
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.3).
type bbrCycle struct {
	acks     bbrAcks
	probing  bool     // BBR.is_bw_probe_sample: ACKs are of what was sent to probe
	stamp    Time     // when it began
	wait     Duration // longest time until the next probe
	rounds   int      // since the last probe
	tooHigh  bool     // BBR.prev_probe_too_high
	cautious bool     // BBR.prev_probe_precautionary: the last probe ended where the one before was too high

	upRounds int // round trips in which long grew, in this probe
	upAcked  int // bytes ACKed since long grew
	perStep  int // bytes that must be ACKed for long to grow by a segment; 0 = it does not
}

// bbrAcks is BBR.ack_phase: what the ACKs are of.
type bbrAcks uint8

const (
	acksInit      bbrAcks = iota // no probe
	acksRefilling                // what fills the pipe before it
	acksStarting                 // what was sent before it
	acksFeedback
	acksStopping // it is over, its ACKs are not
)

const (
	probeWait  = 2 * Second // least time between probes; up to another second is left to chance
	renoRounds = 63         // most round trips between probes
)

// enterDown drains what the last probe left in the queue.
func (b *bbr) enterDown(now Time) {
	b.latest.reset()
	c := &b.cycle
	c.perStep = 0
	c.stamp, c.acks = now, acksStopping
	b.pickWait()
	b.rounds.begin(b.delivered)
	b.mode = bbrDown
}

// enterRefill fills the pipe, at the rate of the path, so that a probe that is stopped at once
// does not find that little fits: this forgets the short term.
func (b *bbr) enterRefill() {
	b.short.reset()
	c := &b.cycle
	c.upRounds, c.upAcked = 0, 0
	c.cautious, c.acks = false, acksRefilling
	b.rounds.begin(b.delivered)
	b.mode = bbrRefill
}

func (b *bbr) enterUp(rs *rateSample) {
	b.cycle.acks = acksStarting
	b.rounds.begin(b.delivered)
	b.pipe.reset(rs.perSecond())
	b.mode = bbrUp
	b.raiseSlope()
}

// updateCycle is section 5.3.3.9, UpdateProbeBWCyclePhase.
func (b *bbr) updateCycle(a *sample) {
	if b.rounds.start {
		b.cycle.rounds++
	}
	if !b.pipe.reached || b.adaptLong(a) {
		return
	}
	switch b.mode {
	case bbrDown:
		if !b.probeAgain(a.now) && b.drained(a.inFlight) {
			b.mode = bbrCruise
		}
	case bbrCruise:
		b.probeAgain(a.now)
	case bbrRefill:
		if b.rounds.start {
			b.cycle.probing = true
			b.enterUp(&a.rate)
		}
	case bbrUp:
		if b.probed(a) {
			b.cycle.tooHigh = false
			b.enterDown(a.now)
		}
	}
}

// probeAgain begins the next probe when it is time: after two to three seconds, or after as
// many round trips as Reno takes from one loss to the next
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.3.8).
func (b *bbr) probeAgain(now Time) bool {
	c := &b.cycle
	if now <= c.stamp+c.wait && c.rounds < min(b.target()/b.mss, renoRounds) {
		return false
	}
	b.enterRefill()
	return true
}

// pickWait leaves a part of the time to chance, so that flows mix.
func (b *bbr) pickWait() {
	x := b.chance()
	b.cycle.rounds = int(x & 1)
	b.cycle.wait = probeWait + Duration(x>>1%uint64(Second))
}

// chance is the next random number (Steele, Lea and Flood, "Fast splittable pseudorandom number generators": splitmix64).
func (b *bbr) chance() uint64 {
	b.random += 0x9e3779b97f4a7c15
	x := b.random
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// drained reports that no more is in flight than the path holds, with room left for others
// (IsTimeToCruise).
func (b *bbr) drained(inFlight int) bool {
	return inFlight <= b.headroom() && inFlight <= b.inflight(b.holds(b.bandwidth.most()))
}

// probed reports that the probe showed what there is (IsTimeToGoDown). After one that was too
// high the next ends where that began to be: a segment below, because the window ends in the
// middle of one.
func (b *bbr) probed(a *sample) bool {
	c := &b.cycle
	if c.tooHigh && a.prior > b.long-b.mss {
		c.cautious = true
		return true
	}
	if a.limited && b.cwnd >= b.long {
		b.pipe.reset(a.rate.perSecond()) // it is our own bound that limits
		return false
	}
	return b.pipe.now
}
