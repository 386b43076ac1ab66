package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// What limited transmit sent does not count in the flight that is halved
// (https://www.rfc-editor.org/rfc/rfc5681#section-3.2, step 2).
func TestRecoveryThresholdWithoutLimitedTransmit(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	h.write(30 * mss)
	h.wantData(0, 10*mss)
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 2 * mss})
	h.wantData(10*mss, 11*mss)
	h.ack(0, [2]int{mss, 3 * mss})
	h.wantData(11*mss, 12*mss)
	h.ack(0, [2]int{mss, 4 * mss})
	h.want(1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.Ssthresh != 5*mss || st.Phase != "recovery" {
		t.Fatalf("%+v", st)
	}
	h.ack(12 * mss)
	h.out = nil
}

// repair answers everything that a connection sends: segments of the first flight in
// lost are gone once, the rest arrives after a millisecond, one ACK each. It returns
// the most that one ACK let go, and how much was sent in recovery in all.
func (h *harness) repair(lost map[int]bool) (burst, sent int) {
	h.t.Helper()
	have := map[int]bool{}
	una := 0
	arrive := func(k int) {
		have[k] = true
		for have[una] {
			una++
		}
		before := len(h.out)
		top := k + 1
		for have[top] {
			top++
		}
		low := k
		for low > una && have[low-1] {
			low--
		}
		if k < una {
			h.ack(una * mss)
		} else {
			h.ack(una*mss, [2]int{low * mss, top * mss})
		}
		burst = max(burst, len(h.out)-before)
		sent += len(h.out) - before
	}
	flight := h.c.flightSize() / mss
	for k := range flight {
		if !lost[k] {
			arrive(k)
		}
	}
	for n := 0; len(h.out) > 0 || h.c.Unacked() > 0; n++ {
		if n > 1000 {
			h.t.Fatalf("does not end: %+v", h.c.Stats())
		}
		out := h.out
		h.out = nil
		h.advance(Millisecond)
		for _, s := range out {
			arrive((Seq(s.seg.Seq).Sub(testISS) - 1) / mss)
		}
	}
	return burst, sent
}

// Proportional rate reduction: however many segments of a window are lost, one recovery
// repairs them, and no ACK lets more go than what it delivered and a segment
// (https://www.rfc-editor.org/rfc/rfc9937#section-6.2).
func TestRecoveryBounds(t *testing.T) {
	for _, first := range []int{1, 2, 5, 10, 19} {
		for _, last := range []int{1, 2, 5, 10, 20, 30, 36} {
			h := flightOf(t, 40, nil)
			h.c.cc.(*reno).cwnd = 40 * mss
			lost := map[int]bool{}
			for k := first; k < first+last && k < 37; k++ {
				lost[k] = true
			}
			n := len(lost)
			burst, sent := h.repair(lost)
			st := h.c.Stats()
			if st.Recoveries != 1 || st.Timeouts != 0 || sent != n {
				t.Errorf("%d lost from %d on: sent %d, %d recoveries, %d timeouts", n, first, sent, st.Recoveries, st.Timeouts)
			}
			if burst > 3 {
				t.Errorf("%d lost from %d on: an ACK let %d segments go", n, first, burst)
			}
			if want := (40 - first) / 2 * mss; st.Ssthresh != want || st.Cwnd < want || st.Cwnd > want+mss || st.Phase != "open" {
				t.Errorf("%d lost from %d on: cwnd %d, ssthresh %d, want %d", n, first, st.Cwnd, st.Ssthresh, want)
			}
		}
	}
}

// The window falls to the threshold along the recovery, and not at once: with one
// segment lost every second ACK lets one go.
func TestRecoveryIsProportional(t *testing.T) {
	h := flightOf(t, 40, nil)
	h.c.cc.(*reno).cwnd = 40 * mss
	h.write(60 * mss)
	h.wantNothing()
	out := 0
	for k := 2; k <= 40; k++ {
		h.ack(0, [2]int{mss, k * mss})
		out += len(h.out)
		h.out = nil
		if st := h.c.Stats(); st.Phase == "recovery" && out > 4 && (st.InFlight > 40*mss || st.InFlight < 19*mss) {
			t.Fatalf("%d ACKs: %+v", k, st)
		}
	}
	st := h.c.Stats()
	if st.InFlight < 19*mss || st.InFlight > 21*mss || out < 19 || out > 22 {
		t.Fatalf("%d sent: %+v", out, st)
	}
	h.ack(h.c.sndNxt.Sub(testISS) - 1)
	if st := h.c.Stats(); st.Ssthresh != 20*mss || st.Cwnd > 21*mss || st.Phase != "open" {
		t.Fatalf("cwnd %d, phase %s", st.Cwnd/mss, st.Phase)
	}
	h.out = nil
}

// A timeout in the middle of a recovery ends it.
func TestRecoveryTimeout(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.ack(0, [2]int{2 * mss, 6 * mss})
	h.want(1, mss, wire.FlagACK)
	h.advance(300 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.Phase != "loss" || st.Cwnd != mss || st.Timeouts != 1 {
		t.Fatalf("%+v", st)
	}
	h.ack(mss)
	h.want(mss+1, mss, wire.FlagACK)
	h.want(6*mss+1, mss, wire.FlagACK) // what was SACKed is not sent again
	h.ack(10 * mss)
	if st := h.c.Stats(); st.Phase != "open" {
		t.Fatalf("%+v", st)
	}
}

// A loss behind what was out when the recovery began is another one.
func TestRecoverySecondWindow(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.ack(0, [2]int{mss, 9 * mss})
	h.want(1, mss, wire.FlagACK)
	h.write(6 * mss)
	h.out = nil
	h.advance(Millisecond)
	h.ack(10 * mss)
	h.out = nil
	h.advance(Millisecond)
	h.ack(10*mss, [2]int{11 * mss, 15 * mss})
	h.want(10*mss+1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.Recoveries != 2 {
		t.Fatalf("%+v", st)
	}
	h.ack(16 * mss)
	h.out = nil
}

// Of several timeouts in a row only the first halves
// (https://www.rfc-editor.org/rfc/rfc5681#section-3.1).
func TestRecoveryTimeoutsHalveOnce(t *testing.T) {
	h := flightOf(t, 30, nil)
	h.wantTailProbe(29*mss, mss)
	for range 3 {
		h.advance(h.c.Deadline() - h.now)
		h.want(1, mss, wire.FlagACK)
		if st := h.c.Stats(); st.Ssthresh != 15*mss || st.Cwnd != mss {
			t.Fatalf("ssthresh %d, cwnd %d", st.Ssthresh/mss, st.Cwnd/mss)
		}
	}
	h.ack(30 * mss)
}

// What is lost beyond a window that shrank waits for the window, but for the first.
func TestRecoveryInsideTheWindow(t *testing.T) {
	h := flightOf(t, 20, func(_ *Config, h *harness) { h.opts.WScale = 0 })
	h.wnd = 2 * mss
	h.ack(0, [2]int{4 * mss, 20 * mss})
	h.wantData(0, 2*mss)
	h.wantNothing()
	h.wnd = 0
	h.ack(2*mss, [2]int{4 * mss, 20 * mss})
	h.want(2*mss+1, mss, wire.FlagACK)
	h.wantNothing()
	h.wnd = 65535
	h.ack(3*mss, [2]int{4 * mss, 20 * mss})
	h.want(3*mss+1, mss, wire.FlagACK)
	h.ack(20 * mss)
}

// Where the kernel holds everything that is lost, a turn looks at a few and not at all.
func TestRecoveryHeldIsNotWalked(t *testing.T) {
	b := newBenchFlight(t, 512, true)
	b.now += Millisecond
	b.ack(0, [2]int{509, 512})
	for range 3 {
		b.transmit(true)
	}
	if st := b.c.Stats(); st.Lost != 509 || st.RetransmitsHeld != heldScan {
		t.Fatalf("%d lost, looked at %d", st.Lost, st.RetransmitsHeld)
	}
	for _, tx := range b.held { // in any case all go when they may
		b.complete(tx)
	}
	b.held = nil
	for k := 0; b.c.Stats().Retransmits < 509; k++ {
		if k > 2000 {
			t.Fatalf("%+v", b.c.Stats())
		}
		b.now += Millisecond
		b.transmit(false)
		b.ack(min(k, 508), [2]int{509, 512})
	}
}
