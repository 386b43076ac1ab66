package tcp

import (
	"math"
	"math/bits"
)

// bbrExtra is how much more arrives at a time than the bandwidth explains: ACKs that come
// together leave pauses in which the window must not run out
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.9).
type bbrExtra struct {
	start     Time // of the interval
	delivered int  // in it
	most      minFilter
	bytes     int // the most of the last ten round trips
}

const (
	extraRounds = 10
	// minPipe segments are in flight at least, so that a peer can ACK every other of them
	// (BBR.MinPipeCwnd).
	minPipe = 4
)

func (e *bbrExtra) restart(now Time) { e.start, e.delivered = now, 0 }

// updateExtra is UpdateACKAggregation. The filter is one for the least: it is given what is
// less than nothing.
func (b *bbr) updateExtra(a *sample) {
	e := &b.extra
	if a.delivered == 0 {
		return
	}
	expected := bytesIn(b.bw(), a.now-e.start)
	if e.delivered <= expected {
		e.restart(a.now)
		expected = 0
	}
	e.delivered += a.delivered
	span := 1
	if b.pipe.reached {
		span = extraRounds
	}
	extra := min(e.delivered-expected, b.cwnd)
	e.bytes = -int(e.most.update(Time(b.rounds.count), Duration(-extra), Duration(span)))
}

// bytesIn is what a rate of bytes per second makes in time d.
func bytesIn(rate uint64, d Duration) int {
	hi, lo := bits.Mul64(rate, uint64(d))
	if hi >= uint64(Second)/4 { // 2^62 and more
		return math.MaxInt / 2
	}
	q, _ := bits.Div64(hi, lo, uint64(Second))
	return int(q)
}

// holds is what the path has under way at a rate, without a queue: the bandwidth-delay product.
func (b *bbr) holds(rate uint64) int {
	if b.path.rtt == 0 {
		return b.initial
	}
	return min(bytesIn(rate, b.path.rtt), maxCwnd)
}

// bdp is gain hundredths of what it holds at the rate of the model (BDPMultiple).
func (b *bbr) bdp(gain int) int { return b.holds(b.bw()) * gain / 100 }

// inflight adds to n what it takes to send and to ACK in bunches (QuantizationBudget).
func (b *bbr) inflight(n int) int {
	n = max(n, 3*b.quantum(), minPipe*b.mss)
	if b.mode == bbrUp {
		n += 2 * b.mss
	}
	return n
}

// quantum is what the pacer lets go at once
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.3).
func (b *bbr) quantum() int {
	return max(min(bytesIn(b.rate, paceQuantum), maxQuantum), 2*b.mss)
}

// pacing is the rate of the model, or before there is one that of the initial window
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.2).
func (b *bbr) pacing(srtt Duration) uint64 {
	if b.rate == 0 && srtt > 0 {
		gain, _ := bbrStartup.gains()
		b.rate = max(1, uint64(b.initial*gain/100)*uint64(Second)/uint64(srtt))
	}
	return b.rate
}

// setRate paces at gain hundredths of the bandwidth, less one percent, so that no queue
// builds up. Until the pipe was full once it only rises: samples may be of a writer that had
// little. Without any, the first pace stays: a byte per second is no pace to find out at.
func (b *bbr) setRate(gain int) {
	if b.bw() == 0 {
		return
	}
	if rate := b.bw() * uint64(gain) / 100 * 99 / 100; b.pipe.reached || rate > b.rate {
		b.rate = max(rate, 1)
	}
}

// setCwnd is https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.4.6.
func (b *bbr) setCwnd(acked int) {
	if acked > 0 {
		b.growCwnd(acked)
	}
	if b.mode == bbrProbeRTT {
		b.cwnd = min(b.cwnd, b.probeRTTCwnd())
	}
	b.cwnd = min(b.cwnd, max(b.bound(), minPipe*b.mss), maxCwnd)
}

func (b *bbr) growCwnd(acked int) {
	_, gain := b.mode.gains()
	most := b.inflight(b.bdp(gain) + b.extra.bytes)
	switch {
	case b.pipe.reached:
		b.cwnd = min(b.cwnd+acked, most)
	case b.cwnd < most || b.delivered < uint64(b.initial):
		b.cwnd += acked
	}
	b.cwnd = max(b.cwnd, minPipe*b.mss)
}

// bound is what loss leaves of the window
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.4.7).
func (b *bbr) bound() int {
	switch {
	case b.mode == bbrCruise || b.mode == bbrProbeRTT:
		return min(b.headroom(), b.short.inflight)
	case b.mode.cycles():
		return min(b.long, b.short.inflight)
	}
	return b.short.inflight
}
