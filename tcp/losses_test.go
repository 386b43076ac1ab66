package tcp

import "testing"

func lostSlot(seq Seq, n uint32, was uint64, inFlight int) *slot {
	return &slot{seq: seq, length: n, xmits: 1, rate: rateStamp{lost: was, inFlight: inFlight}}
}

// What is lost adds up, in runs of segments that follow each other, and is told once.
func TestLossesAreToldOnce(t *testing.T) {
	var l lossState
	for _, seq := range []Seq{0, 1000, 2000, 5000, 9000, 10_000} {
		l.lose(lostSlot(seq, 1000, 0, 1_000_000))
	}
	if n := l.tell(); n.bytes != 6000 || n.runs != 3 || l.lost != 6000 {
		t.Fatalf("%+v, %d in all", n, l.lost)
	}
	if n := l.tell(); n != (losses{}) {
		t.Fatalf("told twice: %+v", n)
	}
	// A run does not go on from what was told before.
	l.lose(lostSlot(11_000, 1000, 6000, 1_000_000))
	if n := l.tell(); n.bytes != 1000 || n.runs != 1 {
		t.Fatalf("%+v", n)
	}
}

// The worst is the first segment with which more than one in fifty was lost: of 100 kB in
// flight the third of a thousand bytes each. Where none is, it is the last.
func TestLossesWorst(t *testing.T) {
	var l lossState
	l.lost = 70_000 // long ago
	for i := range 2 {
		l.lose(lostSlot(Seq(i*1000), 1000, 70_000, 100_000+i))
	}
	if w := l.news.worst; w != (lostRate{lost: 2000, inFlight: 100_001, size: 1000}) || tooMuch(w.lost, w.inFlight) {
		t.Fatalf("%+v", w)
	}
	l.lose(lostSlot(2000, 1000, 70_000, 100_002))
	l.lose(lostSlot(3000, 1000, 70_000, 100_003))
	if w := l.tell().worst; w != (lostRate{lost: 3000, inFlight: 100_002, size: 1000}) {
		t.Fatalf("%+v", w)
	}
	s := lostSlot(4000, 1000, 74_000, 10_000)
	s.rate.appLimited = true
	l.lose(s)
	if w := l.tell().worst; w != (lostRate{lost: 1000, inFlight: 10_000, size: 1000, appLimited: true}) {
		t.Fatalf("%+v", w)
	}
}

func TestTooMuchIsMoreThanTwoPercent(t *testing.T) {
	for _, c := range []struct {
		lost, inFlight int
		want           bool
	}{{0, 0, false}, {0, 1000, false}, {2000, 100_000, false}, {2001, 100_000, true}, {1, 49, true}} {
		if tooMuch(c.lost, c.inFlight) != c.want {
			t.Errorf("%d of %d: not %v", c.lost, c.inFlight, c.want)
		}
	}
}

// What is sent again because the path carries less than it was is no loss that anything
// follows from.
func TestLossesByPathMTUAreNone(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.ack(0, [2]int{3 * mss, 4 * mss})
	h.advance(10 * Millisecond)
	h.out = nil
	h.c.rate.losses.tell()
	before := h.c.rate.losses
	lost := h.c.Stats().Lost
	h.c.SetMTU(1000)
	if h.c.rate.losses != before || h.c.Stats().Lost == lost {
		t.Fatalf("%+v, was %+v", h.c.rate.losses, before)
	}
	h.transmit()
	h.out = nil
	h.ack(4 * mss)
}

// What is found lost is counted for congestion control.
func TestLossesOfTheFlight(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(0, [2]int{2 * mss, 6 * mss})
	h.wantData(0, 2*mss)
	if h.c.rate.losses.lost != 2*mss || h.c.rate.delivered != 4*mss {
		t.Fatalf("%d lost, %d delivered", h.c.rate.losses.lost, h.c.rate.delivered)
	}
	h.ack(6 * mss)
}
