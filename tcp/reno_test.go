package tcp

import (
	"math"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

func TestRenoSlowStart(t *testing.T) {
	var r reno
	r.start(0, 1000, 10)
	r.onAck(&sample{grow: 4000})
	if r.window() != 14000 || r.threshold() != math.MaxInt {
		t.Fatalf("%+v", r)
	}
}

// One segment per window that is ACKed, whatever the ACKs' sizes.
func TestRenoCongestionAvoidanceCountsBytes(t *testing.T) {
	for _, ack := range []int{10, 999, 1000, 2000, 10000} {
		r := reno{mss: 1000, cwnd: 10000, ssthresh: 10000}
		n := 0
		for ; n < 10000; n += ack {
			r.onAck(&sample{grow: ack})
		}
		if r.cwnd != 11000 {
			t.Errorf("ACKs of %d: window %d after %d bytes", ack, r.cwnd, n)
		}
	}
}

// What an ACK leaves over counts in the next window.
func TestRenoCreditIsKept(t *testing.T) {
	r := reno{mss: 1000, cwnd: 10000, ssthresh: 10000}
	for range 3 {
		r.onAck(&sample{grow: 7000})
	}
	if r.cwnd != 12000 || r.credit != 0 {
		t.Fatalf("%+v", r)
	}
}

// The ACK that leads past the threshold counts by its parts.
func TestRenoThresholdInTheMiddleOfAnAck(t *testing.T) {
	r := reno{mss: 1000, cwnd: 9000, ssthresh: 10000}
	r.onAck(&sample{grow: 3000})
	if r.cwnd != 10000 || r.credit != 2000 {
		t.Fatalf("%+v", r)
	}
}

func TestRenoLoss(t *testing.T) {
	r := reno{mss: 1000, cwnd: 20000, ssthresh: math.MaxInt, credit: 7}
	r.onLoss(0, 15000)
	if r.ssthresh != 7000 || r.cwnd != 20000 || r.credit != 0 {
		t.Fatalf("%+v", r)
	}
	if r.onLoss(0, 1000); r.ssthresh != 2000 {
		t.Fatalf("threshold %d: below two segments", r.ssthresh)
	}
	r.setWindow(10)
	if r.cwnd != 1000 {
		t.Fatalf("window %d: below one segment", r.cwnd)
	}
	if r.onRecovered(0); r.cwnd != 2000 {
		t.Fatalf("%+v", r)
	}
}

// A mark takes a fifth of the flight in congestion avoidance and leaves whole segments, but never less than two; in slow
// start it takes what a loss takes (https://www.rfc-editor.org/rfc/rfc8511#section-3).
func TestRenoMark(t *testing.T) {
	for _, c := range []struct{ ssthresh, flight, want int }{
		{5000, 10_000, 8000}, {5000, 10_999, 8000}, {5000, 11_249, 8000}, {5000, 11_250, 9000}, {5000, 9000, 7000},
		{5000, 3000, 2000}, {5000, 1000, 2000}, {math.MaxInt, 15_000, 7000}, {20_001, 15_000, 7000}, {20_000, 15_000, 12_000},
	} {
		r := reno{mss: 1000, cwnd: 20_000, ssthresh: c.ssthresh, credit: 7}
		if r.onCE(0, c.flight); r.ssthresh != c.want || r.cwnd != 20_000 || r.credit != 0 || !r.hy.done {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// The threshold falls at the first timeout of several, not at each.
func TestRenoTimeouts(t *testing.T) {
	r := reno{mss: 1000, cwnd: 20000, ssthresh: math.MaxInt}
	r.onTimeout(0, 16000, true)
	r.onTimeout(0, 1000, false)
	if r.ssthresh != 8000 || r.cwnd != 1000 {
		t.Fatalf("%+v", r)
	}
}

func TestRenoWindowIsBounded(t *testing.T) {
	r := reno{mss: 1000, cwnd: maxCwnd - 10, ssthresh: math.MaxInt}
	for range 10 {
		r.onAck(&sample{grow: 1 << 20})
	}
	if r.cwnd != maxCwnd {
		t.Fatalf("%+v", r)
	}
}

// After a pause the window begins again where a connection begins
// (https://www.rfc-editor.org/rfc/rfc5681#section-4.1), and slow start leads back.
func TestRenoRestartAfterIdle(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	n := 0
	for range 4 {
		h.write(20 * mss)
		h.advance(Millisecond)
		n = h.c.sndNxt.Sub(testISS) - 1
		h.ack(n)
	}
	h.advance(Millisecond)
	h.ack(80 * mss)
	h.out = nil
	cwnd := h.c.Stats().Cwnd
	if cwnd <= 20*mss {
		t.Fatalf("window %d", cwnd)
	}
	h.advance(150 * Millisecond) // less than the timeout
	h.write(mss)
	h.ack(81 * mss)
	if h.c.Stats().Cwnd < cwnd {
		t.Fatal("restarted too early")
	}
	h.advance(300 * Millisecond)
	h.write(30 * mss)
	if st := h.c.Stats(); st.Cwnd != 10*mss || st.InFlight != 10*mss {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(91 * mss)
	h.out = nil
	h.ack(111 * mss)
}

// avoidance is a connection in congestion avoidance, with a window of 5 segments and
// nothing out, after n bytes.
func avoidance(t *testing.T) (h *harness, n int) {
	t.Helper()
	h = flightOf(t, 10, nil)
	h.ack(0, [2]int{mss, 10 * mss})
	h.want(1, mss, wire.FlagACK)
	h.advance(Millisecond)
	h.ack(10 * mss)
	if st := h.c.Stats(); st.Phase != "open" || st.Cwnd != 5*mss || st.Ssthresh != 5*mss {
		t.Fatalf("%+v", st)
	}
	return h, 10 * mss
}

// A writer with exactly one window of memory has nothing waiting when the window is
// full: it is limited by the window all the same, and the window grows.
func TestCwndGrowsForAWriterWithOneWindow(t *testing.T) {
	h, n := avoidance(t)
	for range 40 { // its memory follows the window, and is never larger
		for h.c.Unacked()+mss <= h.c.Stats().Cwnd {
			h.write(mss)
		}
		h.advance(Millisecond / 4)
		n += mss
		h.ack(n)
	}
	h.out = nil
	if st := h.c.Stats(); st.Cwnd < 9*mss {
		t.Fatalf("window %d after 40 segments", st.Cwnd/mss)
	}
}

// A writer who does not use the window does not make it grow
// (https://www.rfc-editor.org/rfc/rfc7661#section-4.1).
func TestCwndStaysWhileItIsNotUsed(t *testing.T) {
	h, n := avoidance(t)
	for range 50 {
		h.write(2 * mss)
		h.advance(Millisecond)
		n += 2 * mss
		h.ack(n)
	}
	h.out = nil
	if st := h.c.Stats(); st.Cwnd != 5*mss {
		t.Fatalf("window %d", st.Cwnd/mss)
	}
}

// After a timeout one ACK opens the window by one segment at most, however much it
// covers (https://www.rfc-editor.org/rfc/rfc3465#section-2.3): most of that had arrived
// long before.
func TestCwndGrowsBySegmentsAfterATimeout(t *testing.T) {
	h := flightOf(t, 30, nil)
	h.wantTailProbe(29*mss, mss)
	h.advance(300 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.ack(20 * mss)
	if st := h.c.Stats(); st.Phase != "loss" || st.Cwnd != 2*mss || st.Ssthresh != 15*mss {
		t.Fatalf("%+v", st)
	}
	h.wantData(20*mss, 22*mss)
	h.ack(21 * mss)
	if st := h.c.Stats(); st.Cwnd != 3*mss {
		t.Fatalf("%+v", st)
	}
	h.wantData(22*mss, 24*mss)
	h.ack(30 * mss)
	if st := h.c.Stats(); st.Cwnd != 4*mss || st.Phase != "open" {
		t.Fatalf("%+v", st)
	}
}
