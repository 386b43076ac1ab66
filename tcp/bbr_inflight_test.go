package tcp

import "testing"

// How much was in flight where losses became too many
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.10.2).
func TestBBRInFlightAtLoss(t *testing.T) {
	for _, c := range []struct {
		r    lostRate
		want int
	}{
		// 2 % of 39 kB before the segment are 780 bytes, and 796 of both are 2 % of 39,796.
		{lostRate{lost: 1000, inFlight: 40_000, size: 1000}, 39_795},
		// 1000 of 99 kB were lost before: 980 more than the 2 % had been 1980, and 1000 of them are left.
		{lostRate{lost: 2000, inFlight: 100_000, size: 1000}, 100_000},
		{lostRate{lost: 2900, inFlight: 100_000, size: 1000}, 99_081},
		// Too many already before it.
		{lostRate{lost: 5000, inFlight: 100_000, size: 1000}, 99_000},
	} {
		if got := c.r.inFlightAtLoss(); got != c.want {
			t.Errorf("%+v: %d, should be %d", c.r, got, c.want)
		}
	}
}

// heavy is a sample that shows that 3000 bytes of those sent with so many in flight are lost.
func heavy(inFlight int, appLimited bool) func(*sample) {
	return func(a *sample) {
		a.lost = losses{bytes: 3000, runs: 3, worst: lostRate{lost: 3000, inFlight: inFlight, size: 1000, appLimited: appLimited}}
		a.inFlight = 290_000
		a.rate.lost, a.rate.txInFlight = 3000, 0
	}
}

// Too much loss ends a probe: what was in flight when it became too much is the bound, or 0.7 of
// what should be. It is asked once in a probe.
func TestBBRTooHigh(t *testing.T) {
	b := probing()
	b.ack(Second, heavy(149_000, false))
	wantMode(t, b, bbrDown)
	if b.long != 148_000+48_000/49 || b.cycle.probing || !b.cycle.tooHigh || b.saved.mode != bbrUp || !b.saved.moved {
		t.Fatalf("bound %d, %+v", b.long, b.cycle)
	}
	long := b.long
	if b.ack(Second, heavy(100_000, false)); b.long != long {
		t.Fatalf("bound %d: fell twice in a probe", b.long)
	}

	b = probing()
	if b.ack(Second, heavy(100_000, false)); b.long != 140_000 { // 0.7 of 200 kB
		t.Fatalf("bound %d", b.long)
	}
	b = probing()
	if b.ack(Second, heavy(100_000, true)); b.mode != bbrDown || b.long != 300_000 {
		t.Fatalf("%v, bound %d by a writer that had nothing", b.mode, b.long)
	}
	b = probing()
	if b.ack(Second, heavy(150_000, false)); b.mode != bbrUp || b.long != 300_000 {
		t.Fatalf("%v, bound %d by two percent", b.mode, b.long)
	}
	b = probing()
	if b.ack(Second, func(a *sample) { heavy(150_000, false)(a); a.sackOK = false }); b.mode != bbrDown || b.long == 300_000 {
		t.Fatalf("%v, bound %d: any loss is too much without SACK", b.mode, b.long)
	}
	b = cruising()
	if b.ack(Second, heavy(100_000, false)); b.long != unbounded {
		t.Fatalf("bound %d while cruising", b.long)
	}
	// In refill nothing is to be ended, but the bound falls.
	b = probing()
	b.mode = bbrRefill
	if b.ack(Second, heavy(100_000, false)); b.mode != bbrRefill || b.long != 140_000 {
		t.Fatalf("%v, bound %d", b.mode, b.long)
	}
}

// What was in flight without too much loss is safe, in any state.
func TestBBRBoundFollowsWhatIsSafe(t *testing.T) {
	b := cruising()
	b.long = 200_000
	b.ack(Second, func(a *sample) { a.rate.txInFlight = 230_000; a.rate.lost = 4600 })
	if b.long != 230_000 {
		t.Fatalf("bound %d", b.long)
	}
	b.ack(Second, func(a *sample) { a.rate.txInFlight = 250_000; a.rate.lost = 5001 })
	b.ack(Second, func(a *sample) { a.rate.txInFlight = 250_000; a.rate.lost = 1; a.sackOK = false })
	b.ack(Second, func(a *sample) { a.rate.txInFlight = 100_000 })
	if b.long != 230_000 {
		t.Fatalf("bound %d", b.long)
	}
	b = starting()
	b.long = 1000
	if b.ack(Second, nil); b.long != 1000 {
		t.Fatalf("bound %d in startup", b.long)
	}
}

// In up the bound grows while it limits: by 1 segment in the first round trip, then by 2, 4, 8
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.3.5).
func TestBBRBoundGrows(t *testing.T) {
	b := probing()
	b.cycle = bbrCycle{probing: true}
	b.cwnd = 300_000
	b.raiseSlope()
	grown := 0
	for n := range 6 {
		before := b.long
		b.rounds.start = n > 0
		for range 300 { // 1000 bytes each
			b.cwnd = b.long
			b.raiseLong(&sample{delivered: b.cwnd / 300, limited: true})
			b.rounds.start = false
		}
		grown = (b.long - before) / 1000
		if want := 1 << n; grown < want-1-want/8 || grown > want+want/8 {
			t.Fatalf("round trip %d: %d segments, should be about %d", n, grown, want)
		}
	}
	long := b.long
	b.cwnd = long
	if b.raiseLong(&sample{delivered: 1 << 20}); b.long != long {
		t.Error("it grew, and the window was not full")
	}
	b.cwnd = long - 1
	if b.raiseLong(&sample{delivered: 1 << 20, limited: true}); b.long != long {
		t.Error("it grew, and a lesser window was what limited")
	}
}

// No step is less than a segment's worth of ACKs.
func TestBBRSlopeIsBounded(t *testing.T) {
	b := probing()
	for range 100 {
		b.raiseSlope()
	}
	if b.cycle.perStep != 1000 || b.cycle.upRounds != 30 {
		t.Fatalf("%+v", b.cycle)
	}
}

// 15 % of the bound are for others, at least a segment, and never does that leave less than four.
func TestBBRHeadroom(t *testing.T) {
	b := cruising()
	for _, c := range []struct{ long, want int }{{unbounded, unbounded}, {200_000, 170_000}, {6000, 5000}, {4500, 4000}, {1000, 4000}} {
		if b.long = c.long; b.headroom() != c.want {
			t.Errorf("of %d: %d, should be %d", c.long, b.headroom(), c.want)
		}
	}
}
