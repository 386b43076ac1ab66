package tcp

import "testing"

// The least of ten seconds, in two halves: what five seconds did not show again is looked for
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.3.4.3).
func TestBBRLeastRoundTrip(t *testing.T) {
	b := &bbr{}
	b.start(Second, 1000, 10)
	see := func(now Time, rtt Duration) {
		b.updatePath(&sample{now: now, minRTT: 30 * Millisecond, rate: rateSample{rtt: rtt}})
	}
	want := func(rtt, delay Duration, expired bool) {
		t.Helper()
		if p := &b.path; p.rtt != rtt*Millisecond || p.delay != delay*Millisecond || p.expired != expired {
			t.Fatalf("%+v", *p)
		}
	}
	see(Second, 0) // no sample: the handshake's
	want(30, 30, false)
	see(2*Second, 25*Millisecond)
	want(25, 25, false)
	see(3*Second, 26*Millisecond)
	want(25, 25, false)
	see(7*Second, 27*Millisecond)
	want(25, 25, false)
	see(7*Second+1, 27*Millisecond)
	want(25, 27, true)
	see(9*Second, 40*Millisecond)
	want(25, 27, false)
	see(12*Second, 40*Millisecond)
	want(25, 27, false)
	see(12*Second+1, 0)
	want(27, 27, false) // ten seconds are over
	see(12*Second+2, 28*Millisecond)
	want(27, 28, true)
}

// probe_rtt: half of what the path holds is in flight, for 200 ms and a round trip from when it is;
// then the cycle begins anew with a cruise, and the next is due in five seconds.
func TestBBRProbeRTT(t *testing.T) {
	b := cruising()
	now := 6*Second + 1
	b.ack(6*Second, nil)
	wantMode(t, b, bbrCruise)
	b.ack(now, func(a *sample) { a.inFlight = 150_000 })
	wantMode(t, b, bbrProbeRTT)
	if b.cwnd != 100_000 || b.rate != 9_900_000 || b.dip.done != 0 || b.cycle.acks != acksStopping {
		t.Fatalf("window %d, rate %d, %+v", b.cwnd, b.rate, b.dip)
	}
	b.ack(now, func(a *sample) { a.inFlight = 100_001 })
	if b.dip.done != 0 {
		t.Fatal("begun with too much in flight")
	}
	few := func(a *sample) { a.inFlight = 100_000 }
	b.ack(now, few)
	if b.dip.done != now+200*Millisecond {
		t.Fatalf("%+v", b.dip)
	}
	b.ack(now+300*Millisecond, few)
	wantMode(t, b, bbrProbeRTT) // no round trip yet
	b.dip.done += 200 * Millisecond
	b.round(now+301*Millisecond, few)
	wantMode(t, b, bbrProbeRTT) // no 200 ms yet
	b.short = bbrShort{1, 1}
	b.ack(now+400*Millisecond+1, few)
	wantMode(t, b, bbrCruise)
	if p := &b.path; p.delayStamp != now+400*Millisecond+1 || b.cwnd < 400_000 || b.short.bw != unboundedRate || b.cycle.acks != acksStopping {
		t.Fatalf("%+v, window %d", *p, b.cwnd)
	}
}

// A probe_rtt before the pipe was ever full leads back to startup.
func TestBBRProbeRTTInStartup(t *testing.T) {
	b := starting()
	b.ack(6*Second+1, func(a *sample) { a.inFlight = 50_000 })
	wantMode(t, b, bbrProbeRTT)
	b.round(7*Second, func(a *sample) { a.inFlight = 50_000 })
	wantMode(t, b, bbrStartup)
}

// What is sent in probe_rtt says nothing of the bandwidth.
func TestBBRProbeRTTIsNoBandwidth(t *testing.T) {
	b := starting()
	b.ack(6*Second+1, func(a *sample) { a.inFlight = 150_000 })
	from, to := b.delivered, b.delivered+150_000
	b.mode = bbrStartup
	for _, c := range []struct {
		prior   uint64
		limited bool
	}{{from - 1, false}, {from, true}, {to, true}, {to + 1, false}} {
		b.bandwidth, b.rounds.end = bbrBandwidth{0, 10_000_000}, 1<<60
		b.pipe.bw = 1
		b.ack(6*Second+2, func(a *sample) {
			a.rate.priorDelivered = c.prior
			if b.dip.covers(c.prior) != c.limited {
				t.Errorf("sent at %d: not %v", c.prior, c.limited)
			}
		})
	}
	if (&bbrDip{}).covers(0) {
		t.Error("all is sent in probe_rtt before there was any")
	}
}

// A pause is as good as a probe_rtt, and one that is due when the writer comes back is over.
func TestBBRPauseInsteadOfProbeRTT(t *testing.T) {
	b := cruising()
	b.onRestart(7 * Second)
	b.ack(7*Second, nil)
	wantMode(t, b, bbrCruise)

	b = cruising()
	b.ack(6*Second+1, func(a *sample) { a.inFlight = 1000 })
	wantMode(t, b, bbrProbeRTT)
	b.onRestart(b.dip.done)
	wantMode(t, b, bbrProbeRTT)
	b.onRestart(b.dip.done + 1)
	wantMode(t, b, bbrCruise)
	if b.cwnd < 400_000 {
		t.Fatalf("window %d", b.cwnd)
	}
}

// Four segments stay in flight on any path.
func TestBBRProbeRTTFloor(t *testing.T) {
	b := cruising()
	if b.path.rtt = 700 * Microsecond; b.probeRTTCwnd() != 4000 {
		t.Fatalf("%d", b.probeRTTCwnd())
	}
	if b.path.rtt = 900 * Microsecond; b.probeRTTCwnd() != 4500 {
		t.Fatalf("%d", b.probeRTTCwnd())
	}
}
