package tcp

import "math"

// bbr is BBRv3, https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr, in integers. A model of the path,
// its bandwidth and its least round-trip time, says how fast to send and how much may be in
// flight; loss bounds the model from above. Rates are payload bytes per second, gains are
// hundredths, and "section" is the draft's.
type bbr struct {
	random    uint64 // what chance comes from; begins with a seed of the connection's
	mss       int
	initial   int    // the initial window, bytes
	cwnd      int    // bytes
	prior     int    // the last cwnd that neither loss recovery nor probe_rtt made smaller
	rate      uint64 // pacing rate; 0 = there was no round-trip time yet
	phase     phase  // of loss recovery, after the last ACK
	mode      bbrMode
	delivered uint64 // at the last ACK
	restarted bool   // BBR.idle_restart: nothing was delivered yet since a restart

	rounds    bbrRounds
	bandwidth bbrBandwidth
	latest    bbrLatest
	short     bbrShort
	long      int // BBR.inflight_longterm, bytes
	pipe      bbrPipe
	path      bbrPath
	dip       bbrDip
	extra     bbrExtra
	cycle     bbrCycle
	saved     bbrSaved
}

// bbrMode is BBR.state.
type bbrMode uint8

const (
	bbrStartup bbrMode = iota
	bbrDrain
	bbrDown // this and the next three are ProbeBW
	bbrCruise
	bbrRefill
	bbrUp
	bbrProbeRTT
)

func (m bbrMode) String() string {
	return [...]string{"startup", "drain", "probe_bw:down", "probe_bw:cruise", "probe_bw:refill", "probe_bw:up", "probe_rtt"}[min(int(m), 6)]
}

// cycles reports ProbeBW.
func (m bbrMode) cycles() bool { return bbrDown <= m && m <= bbrUp }

// probes reports that more bandwidth is being looked for: loss says nothing about the short term.
func (m bbrMode) probes() bool { return m == bbrStartup || m == bbrRefill || m == bbrUp }

// gains are those of the pacing rate and of the window
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.1).
func (m bbrMode) gains() (pace, window int) {
	switch m {
	case bbrStartup:
		return 277, 200 // 4 ln 2: what it takes to double in each round trip
	case bbrDrain:
		return 50, 200
	case bbrDown:
		return 90, 200
	case bbrUp:
		return 125, 225
	case bbrProbeRTT:
		return 100, 50
	}
	return 100, 200
}

func (b *bbr) start(now Time, mss, segments int) {
	window := min(mss*segments, maxCwnd)
	*b = bbr{random: b.random, mss: mss, initial: window, cwnd: window, long: unbounded}
	b.short.reset()
	b.path.stamp, b.path.delayStamp = now, now
	b.extra.start = now
}

func (b *bbr) setMSS(mss int)     { b.mss = mss }
func (b *bbr) window() int        { return b.cwnd }
func (b *bbr) threshold() int     { return math.MaxInt }
func (b *bbr) state() string      { return b.mode.String() }
func (b *bbr) proportional() bool { return false }
func (b *bbr) setWindow(int)      {}
func (b *bbr) onRecovered(Time)   {} // the ACK behind it tells
func (b *bbr) onIdle(Time, int)   {} // the model keeps what it knows (section 5.4.2)

// memory is for a path at its fullest, and thrice: loss makes neither pace nor window much smaller, so
// that what is SACKed behind a hole is a round trip's worth more for each time that it must be filled.
func (b *bbr) memory() int { return 3 * max(b.cwnd, 2*b.holds(b.bandwidth.most())) }

// onAck is section 5.2.3. What was lost comes first, as if it had been told at once.
func (b *bbr) onAck(a *sample) {
	b.delivered = a.rate.total
	// What probe_rtt sent is as slow as what a writer sends that has nothing
	// (section 5.3.4.3, MarkConnectionAppLimited).
	a.rate.appLimited = a.rate.appLimited || b.dip.covers(a.rate.priorDelivered)
	b.noteLoss(a)
	b.endRecovery(a.phase)

	b.updateModel(a)
	b.checkPipe(a)
	b.checkDrained(a)
	b.updateCycle(a)
	b.updatePath(a)
	b.checkProbeRTT(a)
	b.latest.advance(&a.rate)

	pace, _ := b.mode.gains()
	b.setRate(pace)
	b.setCwnd(a.delivered)
}

// updateModel is the model's view of bandwidth: long term, short term, and aggregation.
func (b *bbr) updateModel(a *sample) {
	rs := &a.rate
	b.latest.update(rs)
	b.rounds.update(rs)
	b.bandwidth.update(rs)
	if b.latest.start {
		b.adaptShort()
	}
	b.updateExtra(a)
}

// onRestart is section 5.4.1: what comes next goes at the pace of the path, and a
// probe_rtt that is due need not be held: the pause drained the queue.
func (b *bbr) onRestart(now Time) bool {
	b.restarted = true
	b.extra.restart(now)
	switch {
	case b.mode.cycles():
		b.setRate(100)
	case b.mode == bbrProbeRTT:
		b.checkProbeRTTDone(now)
	}
	return true
}
