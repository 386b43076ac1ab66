package tcp

import "math"

// bbrRounds counts round trips by what is delivered: one is over when something arrives
// that was sent after it began
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.1).
type bbrRounds struct {
	count int
	end   uint64 // delivered when it began
	start bool   // the next began with this ACK
}

func (r *bbrRounds) update(rs *rateSample) {
	if r.start = rs.interval > 0 && rs.priorDelivered >= r.end; r.start {
		r.begin(rs.total)
		r.count++
	}
}

func (r *bbrRounds) begin(delivered uint64) { r.end = delivered }

// bbrBandwidth is the highest delivery rate of the cycle of ProbeBW before this one, and
// of this one (sections 5.5.3 to 5.5.6, BBR.max_bw).
type bbrBandwidth [2]uint64

func (m *bbrBandwidth) most() uint64 { return max(m[0], m[1]) }

// update takes a sample. One of a writer that had nothing counts only where it shows that
// there is more.
func (m *bbrBandwidth) update(rs *rateSample) {
	if bw := rs.perSecond(); bw >= m.most() || !rs.appLimited {
		m[1] = max(m[1], min(bw, unboundedRate))
	}
}

// advance forgets the cycle before this one, unless there is nothing to replace it.
func (m *bbrBandwidth) advance() {
	if m[1] > 0 {
		*m = bbrBandwidth{m[1], 0}
	}
}

// bbrLatest is what was delivered in the last round trip, and whether something was lost in
// it: the round begins with its first loss
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.10.3).
type bbrLatest struct {
	bw       uint64
	inflight int    // bytes delivered while one segment was on its way
	end      uint64 // delivered when the round began
	start    bool   // the next began with this ACK
	lost     bool
	runs     int // of segments lost
}

func (l *bbrLatest) reset() { l.lost, l.bw, l.inflight = false, 0, 0 }

func (l *bbrLatest) update(rs *rateSample) {
	l.start = false
	if rs.interval <= 0 {
		return
	}
	l.bw, l.inflight = max(l.bw, rs.perSecond()), max(l.inflight, rs.delivered)
	if rs.priorDelivered >= l.end {
		l.end, l.start = rs.total, true
	}
}

// advance begins the next round with the sample that ended the last.
func (l *bbrLatest) advance(rs *rateSample) {
	if l.start {
		l.bw, l.inflight = rs.perSecond(), rs.delivered
	}
}

// note notes a loss.
func (l *bbrLatest) note(delivered uint64, runs int) {
	if !l.lost {
		l.lost, l.end = true, delivered
	}
	l.runs += runs
}

// bbrShort is the short-term model: bounds by the losses since the last probe for bandwidth.
type bbrShort struct {
	bw       uint64 // BBR.bw_shortterm
	inflight int    // BBR.inflight_shortterm, bytes
}

const (
	unbounded     = math.MaxInt // bytes
	unboundedRate = 1 << 50     // bytes per second: with any gain it is a number still
)

func (s *bbrShort) reset() { *s = bbrShort{unboundedRate, unbounded} }

// adaptShort is for the end of a round trip with loss: what the path delivered in it is what
// it has room for, but no more is given up than CUBIC would
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.10.3, AdaptLowerBoundsFromCongestion).
func (b *bbr) adaptShort() {
	lost := b.latest.lost
	b.latest.lost = false
	if !lost || b.mode.probes() {
		return
	}
	s := &b.short
	if s.bw == unboundedRate {
		s.bw = b.bandwidth.most()
	}
	if s.inflight == unbounded {
		s.inflight = b.cwnd
	}
	s.bw = max(b.latest.bw, s.bw/betaDen*betaNum)
	s.inflight = max(b.latest.inflight, s.inflight/betaDen*betaNum)
}

// bw is BBR.bw: what the path has, as far as loss lets us.
func (b *bbr) bw() uint64 { return min(b.bandwidth.most(), b.short.bw) }
