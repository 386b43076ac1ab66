package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// timedOut is a connection with ten segments out, and the first sent again by the
// timeout; without timestamps, so that nothing else tells what arrived. more bytes wait
// to be sent.
func timedOut(t *testing.T, more int) *harness {
	t.Helper()
	h := established(t, func(c *Config, h *harness) { c.InitialCwnd = 10; h.opts.HasTS = false })
	h.ack(0)
	h.write(10*mssNoTS + more)
	h.wantData(0, 10*mssNoTS)
	h.advance(100 * Millisecond)
	if more > 0 {
		h.want(10*mssNoTS+1, mssNoTS, wire.FlagACK) // the probe is new data
	} else {
		h.want(9*mssNoTS+1, mssNoTS, wire.FlagACK)
	}
	h.advance(200 * Millisecond)
	h.want(1, mssNoTS, wire.FlagACK)
	if st := h.c.Stats(); st.Timeouts != 1 || st.Phase != "loss" {
		t.Fatalf("%+v", st)
	}
	return h
}

const mssNoTS = mss + tsOptionLen

// The ACK of the retransmission lets two new segments out instead of what seems lost;
// that something never sent again arrives shows that nothing was
// (https://www.rfc-editor.org/rfc/rfc5682#section-3.1, steps 2b and 3b).
func TestFrtoSpurious(t *testing.T) {
	h := timedOut(t, 4*mssNoTS)
	h.ack(mssNoTS)
	h.wantData(11*mssNoTS, 13*mssNoTS)
	h.ack(2 * mssNoTS)
	st := h.c.Stats()
	if st.SpuriousTimeouts != 1 || st.Phase != "open" || st.Cwnd != 10*mssNoTS || st.Retransmits != 1 {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(13 * mssNoTS)
	h.out = nil
	h.ack(14 * mssNoTS)
}

// The new segments arrive and nothing else does: the loss was real (step 3a), and the
// rest is sent again.
func TestFrtoRealLoss(t *testing.T) {
	h := timedOut(t, 4*mssNoTS)
	h.ack(mssNoTS)
	h.wantData(11*mssNoTS, 13*mssNoTS)
	h.ack(mssNoTS, [2]int{11 * mssNoTS, 12 * mssNoTS})
	h.want(mssNoTS+1, mssNoTS, wire.FlagACK)
	if st := h.c.Stats(); st.SpuriousTimeouts != 0 || st.Phase != "loss" {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(13 * mssNoTS)
	h.out = nil
	h.ack(14 * mssNoTS)
	h.out = nil
}

// A duplicate instead of an ACK of the retransmission (step 2c), or nothing new to ask
// with: as ever.
func TestFrtoFallsBack(t *testing.T) {
	h := timedOut(t, 4*mssNoTS)
	h.ack(0, [2]int{5 * mssNoTS, 6 * mssNoTS})
	h.ack(mssNoTS, [2]int{5 * mssNoTS, 6 * mssNoTS})
	h.want(mssNoTS+1, mssNoTS, wire.FlagACK)
	h.out = nil
	h.ack(13 * mssNoTS)
	h.out = nil
	h.ack(14 * mssNoTS)
	h.out = nil
	h = timedOut(t, 0)
	h.ack(mssNoTS)
	h.wantData(mssNoTS, 3*mssNoTS)
	if st := h.c.Stats(); st.SpuriousTimeouts != 0 {
		t.Fatalf("%+v", st)
	}
	h.ack(10 * mssNoTS)
}

// An ACK of everything says that the retransmission filled the only hole (step 2a).
func TestFrtoEverythingAcked(t *testing.T) {
	h := timedOut(t, 0)
	h.ack(10 * mssNoTS)
	if st := h.c.Stats(); st.SpuriousTimeouts != 0 || st.Cwnd >= 10*mssNoTS || st.Phase != "open" {
		t.Fatalf("%+v", st)
	}
}

// A second timeout in a row is no case for F-RTO: the first already asked.
func TestFrtoOnlyOnce(t *testing.T) {
	h := timedOut(t, 4*mssNoTS)
	h.advance(h.c.Deadline() - h.now)
	h.want(1, mssNoTS, wire.FlagACK)
	if h.c.recovery.frto != frtoOff {
		t.Fatal("asked again")
	}
	h.ack(mssNoTS)
	h.wantData(mssNoTS, 3*mssNoTS)
	h.ack(11 * mssNoTS)
	h.out = nil
	h.ack(14 * mssNoTS)
	h.out = nil
}
