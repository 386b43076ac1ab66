package tcp

// bbrPipe looks for a plateau of the delivery rate, while the pace rises
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.1.2).
type bbrPipe struct {
	bw      uint64 // what the next samples are compared with
	rounds  int    // without growth
	now     bool   // full since it was last looked for
	reached bool   // full at any time
	drained int    // round in which Drain began
}

const (
	fullRounds = 3 // round trips without growth by a quarter
	fullRuns   = 6 // runs of segments lost in a round trip (BBRStartupFullLossCnt)
	drainFor   = 3 // round trips at most
)

// reset begins to look, with rate bw to compare with.
func (p *bbrPipe) reset(bw uint64) { p.bw, p.rounds, p.now = bw, 0, false }

// update takes the sample that a round trip ends with.
func (p *bbrPipe) update(rs *rateSample) {
	bw := rs.perSecond()
	if p.now || rs.appLimited {
		return
	}
	if bw >= p.bw+p.bw/4 {
		p.reset(bw)
		return
	}
	p.rounds++
	p.now = p.rounds >= fullRounds
	p.reached = p.reached || p.now
}

// checkPipe ends Startup where the pipe is full.
func (b *bbr) checkPipe(a *sample) {
	if b.rounds.start {
		b.pipe.update(&a.rate)
	}
	b.checkHighLoss(a)
	if b.latest.start {
		b.latest.runs = 0
	}
	if b.mode == bbrStartup && b.pipe.reached {
		b.mode, b.pipe.drained = bbrDrain, b.rounds.count
	}
}

// checkHighLoss is the other sign of a full pipe: a round trip in recovery with more than 2 %
// lost in several places, or any loss where the peer does not show more than one
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.1.3).
func (b *bbr) checkHighLoss(a *sample) {
	if b.pipe.reached || a.phase != phaseRecovery {
		return
	}
	if a.sackOK && (!b.latest.start || b.latest.runs < fullRuns || !tooMuch(a.rate.lost, a.rate.txInFlight)) {
		return
	}
	b.saved.mode, b.saved.moved = bbrStartup, true
	b.pipe.reached = true
	b.long = max(b.bdp(100), b.latest.inflight)
}

// checkDrained ends Drain when no more is in flight than the path holds, or after three round
// trips: then the bandwidth was thought too high
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.2).
func (b *bbr) checkDrained(a *sample) {
	if b.mode == bbrDrain && (a.inFlight <= b.inflight(b.bdp(100)) || b.rounds.count > b.pipe.drained+drainFor) {
		b.enterDown(a.now)
	}
}
