package tcp

import "testing"

// A round trip is over when something arrives that was sent after it began
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.1).
func TestBBRRounds(t *testing.T) {
	r := bbrRounds{end: 5000}
	for i, c := range []struct {
		prior, total uint64
		interval     Duration
		start        bool
		count        int
	}{
		{4999, 8000, 1, false, 0},
		{5000, 9000, 1, true, 1}, // sent when 5000 were delivered: just after it began
		{8999, 10_000, 1, false, 1},
		{9500, 11_000, 0, false, 1}, // a sample that says nothing
		{9500, 12_000, 1, true, 2},
	} {
		r.update(&rateSample{interval: c.interval, priorDelivered: c.prior, total: c.total})
		if r.start != c.start || r.count != c.count || c.start && r.end != c.total {
			t.Fatalf("step %d: %+v", i, r)
		}
	}
}

func rateOf(bw int, appLimited bool) *rateSample {
	return &rateSample{delivered: bw, interval: Second, appLimited: appLimited}
}

// The bandwidth is the highest sample of this cycle and the last; one of a writer that had
// nothing counts only if it is higher (section 5.5.5).
func TestBBRBandwidth(t *testing.T) {
	var m bbrBandwidth
	want := func(bw uint64) {
		t.Helper()
		if m.most() != bw {
			t.Fatalf("%d, should be %d", m.most(), bw)
		}
	}
	m.update(rateOf(500, true))
	want(500)
	m.update(rateOf(900, false))
	m.update(rateOf(700, false))
	want(900)
	m.advance()
	m.update(rateOf(600, false))
	want(900)
	m.advance()
	want(600)
	m.update(rateOf(599, true))
	if m[1] != 0 {
		t.Fatalf("%v: a slow writer counts", m)
	}
	m.advance() // nothing was measured in this cycle
	want(600)
	m.update(rateOf(601, true))
	want(601)
	m.update(&rateSample{delivered: 5000}) // no interval: says nothing
	want(601)
}

// A round of loss begins with the first of them, and ends with what was sent after it; its
// signals are the highest of the round
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.10.3).
func TestBBRLatest(t *testing.T) {
	l := bbrLatest{end: 1000}
	l.update(&rateSample{delivered: 50, interval: Second, priorDelivered: 900, total: 2000})
	if l.start || l.bw != 50 || l.inflight != 50 {
		t.Fatalf("%+v", l)
	}
	l.note(2000, 2)
	l.note(2500, 1)
	if !l.lost || l.runs != 3 || l.end != 2000 {
		t.Fatalf("%+v", l)
	}
	l.update(&rateSample{delivered: 70, interval: Second, priorDelivered: 1999, total: 3000})
	l.advance(&rateSample{delivered: 1, interval: Second})
	if l.start || l.bw != 70 {
		t.Fatalf("%+v", l)
	}
	last := &rateSample{delivered: 40, interval: Second, priorDelivered: 2000, total: 4000}
	l.update(last)
	if !l.start || l.bw != 70 || l.inflight != 70 || l.end != 4000 {
		t.Fatalf("%+v", l)
	}
	l.advance(last)
	if l.bw != 40 || l.inflight != 40 {
		t.Fatalf("%+v", l)
	}
	l.update(&rateSample{priorDelivered: 9000})
	if l.start {
		t.Fatal("a sample that says nothing ends a round")
	}
	if l.reset(); l.lost || l.bw != 0 || l.inflight != 0 || l.end != 4000 {
		t.Fatalf("%+v", l)
	}
}

// At the end of a round trip with loss the short-term model falls to what was delivered, but by no more
// than three tenths.
func TestBBRShortTerm(t *testing.T) {
	b := cruising()
	lose := func(bw uint64, inflight int) {
		b.latest = bbrLatest{bw: bw, inflight: inflight, lost: true}
		b.adaptShort()
	}
	lose(9_000_000, 180_000)
	if b.short != (bbrShort{9_000_000, 280_000}) || b.bw() != 9_000_000 || b.latest.lost {
		t.Fatalf("%+v", b.short)
	}
	lose(1_000_000, 250_000)
	if b.short != (bbrShort{6_300_000, 250_000}) {
		t.Fatalf("%+v", b.short)
	}
	b.latest = bbrLatest{bw: 1, inflight: 1}
	if b.adaptShort(); b.short != (bbrShort{6_300_000, 250_000}) {
		t.Fatalf("without a loss %+v", b.short)
	}
	for _, m := range []bbrMode{bbrStartup, bbrRefill, bbrUp} {
		b.mode = m
		if lose(1, 1); b.short != (bbrShort{6_300_000, 250_000}) || b.latest.lost {
			t.Fatalf("while probing %+v", b.short)
		}
	}
	if b.short.reset(); b.short != (bbrShort{unboundedRate, unbounded}) || b.bw() != 10_000_000 {
		t.Fatalf("%+v", b.short)
	}
}

// The same through ACKs: the loss is answered a round trip after it, once.
func TestBBRLossIsAnsweredAtTheEndOfTheRound(t *testing.T) {
	b := cruising()
	b.ack(Second, func(a *sample) { a.lost = losses{bytes: 1000, runs: 1, worst: lostRate{1000, 200_000, 1000, false}} })
	at := b.delivered
	b.ack(Second, func(a *sample) { a.rate.priorDelivered, a.rate.delivered = at-1, 190_000 })
	if b.short.bw != unboundedRate || !b.latest.lost {
		t.Fatalf("%+v", b.short)
	}
	b.ack(Second, func(a *sample) { a.rate.priorDelivered, a.rate.delivered = at, 190_000 })
	// The highest rate of the round trip was the path's: only the window, of 402 kB, falls.
	if b.short.bw != 10_000_000 || b.short.inflight != 281_400 || b.latest.lost {
		t.Fatalf("%+v", b.short)
	}
	b.round(Second, func(a *sample) { a.rate.delivered = 100_000 })
	if b.short.bw != 10_000_000 {
		t.Fatalf("answered twice: %+v", b.short)
	}
}
