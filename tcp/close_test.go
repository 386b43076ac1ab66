package tcp

import (
	"errors"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// fin injects the peer's FIN, which ACKs n stream bytes.
func (h *harness) fin(n int) {
	h.t.Helper()
	h.inject(h.segment(wire.FlagFIN|wire.FlagACK, n))
}

func TestClosePassive(t *testing.T) {
	h := flightOf(t, 2, nil)
	h.fin(0)
	h.want(2*mss+1, 0, wire.FlagACK)
	h.irs++
	h.wantState(CloseWait)
	if !h.c.PeerClosed() || h.c.SendClosed() {
		t.Fatal("who closed?")
	}
	h.write(mss) // we may still send
	h.wantData(2*mss, 3*mss)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(3*mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.wantState(LastAck)
	h.ack(3 * mss)
	h.wantState(LastAck)
	h.ack(3*mss + 1)
	h.wantState(Closed)
	if h.c.Err() != nil || !h.c.SendClosed() || !h.c.Done() || len(h.done) != 3 {
		t.Fatalf("err %v, %d frames back", h.c.Err(), len(h.done))
	}
}

func TestCloseSimultaneous(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.fin(mss)
	h.want(mss+2, 0, wire.FlagACK)
	h.irs++
	h.wantState(Closing)
	h.ack(mss + 1)
	h.wantState(TimeWait)
	h.advance(60 * Second)
	h.wantState(Closed)
	if h.c.Err() != nil || !h.c.SendClosed() {
		t.Fatalf("err %v", h.c.Err())
	}
}

// A FIN that comes again is ACKed again and begins TIME-WAIT anew
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4, eighth).
func TestTimeWaitBeginsAnewWithTheFin(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.fin(mss + 1)
	h.want(mss+2, 0, wire.FlagACK)
	h.wantState(TimeWait)
	h.advance(50 * Second)
	h.fin(mss + 1)
	h.want(mss+2, 0, wire.FlagACK)
	h.advance(59 * Second)
	h.wantState(TimeWait)
	seg := h.segment(wire.FlagACK, mss+1) // anything else doesn't
	seg.Seq--
	h.inject(seg)
	h.want(mss+2, 0, wire.FlagACK)
	h.advance(Second)
	h.wantState(Closed)
}

func TestCloseFinIsSentAgain(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.ack(mss)
	for range 3 {
		h.advance(h.c.Deadline() - h.now)
		s := h.want(mss+1, 0, wire.FlagFIN|wire.FlagACK)
		if !s.tx.Again {
			t.Fatal("not marked as a retransmission")
		}
	}
	if h.pool.Free() != h.pool.Len() {
		t.Fatal("a FIN keeps a frame")
	}
	h.ack(mss + 1)
	h.wantState(FinWait2)
}

// While the kernel holds a FIN it isn't sent again, like any other segment.
func TestCloseFinHeld(t *testing.T) {
	h := flightOf(t, 0, nil)
	h.hold = true
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(1, 0, wire.FlagFIN|wire.FlagACK)
	h.advance(Second)
	h.wantNothing()
	h.complete()
	h.advance(10 * Millisecond)
	h.want(1, 0, wire.FlagFIN|wire.FlagACK)
	h.complete()
	h.ack(1)
}

// The FIN goes behind everything that was queued, however long that takes.
func TestCloseBehindTheQueue(t *testing.T) {
	h := established(t, nil)
	h.write(15 * mss)
	h.c.CloseWrite(h.now)
	h.c.CloseWrite(h.now) // twice is once
	h.transmit()
	h.wantData(0, 10*mss)
	h.wantState(Established)
	f, _ := h.pool.Lend()
	h.pool.Commit(f)
	if h.c.Queue(f, payloadAt, 5) {
		t.Fatal("payload behind the FIN")
	}
	h.pool.Drop(f)
	h.ack(10 * mss)
	h.wantData(10*mss, 15*mss)
	h.want(15*mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.ack(15*mss + 1)
	if st := h.c.Stats(); st.BytesSent != 15*mss || st.BytesAcked != 15*mss || h.c.Unacked() != 0 {
		t.Fatalf("%+v", st)
	}
}

// With every slot in use the FIN waits for one.
func TestCloseWithoutASlot(t *testing.T) {
	h := established(t, func(c *Config, h *harness) { c.SendSlots = 12; h.wnd = 300; h.opts.HasWScale = false })
	for h.c.Room() > 0 {
		h.writeFrame(payloadAt, mss)
	}
	for h.c.q.nfree > headReserve { // cuts use up the rest
		h.c.cut(h.c.q.last, h.c.MSS()/20)
	}
	h.c.CloseWrite(h.now)
	h.transmit()
	for n := 0; h.c.State() != FinWait2; n++ {
		if n > 200 {
			t.Fatalf("stuck in %v: %+v", h.c.State(), h.c.Stats())
		}
		h.out = nil
		h.ack(h.c.sndNxt.Sub(testISS) - 1)
		h.advance(250 * Millisecond)
	}
	h.out = nil
}

// What the peer sends behind its FIN is not taken
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4, seventh).
func TestPayloadBehindTheFin(t *testing.T) {
	h := established(t, nil)
	h.fin(0)
	h.want(1, 0, wire.FlagACK)
	h.irs++
	seg := h.segment(wire.FlagACK, 0)
	seg.PayloadLen = 100
	h.inject(seg)
	s := h.want(1, 0, wire.FlagACK)
	if s.seg.Ack != uint32(h.irs+1) || h.c.Stats().BytesReceived != 0 {
		t.Fatalf("ACK %d, want %d", s.seg.Ack, h.irs+1)
	}
}

// A FIN beyond the window, or behind payload that is missing, is not there yet.
func TestFinOutOfOrder(t *testing.T) {
	h := established(t, func(c *Config, _ *harness) { c.Window = 1000 })
	seg := h.segment(wire.FlagFIN|wire.FlagACK, 0)
	seg.PayloadLen = 1001
	h.inject(seg)
	s := h.want(1, 0, wire.FlagACK)
	h.wantState(Established)
	if s.seg.Ack != uint32(h.irs+1001) {
		t.Fatalf("ACK of %d bytes", s.seg.Ack-uint32(h.irs+1))
	}
	seg.Seq += 1005
	seg.PayloadLen = 0
	h.inject(seg)
	h.want(1, 0, wire.FlagACK)
	h.wantState(Established)
	seg.Seq -= 5
	h.inject(seg)
	h.want(1, 0, wire.FlagACK)
	h.wantState(CloseWait)
}

// Half closed, we go on receiving and ACKing.
func TestHalfClosedReceives(t *testing.T) {
	h := established(t, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(1, 0, wire.FlagFIN|wire.FlagACK)
	h.ack(1)
	h.wantState(FinWait2)
	for range 3 {
		seg := h.segment(wire.FlagACK, 1)
		seg.PayloadLen = 1000
		h.inject(seg)
		h.irs += 1000
		if s := h.want(2, 0, wire.FlagACK); s.seg.Ack != uint32(h.irs+1) {
			t.Fatalf("ACK %d, want %d", s.seg.Ack, h.irs+1)
		}
	}
	if h.c.Stats().BytesReceived != 3000 {
		t.Fatalf("%+v", h.c.Stats())
	}
}

// A reset while payload is out gives everything back, but for what the kernel holds.
func TestResetGivesBack(t *testing.T) {
	h := flightOf(t, 4, func(_ *Config, h *harness) { h.hold = true })
	h.complete()
	h.write(4 * mss)
	h.out = nil
	h.inject(h.segment(wire.FlagRST, 0))
	if !errors.Is(h.c.Err(), ErrReset) || len(h.done) != 4 || !h.c.Done() {
		t.Fatalf("err %v, %d frames back", h.c.Err(), len(h.done))
	}
	h.complete()
	if len(h.done) != 8 || h.pool.Free() != h.pool.Len() {
		t.Fatalf("%d frames back, %d free", len(h.done), h.pool.Free())
	}
}

// A peer takes a reset only at exactly what it expects next
// (https://www.rfc-editor.org/rfc/rfc5961#section-3.2), which is where its ACKs stand, or behind all
// that was sent: there is one for each.
func TestAbortResetsAtBothEnds(t *testing.T) {
	h := flightOf(t, 3, nil)
	h.ack(mss)
	h.c.Abort(h.now)
	var txs [1]Tx
	for _, at := range []int{mss + 1, 3*mss + 1} {
		if h.c.Done() || h.c.Transmit(h.now, txs[:]) != 1 {
			t.Fatal("no reset")
		}
		h.take(txs[0])
		h.want(at, 0, wire.FlagRST|wire.FlagACK)
	}
	if !h.c.Done() {
		t.Fatal("not done")
	}
}

// Closed is closed: nothing wakes it up, and late completions find nothing.
func TestClosedStaysClosed(t *testing.T) {
	h := flightOf(t, 2, func(_ *Config, h *harness) { h.hold = true })
	h.c.Abort(h.now)
	h.transmit()
	h.want(1, 0, wire.FlagRST|wire.FlagACK)
	h.want(2*mss+1, 0, wire.FlagRST|wire.FlagACK)
	if h.c.Deadline() != Never {
		t.Fatalf("a timer runs: %+v", h.c.timers)
	}
	h.ack(mss)
	h.synAck()
	h.c.SetMTU(1000)
	h.c.CloseWrite(h.now)
	h.c.Abort(h.now)
	h.c.ReceiveICMP(h.now, &wire.ICMPError{Seq: uint32(testISS + 1), Type: 3, Code: 4, MTU: 1000})
	h.advance(100 * Second)
	h.complete()
	h.wantNothing()
	if !errors.Is(h.c.Err(), ErrAborted) || h.c.Deadline() != Never || h.c.Connect(h.now) == nil {
		t.Fatalf("err %v, deadline %d", h.c.Err(), h.c.Deadline())
	}
}
