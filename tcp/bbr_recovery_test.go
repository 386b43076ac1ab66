package tcp

import "testing"

// Recovery ends with the window that it began with; the model bounds it
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.4.4).
func TestBBRWindowAfterRecovery(t *testing.T) {
	b := cruising()
	b.cwnd = 390_000
	b.save()
	b.onLoss(Second, 200_000)
	if b.cwnd != 390_000 || !b.latest.lost {
		t.Fatalf("window %d, %+v", b.cwnd, b.latest)
	}
	b.cwnd = 50_000
	b.ack(Second, func(a *sample) { a.phase = phaseRecovery })
	if b.cwnd != 51_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.ack(Second, nil)
	if b.cwnd != 391_000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.cwnd = 50_000
	if b.ack(Second, nil); b.cwnd != 51_000 {
		t.Fatalf("window %d: restored twice", b.cwnd)
	}
}

// After a timeout one segment goes, and another timeout does not make the last window forgotten. An ACK
// of nothing new lets no more go.
func TestBBRTimeout(t *testing.T) {
	b := cruising()
	b.save()
	b.onTimeout(Second, 200_000, true)
	b.onTimeout(2*Second, 200_000, false)
	if b.cwnd != 1000 || b.prior != 400_000 {
		t.Fatalf("window %d, before %d", b.cwnd, b.prior)
	}
	b.ack(2*Second, func(a *sample) {
		a.phase, a.acked, a.delivered, a.rate = phaseLoss, 0, 0, rateSample{total: b.delivered}
	})
	if b.cwnd != 1000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.ack(2*Second, func(a *sample) { a.phase = phaseLoss })
	if b.cwnd != 4000 {
		t.Fatalf("window %d", b.cwnd)
	}
	b.ack(2*Second, nil)
	if b.cwnd < 400_000 {
		t.Fatalf("window %d", b.cwnd)
	}
}

// The window of a recovery or of probe_rtt is no last good one; a greater one is.
func TestBBRPriorWindow(t *testing.T) {
	b := cruising()
	for _, c := range []struct {
		mode  bbrMode
		phase phase
		cwnd  int
		want  int
	}{
		{bbrCruise, phaseOpen, 300_000, 300_000},
		{bbrCruise, phaseOpen, 200_000, 200_000},
		{bbrProbeRTT, phaseOpen, 100_000, 200_000},
		{bbrCruise, phaseRecovery, 150_000, 200_000},
		{bbrCruise, phaseLoss, 250_000, 250_000},
	} {
		b.mode, b.phase, b.cwnd = c.mode, c.phase, c.cwnd
		if b.savePrior(); b.prior != c.want {
			t.Fatalf("%+v: %d", c, b.prior)
		}
	}
}

// A needless recovery leaves bounds as they were, or higher, and takes up what it ended
// (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.5.11.2).
func TestBBRUndo(t *testing.T) {
	b := cruising()
	b.short, b.long, b.cwnd = bbrShort{9_000_000, 300_000}, 350_000, 390_000
	b.save()
	b.onLoss(Second, 200_000)
	b.short, b.long, b.cwnd = bbrShort{5_000_000, 310_000}, 200_000, 4000
	b.pipe.now, b.pipe.rounds, b.pipe.bw = true, 3, 5
	b.undo(Second)
	if b.short != (bbrShort{9_000_000, 310_000}) || b.long != 350_000 || b.cwnd != 390_000 || b.latest.lost || b.pipe != (bbrPipe{reached: true, drained: b.pipe.drained}) {
		t.Fatalf("%+v", b)
	}
	wantMode(t, b, bbrCruise)
}

func TestBBRUndoOfWhatItEnded(t *testing.T) {
	b := starting()
	b.save()
	b.lossy(6, 2001, nil)
	wantMode(t, b, bbrDrain)
	b.undo(Second)
	wantMode(t, b, bbrStartup)
	if b.pipe.reached || b.long != unbounded {
		t.Fatalf("bound %d, %+v", b.long, b.pipe)
	}

	b = probing()
	b.save()
	b.ack(Second, heavy(100_000, false))
	wantMode(t, b, bbrDown)
	b.undo(Second)
	wantMode(t, b, bbrRefill)
	if b.long != 300_000 {
		t.Fatalf("bound %d", b.long)
	}
	b.mode = bbrCruise
	b.undo(Second) // there is nothing more to take up
	wantMode(t, b, bbrCruise)

	// A probe_rtt meanwhile is held to its end, and then leads back.
	b = starting()
	b.save()
	b.lossy(6, 2001, nil)
	b.mode = bbrProbeRTT
	b.undo(Second)
	wantMode(t, b, bbrProbeRTT)
	if b.pipe.reached {
		t.Fatal("the pipe is still full")
	}
	b = probing()
	b.save()
	b.ack(Second, heavy(100_000, false))
	b.mode = bbrProbeRTT
	b.undo(Second)
	wantMode(t, b, bbrProbeRTT)
}

// A connection that takes a recovery back has its window again.
func TestBBRUndoByTimestamp(t *testing.T) {
	h := overtaken(t, func(c *Config, _ *harness) { c.Congestion = BBR; c.InitialCwnd = 12 })
	b := h.c.cc.(*bbr)
	b.cwnd = 1000
	h.advance(Millisecond)
	h.ackEcho(Second+Millisecond, 5*mss)
	if st := h.c.Stats(); st.SpuriousRecoveries != 1 || st.Cwnd < 12*mss || st.Phase != "open" || b.latest.lost {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(10 * mss)
}

// A mark is a loss without a recovery: it bounds the model at the end of the round trip, and ends at once what
// looks for more. The window that an earlier recovery began with is not taken up again.
func TestBBRMark(t *testing.T) {
	b := cruising()
	b.prior = 900_000
	b.onCE(Second, 200_000)
	if !b.latest.lost || b.mode != bbrCruise || b.long != unbounded && b.long < 200_000 {
		t.Fatalf("%v, bound %d, %+v", b.mode, b.long, b.latest)
	}
	b.ack(Second, func(a *sample) { a.phase = phaseCWR })
	if b.ack(Second, nil); b.cwnd > 410_000 {
		t.Fatalf("window %d", b.cwnd)
	}

	b = starting()
	b.latest.inflight = 230_000
	b.onCE(Second, 200_000)
	b.ack(Second, func(a *sample) { a.phase, a.inFlight = phaseCWR, 300_000 })
	wantMode(t, b, bbrDrain)
	if b.long != 230_000 {
		t.Fatalf("bound %d", b.long)
	}

	b = probing()
	b.onCE(Second, 250_000)
	wantMode(t, b, bbrDown)
	if b.long != 250_000 || b.cycle.probing {
		t.Fatalf("bound %d, %+v", b.long, b.cycle)
	}
}
