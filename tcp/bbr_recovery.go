package tcp

// bbrSaved is what a needless recovery must not change
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.11).
type bbrSaved struct {
	mode  bbrMode // that the losses ended
	moved bool    // they ended one
	short bbrShort
	long  int
}

// save is SaveStateUponLoss, once for each recovery: what comes later in it is its own doing.
func (b *bbr) save() {
	b.savePrior()
	b.saved = bbrSaved{short: b.short, long: b.long}
}

// savePrior is SaveCwnd.
func (b *bbr) savePrior() {
	if b.phase == phaseOpen && b.mode != bbrProbeRTT {
		b.prior = 0
	}
	b.prior = max(b.prior, b.cwnd)
}

// onLoss is a fast recovery, or a loss that a tail loss probe repaired: the model answers to
// it at the end of the round trip.
func (b *bbr) onLoss(Time, int) {
	b.savePrior()
	b.phase = phaseRecovery
	b.latest.note(b.delivered, 0)
}

// onCE is like a loss, which needs no recovery: the draft wants a mark to be taken for congestion and leaves open how
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-3.7). While more is being looked for, a mark says at
// once that there is no more.
func (b *bbr) onCE(now Time, flight int) {
	b.latest.note(b.delivered, 0)
	switch {
	case b.mode == bbrStartup && !b.pipe.reached:
		b.pipe.reached = true
		b.long = max(b.bdp(100), b.latest.inflight)
	case b.cycle.probing:
		b.tooHigh(now, flight, false)
	}
}

// onTimeout is https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.4.4, OnEnterRTO: nothing is
// in flight any more, and one segment may be.
func (b *bbr) onTimeout(Time, int, bool) {
	b.savePrior()
	b.phase = phaseLoss
	b.latest.note(b.delivered, 0)
	b.cwnd = b.mss
}

// endRecovery gives the window back that it began with; the model bounds it.
func (b *bbr) endRecovery(p phase) {
	if p == phaseCWR { // nothing is being recovered
		p = phaseOpen
	}
	if b.phase != phaseOpen && p == phaseOpen {
		b.cwnd = max(b.cwnd, b.prior)
	}
	b.phase = p
}

// undo is HandleSpuriousLossDetection. What the losses ended is taken up again.
func (b *bbr) undo(now Time) {
	s := b.saved
	b.saved.moved = false
	b.cwnd = max(b.cwnd, b.prior)
	b.latest.lost = false
	b.pipe.reset(0)
	b.short.bw, b.short.inflight = max(b.short.bw, s.short.bw), max(b.short.inflight, s.short.inflight)
	b.long = max(b.long, s.long)
	switch {
	case !s.moved || b.mode == s.mode:
	case s.mode == bbrStartup:
		b.pipe.reached = false
		if b.mode != bbrProbeRTT {
			b.mode = bbrStartup
		}
	case b.mode != bbrProbeRTT:
		b.enterRefill()
	}
}
