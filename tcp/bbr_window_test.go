package tcp

import (
	"math"
	"math/big"
	"math/rand/v2"
	"testing"
)

func TestBytesIn(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		rate, d := r.Uint64()>>r.IntN(64), Duration(r.Uint64()>>(1+r.IntN(63)))
		want := new(big.Int).Mul(new(big.Int).SetUint64(rate), big.NewInt(int64(d)))
		want.Div(want, big.NewInt(int64(Second)))
		got := bytesIn(rate, d)
		if want.Cmp(big.NewInt(math.MaxInt/2)) < 0 && int64(got) != want.Int64() || want.BitLen() > 62 && got != math.MaxInt/2 {
			t.Fatalf("%d bytes per second in %d ns: %d, should be %v", rate, d, got, want)
		}
	}
}

// The pace begins with that of the initial window, as soon as there is a round-trip time
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.2).
func TestBBRInitialPace(t *testing.T) {
	b := &bbr{}
	b.start(Second, 1000, 10)
	if b.pacing(0) != 0 {
		t.Fatal("a pace without a round trip")
	}
	if got := b.pacing(20 * Millisecond); got != 1_385_000 { // 2.77 windows of 10 kB in 20 ms
		t.Fatalf("%d", got)
	}
	if got := b.pacing(10 * Millisecond); got != 1_385_000 {
		t.Fatalf("%d: not the model's", got)
	}
}

// The pace is a percent below the rate times its gain; in startup it only rises.
func TestBBRPace(t *testing.T) {
	b := starting()
	for _, c := range []struct {
		bw, rate, want uint64
		reached        bool
	}{
		{10_000_000, 1, 27_423_000, false}, // 2.77 * 0.99
		{10_000_000, 30_000_000, 30_000_000, false},
		{10_000_000, 30_000_000, 27_423_000, true},
		{0, 5, 5, false},
		{0, 5, 5, true}, // nothing is known: what was good enough to begin with
		{1, 5, 1, true},
	} {
		b.bandwidth, b.rate, b.pipe.reached = bbrBandwidth{c.bw, 0}, c.rate, c.reached
		if b.setRate(277); b.rate != c.want {
			t.Errorf("%+v: %d", c, b.rate)
		}
	}
}

// Without SACK the first loss ends Startup, perhaps before anything is known of the bandwidth: the first pace stays.
// At a byte per second what is sent next would be paid for in hours.
func TestBBRLossBeforeAnySample(t *testing.T) {
	b := starting()
	b.bandwidth, b.rate = bbrBandwidth{}, 5_000_000
	b.ack(Second, func(a *sample) {
		a.sackOK, a.phase, a.acked, a.inFlight, a.rate = false, phaseRecovery, 0, 300_000, rateSample{total: b.delivered}
		a.lost = losses{bytes: 1000, runs: 1, worst: lostRate{1000, 100_000, 1000, false}}
	})
	if !b.pipe.reached || b.rate != 5_000_000 {
		t.Fatalf("%v, full %v, %d bytes per second", b.mode, b.pipe.reached, b.rate)
	}
}

// The window grows by what is ACKed, up to twice what the path holds once that is known
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.4.6).
func TestBBRWindow(t *testing.T) {
	b := cruising()
	b.cwnd = 398_500
	b.setCwnd(1000)
	if b.cwnd != 399_500 {
		t.Fatalf("window %d", b.cwnd)
	}
	if b.setCwnd(1000); b.cwnd != 400_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.extra.bytes = 5000
	b.setCwnd(9000)
	if b.cwnd != 405_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.cwnd = 900_000
	b.setCwnd(0) // nothing arrived
	if b.cwnd != 900_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	if b.setCwnd(1); b.cwnd != 405_000 {
		t.Fatalf("window %d", b.cwnd)
	}

	b = starting() // it is not made smaller, and at first grows whatever the model says
	b.cwnd = 500_000
	if b.setCwnd(1000); b.cwnd != 500_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.delivered = 9999
	if b.setCwnd(1000); b.cwnd != 501_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.cwnd, b.bandwidth = 1000, bbrBandwidth{0, 1}
	if b.setCwnd(1); b.cwnd != 4000 {
		t.Fatalf("window %d: fewer than four segments", b.cwnd)
	}
}

// In up the window has a quarter more, and two segments, so that on the shortest path something more is sent.
func TestBBRWindowInUp(t *testing.T) {
	b := cruising()
	b.mode, b.cwnd = bbrUp, 900_000
	if b.setCwnd(1); b.cwnd != 452_000 {
		t.Fatalf("window %d", b.cwnd)
	}
}

// Bounds of the window by state
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.4.7).
func TestBBRBounds(t *testing.T) {
	b := cruising()
	b.long = 200_000
	for m, want := range map[bbrMode]int{bbrStartup: unbounded, bbrDrain: unbounded, bbrDown: 200_000, bbrCruise: 170_000,
		bbrRefill: 200_000, bbrUp: 200_000, bbrProbeRTT: 170_000} {
		b.short.inflight = unbounded
		if b.mode = m; b.bound() != want {
			t.Errorf("%v: %d", m, b.bound())
		}
		if b.short.inflight = 150_000; b.bound() != 150_000 {
			t.Errorf("%v: %d is not the short term's", m, b.bound())
		}
	}
	b.mode, b.short.inflight, b.cwnd = bbrCruise, 10, 400_000
	if b.setCwnd(0); b.cwnd != 4000 {
		t.Fatalf("window %d: fewer than four segments", b.cwnd)
	}
}

// What goes at once is a millisecond's worth, from two segments to 64 KiB; three of them are in
// flight at least.
func TestBBRQuantum(t *testing.T) {
	b := cruising()
	for rate, want := range map[uint64]int{1: 2000, 5_000_000: 5000, 1_000_000_000: 65536} {
		if b.rate = rate; b.quantum() != want || b.inflight(0) != max(3*want, 4000) || b.inflight(1<<20) != 1<<20 {
			t.Errorf("rate %d: %d at once, %d in flight", rate, b.quantum(), b.inflight(0))
		}
	}
}

// What arrives beyond what the rate explains is the degree of aggregation, the most of ten round trips
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.9).
func TestBBRExtra(t *testing.T) {
	b := cruising()
	b.extra.start = Second
	see := func(at Duration, n int) { b.updateExtra(&sample{now: Second + at, delivered: n}) }
	want := func(n int) {
		t.Helper()
		if b.extra.bytes != n {
			t.Fatalf("%d, should be %d: %+v", b.extra.bytes, n, b.extra)
		}
	}
	see(0, 30_000)
	want(30_000)
	see(Millisecond, 5000) // 35,000 in a millisecond of 10,000
	want(30_000)
	see(Millisecond, 20_000)
	want(45_000)
	see(6*Millisecond, 1000) // the pause has made up for it: anew
	if b.extra.start != Second+6*Millisecond || b.extra.delivered != 1000 {
		t.Fatalf("%+v", b.extra)
	}
	see(6*Millisecond, 0)
	b.rounds.count += 10
	see(9*Millisecond, 2000)
	want(45_000)
	b.rounds.count++
	see(10*Millisecond, 3000)
	want(3000)
	b.cwnd = 5000
	see(10*Millisecond, 500_000)
	want(5000)
	// In startup it is the most of one round trip.
	b.pipe.reached = false
	b.rounds.count += 2
	see(100*Millisecond, 1000)
	want(1000)
}
