package tcp

import "testing"

// starting is a BBR in its first round trips, over the path of cruising.
func starting() *bbr {
	b := cruising()
	b.mode, b.pipe, b.rounds.count = bbrStartup, bbrPipe{}, 10
	return b
}

// The pipe is full after three round trips in which the delivery rate did not grow by a
// quarter; those of a writer that has nothing don't count
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.1.2).
func TestBBRPlateau(t *testing.T) {
	var p bbrPipe
	for i, c := range []struct {
		bw     int
		idle   bool
		base   uint64
		rounds int
	}{
		{1000, false, 1000, 0},
		{1249, false, 1000, 1},
		{1250, false, 1250, 0},
		{1300, false, 1250, 1},
		{9000, true, 1250, 1},
		{1200, false, 1250, 2},
		{1500, false, 1250, 3},
		{9000, false, 1250, 3},
	} {
		p.update(rateOf(c.bw, c.idle))
		if full := c.rounds == 3; p.bw != c.base || p.rounds != c.rounds || p.now != full || p.reached != full {
			t.Fatalf("step %d: %+v", i, p)
		}
	}
	if p.reset(700); p != (bbrPipe{bw: 700, reached: true}) {
		t.Fatalf("%+v", p)
	}
}

// Startup ends with the plateau, and only round trips count, not ACKs.
func TestBBRStartupEndsOnPlateau(t *testing.T) {
	b := starting()
	b.round(Second, nil)
	for i := range 3 {
		for range 5 {
			b.ack(Second, nil)
		}
		wantMode(t, b, bbrStartup)
		b.round(Second, func(a *sample) { a.inFlight = 300_000 })
		if b.pipe.rounds != i+1 {
			t.Fatalf("%d round trips, %+v", i+1, b.pipe)
		}
	}
	wantMode(t, b, bbrDrain)
	if b.rate != 4_950_000 || b.pipe.drained != 14 || !b.pipe.reached {
		t.Fatalf("rate %d, %+v", b.rate, b.pipe)
	}
}

// lossy is a round trip in fast recovery at whose end runs of segments are known to be lost, lost
// bytes of the 100 kB that were in flight with the segment ACKed last.
func (b *bbr) lossy(runs, lost int, edit func(*sample)) {
	b.ack(Second, func(a *sample) {
		a.phase, a.lost = phaseRecovery, losses{bytes: lost, runs: runs, worst: lostRate{lost, 100_000, 1000, false}}
		if edit != nil {
			edit(a)
		}
	})
	b.ack(Second, func(a *sample) {
		a.phase, a.inFlight = phaseRecovery, 300_000
		a.rate.priorDelivered, a.rate.lost, a.rate.txInFlight, a.rate.delivered = b.latest.end, lost, 100_000, 230_000
		if edit != nil {
			edit(a)
		}
	})
}

// Startup ends with a round trip in recovery in which more than 2 % was lost in at least six places
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.1.3). What was delivered in that round trip is what
// may be in flight.
func TestBBRStartupEndsOnHighLoss(t *testing.T) {
	b := starting()
	b.lossy(6, 2001, nil)
	wantMode(t, b, bbrDrain)
	if b.long != 230_000 || !b.pipe.reached || !b.saved.moved || b.saved.mode != bbrStartup {
		t.Fatalf("%+v, bound %d", b.saved, b.long)
	}
	for name, c := range map[string]struct {
		runs, lost int
		edit       func(*sample)
		mode       bbrMode
	}{
		"five places":  {5, 9000, nil, bbrStartup},
		"two percent":  {9, 2000, nil, bbrStartup},
		"no recovery":  {9, 9000, func(a *sample) { a.phase = phaseOpen }, bbrStartup},
		"a timeout":    {9, 9000, func(a *sample) { a.phase = phaseLoss }, bbrStartup},
		"without SACK": {1, 1, func(a *sample) { a.sackOK = false; a.inFlight = 300_000 }, bbrDrain},
	} {
		b := starting()
		if b.lossy(c.runs, c.lost, c.edit); b.mode != c.mode {
			t.Errorf("%s: %v", name, b.mode)
		}
	}
	// Places of one round trip don't count in the next.
	b = starting()
	b.lossy(5, 9000, nil)
	b.lossy(1, 9000, nil)
	wantMode(t, b, bbrStartup)
}

// The bound is never below what the path holds.
func TestBBRHighLossLeavesTheBDP(t *testing.T) {
	b := starting()
	b.latest.bw, b.latest.inflight = 1, 1
	b.lossy(6, 2001, func(a *sample) { a.rate.delivered = 10 })
	if b.long != 200_000 {
		t.Fatalf("bound %d", b.long)
	}
}

// Drain ends when what is in flight is what the path holds, or else in the fourth round trip
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.2).
func TestBBRDrainEnds(t *testing.T) {
	b := starting()
	b.mode, b.pipe = bbrDrain, bbrPipe{reached: true, drained: 10}
	b.ack(Second, func(a *sample) { a.inFlight = 200_001 })
	wantMode(t, b, bbrDrain)
	b.ack(Second, func(a *sample) { a.inFlight = 200_000 })
	wantMode(t, b, bbrCruise) // down is over at once

	b = starting()
	b.mode, b.pipe = bbrDrain, bbrPipe{reached: true, drained: 10}
	for range 3 {
		b.round(Second, func(a *sample) { a.inFlight = 300_000 })
		wantMode(t, b, bbrDrain)
	}
	b.round(Second, func(a *sample) { a.inFlight = 300_000 })
	wantMode(t, b, bbrDown)
}
