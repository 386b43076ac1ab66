package tcp

import "testing"

// flight is n segments of 1000 bytes sent at the given moments, as the rate sees them.
func (r *rateState) send(now Time, seq Seq, inFlight int) *slot {
	s := &slot{seq: seq, length: 1000, sent: now, xmits: 1}
	r.stamp(now, &s.rate, inFlight+1000, inFlight == 0)
	return s
}

// What is sent at a rate and arrives at it is measured as it.
func TestRateOfSteadyDelivery(t *testing.T) {
	var r rateState
	var sent []*slot
	for i := range 80 {
		sent = append(sent, r.send(Time(i)*Millisecond+Second, Seq(i*1000), min(i, 20)*1000))
		if i < 20 {
			continue
		}
		var sm rateSample
		r.arrived(Second+Time(i)*Millisecond, sent[i-20], &sm)
		if r.finish(&sm, 0); i > 40 && (sm.perSecond() < 950_000 || sm.perSecond() > 1_050_000) {
			t.Fatalf("segment %d: %d bytes per second: %+v", i, sm.perSecond(), sm)
		}
	}
	if r.best < 950_000 || r.best > 1_050_000 {
		t.Fatalf("%d", r.best)
	}
}

// ACKs that come all at once are not a rate: what was sent in a millisecond took that long
// at least (the send rate bounds the ACK rate).
func TestRateOfCompressedAcks(t *testing.T) {
	var r rateState
	a, b := r.send(Second, 0, 0), r.send(Second+10*Millisecond, 1000, 1000)
	var one, two rateSample
	r.arrived(Second+20*Millisecond, a, &one)
	r.arrived(Second+20*Millisecond, b, &one)
	r.finish(&one, 0)
	if one.interval != 20*Millisecond || one.delivered != 2000 {
		t.Fatalf("%+v", one)
	}
	c := r.send(Second+21*Millisecond, 2000, 0)
	r.arrived(Second+21*Millisecond+Microsecond, c, &two)
	if r.finish(&two, Millisecond); two.interval != 0 || two.perSecond() != 0 {
		t.Fatalf("an interval shorter than any round trip is believed: %+v", two)
	}
}

// The sample is of the segment sent last, in whatever order they arrive.
func TestRateSampleIsOfTheLastSent(t *testing.T) {
	var r rateState
	a, b := r.send(Second, 0, 0), r.send(Second+Millisecond, 1000, 1000)
	r.losses.lost = 500
	var sm rateSample
	r.arrived(Second+9*Millisecond, b, &sm)
	r.arrived(Second+9*Millisecond, a, &sm)
	r.finish(&sm, 0)
	if sm.sent != Second+Millisecond || sm.txInFlight != 2000 || sm.lost != 500 || sm.total != 2000 {
		t.Fatalf("%+v", sm)
	}
}

// What is sent while the writer has nothing more is marked, until the lull is behind us;
// a marked sample counts only if it is faster than what is known.
func TestRateWriterLimited(t *testing.T) {
	h := flightOf(t, 2, nil)
	if h.c.rate.appLimited == 0 {
		t.Fatal("the writer has no more, and nothing is noted")
	}
	h.advance(2 * Millisecond)
	h.ack(2 * mss)
	best := h.c.Stats().Rate
	if best == 0 {
		t.Fatal("the first sample is not taken")
	}
	h.write(mss)
	h.wantData(2*mss, 3*mss)
	h.advance(50 * Millisecond)
	h.ack(3 * mss)
	if st := h.c.Stats(); st.Rate != best || st.Delivered != uint64(3*mss) {
		t.Fatalf("a slow sample of a writer that had nothing: %+v", st)
	}
}

// What fills the window is the path's limit, not the writer's.
func TestRateWindowLimited(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	h.write(20 * mss)
	h.wantData(0, 10*mss)
	h.ack(2 * mss) // what went before the writer came is behind us
	h.wantData(10*mss, 14*mss)
	if h.c.rate.appLimited != 0 {
		t.Fatal("taken for a writer that has nothing")
	}
	h.ack(14 * mss)
	h.out = nil
	if h.c.rate.appLimited == 0 {
		t.Fatal("the writer has nothing more, and the window has room")
	}
	h.ack(20 * mss)
}

// Room for one segment more is no limit, and where nothing waits it is a lull.
func TestWindowWithRoomForOne(t *testing.T) {
	h := flightOf(t, 63, nil)
	if h.c.cwndLimited || h.c.rate.appLimited != 63*mss {
		t.Errorf("limited %v, a lull until %d", h.c.cwndLimited, h.c.rate.appLimited)
	}
	h.ack(63 * mss)
	h = flightOf(t, 64, nil)
	if !h.c.cwndLimited || h.c.rate.appLimited > 1 {
		t.Errorf("limited %v, a lull until %d", h.c.cwndLimited, h.c.rate.appLimited)
	}
	h.ack(64 * mss)
}

// Each segment knows what was in flight with it.
func TestRateFlightIncludesTheSegment(t *testing.T) {
	h := flightOf(t, 3, nil)
	k := 0
	for i := h.c.q.head; i != none; i = h.c.q.slots[i].next {
		if k++; h.c.q.slots[i].rate.inFlight != k*mss {
			t.Errorf("segment %d: %d", k, h.c.q.slots[i].rate.inFlight)
		}
	}
	h.ack(3 * mss)
}
