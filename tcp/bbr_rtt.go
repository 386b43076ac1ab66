package tcp

// bbrPath is the least round-trip time of the last ten seconds, and that of the last five,
// after which probe_rtt looks for a lower one
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.4).
type bbrPath struct {
	rtt        Duration // BBR.min_rtt; 0 = not known
	stamp      Time     // when it was measured
	delay      Duration // BBR.probe_rtt_min_delay
	delayStamp Time     // when that was measured, or the last probe_rtt ended
	expired    bool     // that is too long ago
}

// bbrDip is a probe_rtt: little in flight for a while, so that the queue drains and the path
// without it can be measured.
type bbrDip struct {
	done      Time // when it may end; 0 = there is still too much in flight
	roundDone bool
	from, to  uint64 // what was sent while so much was delivered is of it
}

const (
	rttFilter        = 10 * Second // BBR.MinRTTFilterLen
	probeRTTInterval = 5 * Second
	probeRTTFor      = 200 * Millisecond
)

// updatePath is UpdateMinRTT. A sample is of the segment sent last: the peer that delays its ACKs
// delayed the others (section 5.5.7.1).
func (b *bbr) updatePath(a *sample) {
	p := &b.path
	if p.rtt == 0 { // the handshake's
		p.rtt, p.delay = a.minRTT, a.minRTT
	}
	p.expired = a.now > p.delayStamp+probeRTTInterval
	if rtt := a.rate.rtt; rtt > 0 && (rtt < p.delay || p.expired) {
		p.delay, p.delayStamp = rtt, a.now
	}
	if p.delay < p.rtt || a.now > p.stamp+rttFilter {
		p.rtt, p.stamp = p.delay, p.delayStamp
	}
}

func (b *bbr) checkProbeRTT(a *sample) {
	if b.mode != bbrProbeRTT && b.path.expired && !b.restarted {
		b.savePrior()
		b.mode = bbrProbeRTT
		b.dip = bbrDip{from: b.delivered}
		b.cycle.acks = acksStopping
		b.rounds.begin(b.delivered)
	}
	if b.mode == bbrProbeRTT {
		b.probeRTT(a)
	}
	if a.rate.delivered > 0 {
		b.restarted = false
	}
}

// probeRTT holds for 200 ms and a round trip from when little is in flight.
func (b *bbr) probeRTT(a *sample) {
	d := &b.dip
	d.to = b.delivered + uint64(a.inFlight)
	switch {
	case d.done == 0 && a.inFlight <= b.probeRTTCwnd():
		d.done, d.roundDone = a.now+probeRTTFor, false
		b.rounds.begin(b.delivered)
	case d.done != 0:
		if d.roundDone = d.roundDone || b.rounds.start; d.roundDone {
			b.checkProbeRTTDone(a.now)
		}
	}
}

// checkProbeRTTDone goes back to cruising, or to Startup where the pipe was never full
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.4.4).
func (b *bbr) checkProbeRTTDone(now Time) {
	if b.dip.done == 0 || now <= b.dip.done {
		return
	}
	b.path.delayStamp = now
	b.cwnd = max(b.cwnd, b.prior)
	b.short.reset()
	if !b.pipe.reached {
		b.mode = bbrStartup
		return
	}
	b.enterDown(now)
	b.mode = bbrCruise
}

// covers reports that a segment sent when so much was delivered was sent in probe_rtt.
func (d *bbrDip) covers(delivered uint64) bool {
	return d.to > 0 && d.from <= delivered && delivered <= d.to
}

// probeRTTCwnd is half of what the path holds.
func (b *bbr) probeRTTCwnd() int {
	_, gain := bbrProbeRTT.gains()
	return max(b.bdp(gain), minPipe*b.mss)
}
