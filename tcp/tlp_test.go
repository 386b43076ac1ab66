package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// The probe comes two round trips after the last transmission, before the timeout, and
// is the last segment again where there is nothing new
// (https://www.rfc-editor.org/rfc/rfc8985#section-7.3).
func TestTailProbeIsTheLastSegment(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.advance(2*h.c.rtt.srtt + probeSlack - Millisecond - 1)
	h.wantNothing()
	h.advance(1)
	h.want(3*mss+1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.TailProbes != 1 || st.Timeouts != 0 || st.Cwnd != 64*mss || st.Retransmits != 1 {
		t.Fatalf("%+v", st)
	}
	h.ack(4 * mss)
}

// The loss of the last segments is found by the probe's SACK, without a timeout: the
// probe was sent later than they.
func TestTailProbeFindsLosses(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.ack(3 * mss)
	h.wantTailProbe(5*mss, mss)
	h.advance(Millisecond)
	h.ack(3*mss, [2]int{5 * mss, 6 * mss})
	h.wantData(3*mss, 4*mss)
	h.advance(Millisecond)
	h.ack(4*mss, [2]int{5 * mss, 6 * mss})
	h.wantData(4*mss, 5*mss)
	if st := h.c.Stats(); st.Timeouts != 0 || st.Recoveries != 1 {
		t.Fatalf("%+v", st)
	}
	h.advance(Millisecond)
	h.ack(6 * mss)
}

// What is new goes first, beyond the congestion window if need be: it brings an ACK
// just as well and costs nothing.
func TestTailProbeIsNewData(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	h.write(12 * mss)
	h.wantData(0, 10*mss)
	h.wantTailProbe(10*mss, mss)
	if st := h.c.Stats(); st.Retransmits != 0 || st.InFlight != 11*mss {
		t.Fatalf("%+v", st)
	}
	h.ack(11 * mss) // nothing is punished
	h.wantData(11*mss, 12*mss)
	if st := h.c.Stats(); st.TailLosses != 0 || h.c.tlp.out || st.Cwnd < 10*mss {
		t.Fatalf("%+v", st)
	}
	h.ack(12 * mss)
}

// One segment alone waits for the receiver's delayed ACK
// (https://www.rfc-editor.org/rfc/rfc8985#section-7.2), and never longer than for the timeout.
func TestTailProbeOfOneSegmentWaits(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.advance(199 * Millisecond)
	h.wantNothing()
	h.advance(3 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.TailProbes != 1 || st.Timeouts != 0 {
		t.Fatalf("%+v", st)
	}
	h.advance(h.c.rtt.rto)
	h.want(1, mss, wire.FlagACK) // only then the timeout
	if st := h.c.Stats(); st.Timeouts != 1 {
		t.Fatalf("%+v", st)
	}
	h.ack(mss)
}

// A probe that fills the hole itself hides a loss. Nobody reports a duplicate: with the
// first ACK beyond it the window falls (https://www.rfc-editor.org/rfc/rfc8985#section-7.4.2).
func TestTailProbeRepairIsPunished(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.wantTailProbe(3*mss, mss)
	h.advance(Millisecond)
	h.ack(4 * mss)
	if st := h.c.Stats(); st.TailLosses != 0 {
		t.Fatal("too early: a DSACK may follow")
	}
	h.write(2 * mss)
	h.wantData(4*mss, 6*mss)
	h.ack(6 * mss)
	if st := h.c.Stats(); st.TailLosses != 1 || st.Cwnd != 2*mss {
		t.Fatalf("%+v", st)
	}
}

// Both arrived: the peer says so by a DSACK, or, if it knows none, by an ACK that says
// nothing new. Nothing was lost.
func TestTailProbeOfNothingLost(t *testing.T) {
	for name, duplicate := range map[string]func(h *harness){
		"DSACK":         func(h *harness) { h.ack(4*mss, [2]int{3 * mss, 4 * mss}) },
		"duplicate ACK": func(h *harness) { h.ack(4 * mss) },
	} {
		t.Run(name, func(t *testing.T) {
			h := flightOf(t, 4, nil)
			h.wantTailProbe(3*mss, mss)
			h.ack(4 * mss)
			duplicate(h)
			h.write(2 * mss)
			h.wantData(4*mss, 6*mss)
			h.ack(6 * mss)
			if st := h.c.Stats(); st.TailLosses != 0 || st.Cwnd < 64*mss {
				t.Fatalf("%+v", st)
			}
		})
	}
}

// Of a segment that the kernel still holds there is no probe: that is put off and
// counted.
func TestTailProbeFrameHeld(t *testing.T) {
	h := established(t, nil)
	h.hold = true
	h.write(3 * mss)
	h.wantData(0, 3*mss)
	h.advance(100 * Millisecond)
	if st := h.c.Stats(); st.TailProbes != 0 || st.TailProbesHeld < 5 || st.Retransmits != 0 {
		t.Fatalf("%+v", st)
	}
	h.complete()
	h.hold = false
	h.advance(heldRetry)
	h.want(2*mss+1, mss, wire.FlagACK)
	h.ack(3 * mss)
}

// No probe without SACK, in recovery or behind a hole: the ACK that it would ask for says nothing,
// or comes anyway.
func TestTailProbeIsNotForAll(t *testing.T) {
	h := flightOf(t, 4, func(_ *Config, h *harness) { h.opts.SACKPermitted = false })
	if h.c.timers.pto != Never {
		t.Error("without SACK")
	}
	h.ack(4 * mss)
	h = flightOf(t, 6, nil)
	h.ack(0, [2]int{5 * mss, 6 * mss})
	if h.c.timers.pto != Never {
		t.Error("behind a hole")
	}
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 6 * mss})
	h.out = nil
	if h.c.timers.pto != Never || h.c.recovery.phase != phaseRecovery {
		t.Errorf("in recovery: %+v", h.c.timers)
	}
	h.ack(6 * mss)
}

// At most one probe is out at a time.
func TestTailProbeOnlyOne(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.wantTailProbe(3*mss, mss)
	if h.c.timers.pto != Never {
		t.Fatal("another one is coming")
	}
	h.ack(2 * mss)
	if h.c.timers.pto != Never {
		t.Fatal("another one is coming, while the first one is out")
	}
	h.ack(4 * mss)
	h.write(mss)
	h.out = nil
	if h.c.timers.pto != Never {
		t.Fatal("the fate of the first is not known yet")
	}
	h.ack(5 * mss)
}

// The probe was asked for, and before it went everything was ACKed: it is forgotten.
func TestTailProbeOvertakenByTheAck(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.now = h.c.timers.pto
	h.c.Advance(h.now)
	h.ack(4 * mss)
	h.write(2 * mss)
	h.wantData(4*mss, 6*mss)
	h.transmit()
	h.wantNothing()
	h.ack(6 * mss)
}

// The probe was to be new data, and before it went the window shrank: of what the kernel
// holds there is none instead.
func TestTailProbeOvertakenByTheWindow(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.opts.HasWScale = false })
	h.hold = true
	h.write(12 * mss)
	h.wantData(0, 10*mss)
	h.now = h.c.timers.pto
	h.c.Advance(h.now)
	h.wnd = 5 * mss
	h.ack(0)
	h.wantNothing()
	h.hold = false
	h.complete()
	h.ack(10 * mss)
	h.out = nil
}
