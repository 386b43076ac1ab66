package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// capable is a connection whose ends agreed on ECN, with n segments in flight.
func capable(t *testing.T, n int, edit func(*Config, *harness)) *harness {
	t.Helper()
	h := newHarness(t, func(c *Config, h *harness) {
		c.ECN, c.InitialCwnd, c.NoPacing = true, 64, true
		if edit != nil {
			edit(c, h)
		}
	})
	h.connect()
	h.want(0, 0, wire.FlagSYN|wire.FlagECE|wire.FlagCWR)
	h.advance(Millisecond)
	seg := wire.Segment{Flow: testFlow, Seq: uint32(h.irs), Ack: uint32(testISS + 1), Flags: wire.FlagSYN | wire.FlagACK | wire.FlagECE, Window: h.wnd, Options: h.opts}
	seg.Options.TSVal, seg.Options.TSEcr = h.peerTS, h.c.tsVal(h.now)
	h.inject(seg)
	h.want(1, 0, wire.FlagACK)
	h.ack(0) // the first window that is scaled
	h.write(n * mss)
	h.wantMarks(n, wire.ECT0)
	return h
}

// wantMarks names n segments of new data by their code point.
func (h *harness) wantMarks(n int, ecn uint8) {
	h.t.Helper()
	if len(h.out) != n {
		h.t.Fatalf("%d segments, want %d", len(h.out), n)
	}
	for _, s := range h.out {
		if s.seg.ECN != ecn || s.seg.PayloadLen == 0 {
			h.t.Fatalf("code point %d, want %d, of %d bytes at %d", s.seg.ECN, ecn, s.seg.PayloadLen, s.seg.Seq)
		}
	}
	h.out = nil
}

// echo is an ACK of n stream bytes that says that a mark came.
func (h *harness) echo(n int) {
	h.t.Helper()
	h.inject(h.segment(wire.FlagACK|wire.FlagECE, n))
}

// A peer, or something on the way, says in each ACK that a mark came: the window falls once in
// a round trip, to two segments and no further, and after ten of them nothing is marked, so
// that there is nothing to echo. From then on the window grows.
func TestEchoForEver(t *testing.T) {
	for _, cc := range []Congestion{Reno, Cubic} {
		t.Run(string(cc), func(t *testing.T) {
			h := capable(t, 10, func(c *Config, _ *harness) { c.Congestion = cc })
			acked, rounds := 0, 0
			for ; !h.c.Stats().ECNGivenUp; rounds++ {
				if rounds > 2*ecnPatience {
					t.Fatalf("still marking after %d round trips: %+v", rounds, h.c.Stats())
				}
				h.advance(Millisecond)
				acked = h.roundOf(acked, h.echo)
			}
			st := h.c.Stats()
			if st.CWRReductions != ecnPatience+1 || st.Ssthresh > 4*h.c.MSS() || st.Retransmits != 0 {
				t.Fatalf("after %d round trips: %+v", rounds, st)
			}
			for range 20 {
				h.advance(Millisecond)
				acked = h.roundOf(acked, h.echo)
			}
			if after := h.c.Stats(); after.CWRReductions != ecnPatience+1 || after.Cwnd <= st.Cwnd {
				t.Fatalf("%+v", after)
			}
		})
	}
}

// roundOf ACKs, segment by segment, what is in flight above the first n bytes, and has as much written.
func (h *harness) roundOf(n int, ack func(int)) int {
	h.t.Helper()
	h.out = nil
	for end := h.c.sndNxt.Sub(testISS + 1); n < end; {
		n = min(n+h.c.MSS(), end)
		h.writeFrame(payloadAt, h.c.MSS())
		ack(n)
	}
	h.out = nil
	return n
}

// One ACK in each round trip that says nothing is enough for echoes to be believed.
func TestEchoIsBelieved(t *testing.T) {
	h := capable(t, 10, nil)
	acked := 0
	for range 3 * ecnPatience {
		h.advance(Millisecond)
		first := true
		acked = h.roundOf(acked, func(n int) {
			if first {
				h.ack(n)
			} else {
				h.echo(n)
			}
			first = false
		})
	}
	if st := h.c.Stats(); st.ECNGivenUp || st.CWRReductions < 2*ecnPatience || st.Ssthresh != 2*h.c.MSS() {
		t.Fatalf("%+v", st)
	}
}

// Echoes of a peer that agreed to nothing, and those that come when nothing is out, change nothing.
func TestEchoOfNothing(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.advance(Millisecond)
	h.echo(mss)
	if st := h.c.Stats(); st.ECN || st.ECEs != 0 || st.Phase != "open" {
		t.Fatalf("not agreed: %+v", st)
	}
	h.ack(10 * mss)

	h = capable(t, 2, nil)
	h.advance(Millisecond)
	h.ack(2 * mss)
	h.echo(2 * mss)
	if st := h.c.Stats(); st.ECEs != 1 || st.CWRReductions != 0 || st.Phase != "open" {
		t.Fatalf("nothing is out: %+v", st)
	}
}

// Slowing down for a mark is a matter of the window only: the tail loss probe is armed, and a
// timeout counts as one from the open state.
func TestCWRIsCalm(t *testing.T) {
	h := capable(t, 10, nil)
	h.advance(Millisecond)
	h.echo(mss)
	if h.c.Stats().Phase != "cwr" || h.c.timers.pto == Never {
		t.Fatalf("%+v, probe at %d", h.c.Stats(), h.c.timers.pto)
	}
	h.advance(Second)
	if st := h.c.Stats(); st.TailProbes != 1 || st.Timeouts == 0 || st.Phase != "loss" {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(10 * mss)
	if st := h.c.Stats(); st.Phase != "open" {
		t.Fatalf("%+v", st)
	}
}

// The window falls in proportion to what is delivered, not at once: half a round trip of
// silence would empty the queue that marked (https://www.rfc-editor.org/rfc/rfc9937#section-6).
func TestCWRIsProportional(t *testing.T) {
	h := capable(t, 64, nil)
	h.write(64 * mss)
	h.out = nil
	h.advance(Millisecond)
	full, sent, longest, pause := h.c.MSS(), 0, 0, 0
	for n := 1; n <= 60; n++ {
		h.echo(n * full)
		if pause++; len(h.out) > 0 {
			sent, pause = sent+len(h.out), 0
		}
		longest = max(longest, pause)
		h.out = nil
	}
	if st := h.c.Stats(); st.CWRReductions != 1 || longest > 3 || sent < 20 || sent > 40 {
		t.Fatalf("%d segments sent, none for %d ACKs: %+v", sent, longest, st)
	}
}
