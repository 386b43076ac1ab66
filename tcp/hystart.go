package tcp

// hystart is HyStart++ (https://www.rfc-editor.org/rfc/rfc9406): the first slow start ends when the
// round-trip time grows, before the queue overflows. It is for the first alone: later ones
// have a threshold that was learnt.
type hystart struct {
	done     bool
	css      bool     // conservative slow start: growth divided by four, for five rounds
	rounds   int      // of conservative slow start that are over
	samples  int      // in this round
	least    Duration // in this round; 0 = none yet
	last     Duration // in the round before
	baseline Duration // least when conservative slow start began
	roundEnd uint64   // bytes delivered when this round's first segment was sent
}

// https://www.rfc-editor.org/rfc/rfc9406#section-4.3
const (
	hyMinThresh  = 4 * Millisecond
	hyMaxThresh  = 16 * Millisecond
	hyDivisor    = 8
	hySamples    = 8
	hyCSSDivisor = 4
	hyCSSRounds  = 5
)

// grow is how much of n bytes ACKed a window in slow start may grow by; leave says that slow
// start is over. The limit per ACK of section 4.3 (L) is for senders that don't pace.
func (h *hystart) grow(a *sample, n int) (grow int, leave bool) {
	if h.done {
		return n, false
	}
	if a.rate.sent > 0 && a.rate.priorDelivered >= h.roundEnd {
		leave = h.nextRound(a.rate.total)
	}
	if a.rtt > 0 {
		h.samples++
		if h.least == 0 || a.rtt < h.least {
			h.least = a.rtt
		}
		h.judge()
	}
	if h.css {
		n /= hyCSSDivisor
	}
	return n, leave
}

// nextRound begins one; true: slow start is over.
func (h *hystart) nextRound(delivered uint64) bool {
	h.roundEnd = delivered
	if h.css {
		if h.rounds++; h.rounds >= hyCSSRounds {
			h.done = true
			return true
		}
	}
	h.last, h.least, h.samples = h.least, 0, 0
	return false
}

// judge compares the round's least round-trip time with that of the round before, or, in
// conservative slow start, with the one that led there: it was noise if it falls again.
func (h *hystart) judge() {
	switch {
	case h.samples < hySamples:
	case h.css:
		if h.least < h.baseline {
			h.css, h.rounds = false, 0
		}
	case h.last > 0 && h.least >= h.last+min(max(h.last/hyDivisor, hyMinThresh), hyMaxThresh):
		h.css, h.rounds, h.baseline = true, 0, h.least
	}
}
