package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// What a peer without SACK gets, https://www.rfc-editor.org/rfc/rfc6582.

// plain is a flight of n segments to a peer without SACK.
func plain(t *testing.T, n int) *harness {
	t.Helper()
	return flightOf(t, n, func(_ *Config, h *harness) { h.opts.SACKPermitted = false })
}

func (h *harness) dupAcks(n, at int) {
	h.t.Helper()
	for range n {
		h.ack(at)
	}
}

// Each duplicate ACK in recovery says that a segment left the network: new data follows
// it, as the rate falls to the half.
func TestNewRenoDuplicatesClockNewData(t *testing.T) {
	h := plain(t, 20)
	h.c.cc.(*reno).cwnd = 20 * mss
	h.write(20 * mss)
	h.wantNothing()
	h.dupAcks(3, 0)
	h.wantData(20*mss, 22*mss) // limited transmit, https://www.rfc-editor.org/rfc/rfc3042
	h.want(1, mss, wire.FlagACK)
	h.dupAcks(16, 0)
	if n := len(h.out); n < 6 || n > 9 {
		t.Fatalf("%d segments for 16 duplicate ACKs", n)
	}
	if st := h.c.Stats(); st.Ssthresh != 10*mss || st.InFlight < 9*mss || st.InFlight > 11*mss {
		t.Fatalf("ssthresh %d, in flight %d", st.Ssthresh/mss, st.InFlight/mss)
	}
	h.out = nil
	h.advance(Millisecond)
	h.ack(h.c.sndNxt.Sub(testISS) - 1)
	if st := h.c.Stats(); st.Phase != "open" || st.Cwnd > 11*mss {
		t.Fatalf("phase %s, cwnd %d", st.Phase, st.Cwnd/mss)
	}
	h.out = nil
}

// More duplicates than there are segments out are somebody's invention: they let
// nothing go (https://www.rfc-editor.org/rfc/rfc5681#section-5).
func TestNewRenoInventedDuplicates(t *testing.T) {
	h := plain(t, 10)
	h.c.cc.(*reno).cwnd = 10 * mss
	h.write(100 * mss)
	h.wantNothing()
	h.dupAcks(200, 0)
	if st := h.c.Stats(); h.c.flightSize() > 21*mss {
		t.Fatalf("%d segments out, in flight %d, cwnd %d", h.c.flightSize()/mss, st.InFlight/mss, st.Cwnd/mss)
	}
	h.out = nil
}

// After a recovery or a timeout, duplicates at the very point where it ended may be of
// its own retransmissions (https://www.rfc-editor.org/rfc/rfc6582#section-3.2, step 1): no second recovery.
func TestNewRenoDuplicatesOfRetransmissions(t *testing.T) {
	h := plain(t, 10)
	h.advance(300 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.write(4 * mss)
	h.ack(10 * mss) // only the first was lost
	h.wantData(10*mss, 12*mss)
	h.dupAcks(3, 10*mss)
	h.out = nil
	if st := h.c.Stats(); st.Recoveries != 0 || st.Phase != "open" {
		t.Fatalf("%d recoveries, phase %s", st.Recoveries, st.Phase)
	}
	h.ack(11 * mss) // beyond that point they count again
	h.write(10 * mss)
	h.dupAcks(3, 11*mss)
	if st := h.c.Stats(); st.Recoveries != 1 {
		t.Fatalf("%d recoveries", st.Recoveries)
	}
	h.out = nil
}

// An ACK that changes the window, or carries payload, is no duplicate
// (https://www.rfc-editor.org/rfc/rfc5681#section-2).
func TestNewRenoWhatIsNoDuplicate(t *testing.T) {
	h := plain(t, 10)
	for range 4 {
		h.wnd--
		h.ack(0)
	}
	seg := h.segment(wire.FlagACK, 0)
	seg.PayloadLen = 10
	for range 4 {
		h.inject(seg)
		h.want(10*mss+1, 0, wire.FlagACK)
	}
	h.irs += 10
	if st := h.c.Stats(); st.Recoveries != 0 || st.Lost != 0 {
		t.Fatalf("%+v", st)
	}
	h.ack(10 * mss)
}

// Each partial ACK sends one segment again, at once.
func TestNewRenoPartialAcks(t *testing.T) {
	h := plain(t, 10)
	h.dupAcks(3, 0)
	h.want(1, mss, wire.FlagACK)
	for k := 2; k < 10; k += 2 {
		h.advance(Millisecond)
		h.ack(k * mss)
		h.want(k*mss+1, mss, wire.FlagACK)
		h.wantNothing()
	}
	h.ack(10 * mss)
	if st := h.c.Stats(); st.Recoveries != 1 || st.Timeouts != 0 || st.Retransmits != 5 {
		t.Fatalf("%+v", st)
	}
}

// A partial ACK covers what duplicates counted already: it takes that back, from the
// pipe and from what was delivered (https://www.rfc-editor.org/rfc/rfc9937#section-5).
func TestNewRenoPartialAckDeflates(t *testing.T) {
	h := plain(t, 20)
	h.c.cc.(*reno).cwnd = 20 * mss
	h.dupAcks(18, 0) // the first and the tenth are lost
	h.out = nil
	h.ack(9 * mss)
	h.out = nil
	if r := h.c.recovery; r.dupAcks != 10 || r.delivered != 17*mss {
		t.Fatalf("%d duplicates count, %d segments delivered since the third", r.dupAcks, r.delivered/mss)
	}
	h.ack(20 * mss)
}
