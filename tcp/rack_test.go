package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// flightOf is a connection with n full segments out for a millisecond, and nothing
// waiting.
func flightOf(t *testing.T, n int, edit func(*Config, *harness)) *harness {
	t.Helper()
	h := established(t, func(c *Config, h *harness) {
		c.InitialCwnd = 64
		if edit != nil {
			edit(c, h)
		}
	})
	h.ack(0) // the first window that is scaled
	h.write(n * h.c.MSS())
	h.wantData(0, n*h.c.MSS())
	h.advance(Millisecond)
	return h
}

// An ACK that covers segments and SACKs one behind a hole says nothing about
// reordering: everything in it is taken in order of sequence
// (https://www.rfc-editor.org/rfc/rfc8985#section-6.2, step 3). The peer that delays its
// ACKs sends such a one at each loss.
func TestRackCumulativeAndSackIsNoReordering(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.advance(Millisecond)
	h.ack(2*mss, [2]int{3 * mss, 4 * mss})
	if h.c.rack.reorder {
		t.Fatal("taken for reordering")
	}
	h.ack(2*mss, [2]int{3 * mss, 6 * mss}) // three segments SACKed: no window of reordering
	h.want(2*mss+1, mss, wire.FlagACK)
	h.ack(10 * mss)
}

// Reordering is what arrives late and was sent once.
func TestRackReorderingIsSeen(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.advance(2 * Millisecond)
	h.ack(0, [2]int{mss, 2 * mss})
	h.ack(2 * mss)
	if !h.c.rack.reorder {
		t.Fatal("not seen")
	}
	// From now on three SACKed segments don't suffice: a quarter of the least RTT does.
	h.ack(2*mss, [2]int{3 * mss, 6 * mss})
	h.wantNothing()
	h.advance(Millisecond/4 - Microsecond)
	h.wantNothing()
	h.advance(Microsecond)
	h.want(2*mss+1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.Phase != "recovery" || st.Lost != 1 {
		t.Fatalf("%+v", st)
	}
	h.ack(10 * mss)
}

// A retransmission that arrives later than what was behind it is no reordering.
func TestRackRetransmissionIsNoReordering(t *testing.T) {
	h := flightOf(t, 6, nil)
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 4 * mss})
	h.want(1, mss, wire.FlagACK)
	h.advance(Millisecond)
	h.ack(6 * mss)
	if h.c.rack.reorder {
		t.Fatal("taken for reordering")
	}
}

// What is lost again is found by time, without a timeout: something sent after the
// retransmission was delivered.
func TestRackLostRetransmission(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 9 * mss})
	h.want(1, mss, wire.FlagACK)
	h.write(3 * mss)
	h.out = nil // as far as the window lets them
	if h.c.Stats().InFlight < 2*mss {
		t.Fatalf("nothing new was sent: %+v", h.c.Stats())
	}
	sent := h.c.sndNxt.Sub(testISS) - 1
	h.advance(time(2))
	h.ack(0, [2]int{mss, sent})
	h.want(1, mss, wire.FlagACK)
	if st := h.c.Stats(); st.Timeouts != 0 || st.Lost != 2 || st.Recoveries != 1 {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(h.c.sndNxt.Sub(testISS) - 1)
	h.out = nil
	h.ack(13 * mss)
}

// The SACK of a retransmission that echoes an older timestamp, or comes sooner than
// any round trip took, is of an earlier transmission: it moves nothing
// (https://www.rfc-editor.org/rfc/rfc8985#section-6.2, step 2).
func TestRackAckOfAnEarlierTransmission(t *testing.T) {
	for name, early := range map[string]bool{"too soon": true, "old echo": false} {
		t.Run(name, func(t *testing.T) {
			h := flightOf(t, 10, func(_ *Config, h *harness) { h.opts.HasTS = !early })
			h.advance(2 * Millisecond)
			before := h.c.tsVal(h.now)
			full := h.c.MSS()
			h.ack(0, [2]int{full, 4 * full})
			h.want(1, full, wire.FlagACK)
			sent := h.c.rack.xmitTime
			if early {
				h.advance(Millisecond / 2)
			} else {
				h.advance(8 * Millisecond)
			}
			seg := h.segment(wire.FlagACK, full)
			if !early {
				seg.Options.TSEcr = before - 1
			}
			h.inject(seg)
			h.out = nil
			if h.c.rack.xmitTime != sent {
				t.Fatal("believed")
			}
			h.ack(10 * full)
		})
	}
}

// Without SACK no clock marks losses.
func TestRackNeedsSack(t *testing.T) {
	h := flightOf(t, 10, func(_ *Config, h *harness) { h.opts.SACKPermitted = false })
	h.advance(Millisecond)
	h.ack(mss)
	h.advance(20 * Millisecond)
	h.wantNothing()
	if h.c.timers.reo != Never {
		t.Fatal("the timer runs")
	}
	h.ack(10 * mss)
}
