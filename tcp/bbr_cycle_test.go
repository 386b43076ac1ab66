package tcp

import "testing"

// One turn of the cycle: down until the queue is gone, cruise until it is time, refill for a round trip,
// up until the rate does not grow any more
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.3).
func TestBBRCycle(t *testing.T) {
	b := cruising()
	b.enterDown(Second)
	long := func(a *sample) { a.inFlight = 200_001 }
	b.ack(Second, long)
	wantMode(t, b, bbrDown)
	if b.rate != 8_910_000 { // 0.9 of the rate, less one percent
		t.Fatalf("rate %d", b.rate)
	}
	b.ack(Second, nil)
	wantMode(t, b, bbrCruise)

	b.short = bbrShort{5_000_000, 150_000}
	end := b.cycle.stamp + b.cycle.wait
	b.ack(end, nil)
	wantMode(t, b, bbrCruise)
	b.ack(end+1, nil)
	wantMode(t, b, bbrRefill)
	if b.rate != 9_900_000 || b.short != (bbrShort{unboundedRate, unbounded}) {
		t.Fatalf("rate %d, %+v", b.rate, b.short)
	}
	b.ack(end+1, nil)
	wantMode(t, b, bbrRefill)
	b.round(end+2, nil)
	wantMode(t, b, bbrUp)
	if b.rate != 12_375_000 || !b.cycle.probing || b.pipe.bw != 10_000_000 {
		t.Fatalf("rate %d, %+v", b.rate, b.cycle)
	}
	for range 3 {
		wantMode(t, b, bbrUp)
		b.round(end+3, long)
	}
	wantMode(t, b, bbrDown)
	if b.cycle.stamp != end+3 || b.cycle.acks != acksStopping || b.cycle.tooHigh {
		t.Fatalf("%+v", b.cycle)
	}
	// A round trip later the last ACKs of the probe are in: what was measured before it is forgotten.
	b.bandwidth = bbrBandwidth{20_000_000, 10_000_000}
	b.round(end+4, long)
	if b.bw() != 10_000_000 || b.cycle.probing || b.cycle.acks != acksInit {
		t.Fatalf("%v, %+v", b.bandwidth, b.cycle)
	}
}

// With a bound, down goes on until there is room below it for others.
func TestBBRDownLeavesHeadroom(t *testing.T) {
	b := cruising()
	b.long = 200_000
	b.enterDown(Second)
	b.ack(Second, func(a *sample) { a.inFlight = 170_001; a.rate.txInFlight = 0 })
	wantMode(t, b, bbrDown)
	b.ack(Second, func(a *sample) { a.inFlight = 170_000; a.rate.txInFlight = 0 })
	wantMode(t, b, bbrCruise)
}

// Between probes there are two to three seconds, by chance, and never more round trips than Reno takes
// from one loss to the next: as many as segments in flight, at most 63
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.3.8).
func TestBBRWaits(t *testing.T) {
	b := cruising()
	least, most, odd := Duration(Never), Duration(0), 0
	for range 1000 {
		b.pickWait()
		least, most, odd = min(least, b.cycle.wait), max(most, b.cycle.wait), odd+b.cycle.rounds
		if b.cycle.rounds != b.cycle.rounds&1 {
			t.Fatalf("%d rounds", b.cycle.rounds)
		}
	}
	if least < 2*Second || least > 2010*Millisecond || most < 2990*Millisecond || most > 3*Second || odd < 400 || odd > 600 {
		t.Fatalf("from %d to %d ms, %d of 1000 begin with a round", least/Millisecond, most/Millisecond, odd)
	}
	for _, c := range []struct{ cwnd, rounds int }{{400_000, 63}, {63_000, 63}, {40_000, 40}} {
		b := cruising()
		b.cwnd = c.cwnd
		for n := 1; b.mode == bbrCruise; n++ {
			b.round(Second, func(a *sample) { a.delivered = 0 })
			if (b.mode == bbrCruise) != (n < c.rounds) {
				t.Fatalf("window %d: %v after %d round trips", c.cwnd, b.mode, n)
			}
		}
	}
}

// Chance comes from the seed alone.
func TestBBRChance(t *testing.T) {
	waits := func(seed uint64) (w [4]Duration) {
		b := &bbr{random: seed}
		b.start(Second, 1000, 10)
		for i := range w {
			b.pickWait()
			w[i] = b.cycle.wait
		}
		return w
	}
	if a, b := waits(1), waits(1); a != b || a == waits(2) || waits(0)[0] == waits(0)[1] {
		t.Fatalf("%v, %v, %v", waits(1), waits(2), waits(0))
	}
	// The first numbers of the generator's reference for seed 1234567.
	b := &bbr{random: 1234567}
	for i, want := range []uint64{6457827717110365317, 3203168211198807973, 9817491932198370423} {
		if got := b.chance(); got != want {
			t.Fatalf("number %d is %d", i, got)
		}
	}
}

// probing is a BBR in up, with a bound of 300 kB.
func probing() *bbr {
	b := cruising()
	b.long = 300_000
	b.enterUp(&rateSample{delivered: 200_000, interval: 20 * Millisecond})
	b.cycle.probing = true
	return b
}

// A bound that was too high last time ends the probe when it is reached, to be gone beyond at once if
// that was no more than the path takes (section 5.3.3.6).
func TestBBRProbesWithCaution(t *testing.T) {
	b := probing()
	b.cycle.tooHigh = true
	b.ack(Second, func(a *sample) { a.prior = 299_000 })
	wantMode(t, b, bbrUp)
	b.ack(Second, func(a *sample) { a.prior, a.inFlight = 299_001, 298_001 })
	wantMode(t, b, bbrDown)
	if !b.cycle.cautious || b.cycle.tooHigh {
		t.Fatalf("%+v", b.cycle)
	}
	b.ack(Second, func(a *sample) { a.inFlight = 298_000 })
	wantMode(t, b, bbrDown)
	b.round(Second, func(a *sample) { a.inFlight = 298_000 })
	wantMode(t, b, bbrRefill)
	if b.cycle.cautious {
		t.Fatal("cautious for ever")
	}

	// Where it was too high again nothing hurries.
	b = probing()
	b.cycle.tooHigh = true
	b.ack(Second, func(a *sample) { a.prior, a.inFlight = 299_500, 298_500 })
	b.cycle.tooHigh = true
	b.round(Second, func(a *sample) { a.inFlight = 298_000 })
	wantMode(t, b, bbrDown)

	// Without trouble last time the bound ends nothing.
	b = probing()
	b.ack(Second, func(a *sample) { a.prior = 320_000 })
	wantMode(t, b, bbrUp)
}

// While it is the bound that limits, a rate that does not grow means nothing.
func TestBBRProbeLimitedByItsBound(t *testing.T) {
	b := probing()
	for range 5 {
		b.cwnd = 300_000
		b.round(Second, func(a *sample) { a.limited = true; a.rate.txInFlight = 0; a.inFlight = 300_000 })
		wantMode(t, b, bbrUp)
		if b.pipe.rounds != 0 && b.cwnd >= b.long {
			t.Fatalf("%+v, window %d, bound %d", b.pipe, b.cwnd, b.long)
		}
		b.long = 300_000
	}
	for range 4 {
		b.round(Second, func(a *sample) { a.inFlight = 300_000 })
	}
	wantMode(t, b, bbrDown)
}
