package tcp

import (
	"errors"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// closedWindow is a connection with n full segments waiting for a window that is
// closed, after one segment that was ACKed.
func closedWindow(t *testing.T, n int, edit func(*Config, *harness)) *harness {
	t.Helper()
	h := flightOf(t, 1, edit)
	h.wnd = 0
	h.ack(mss)
	h.write(n * mss)
	h.wantNothing()
	return h
}

// wantProbe names a zero-window probe: a byte that the peer has.
func (h *harness) wantProbe(at int) {
	h.t.Helper()
	if len(h.out) == 0 {
		h.t.Fatal("no probe")
	}
	s := h.out[0]
	h.out = h.out[1:]
	if got := Seq(s.seg.Seq).Sub(testISS); got != at || len(s.payload) != 1 || s.payload[0] != probeByte[0] {
		h.t.Fatalf("probe at %d: %+v", at, s.seg)
	}
}

// Probes come at growing distances, and never further apart than a minute, as long as
// the peer answers (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.1).
func TestPersistProbesWhileThePeerAnswers(t *testing.T) {
	h := closedWindow(t, 2, func(c *Config, _ *harness) { c.Retries = 3 })
	last, gap := h.now, Duration(0)
	for range 40 {
		h.advance(h.c.Deadline() - h.now)
		h.wantProbe(mss)
		h.wantNothing()
		if d := h.now - last; d < gap || d > persistMax {
			t.Fatalf("%d ms after %d ms", d/Millisecond, gap/Millisecond)
		}
		last, gap = h.now, h.now-last
		h.ack(mss)
	}
	if gap != persistMax {
		t.Fatalf("%d ms at last", gap/Millisecond)
	}
	h.wnd = 100
	h.ack(mss)
	h.wantData(mss, 3*mss)
	if h.c.Stats().Probes != 40 {
		t.Fatalf("%+v", h.c.Stats())
	}
	h.ack(3 * mss)
}

// A peer that does not answer is gone, and the connection ends as with any other
// retransmission (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.3).
func TestPersistPeerGone(t *testing.T) {
	h := closedWindow(t, 2, func(c *Config, _ *harness) { c.Retries = 5 })
	h.advance(3 * Second)
	if h.c.State() == Closed {
		t.Fatal("gave up too early")
	}
	h.advance(60 * Second)
	for range 5 {
		h.wantProbe(mss)
	}
	h.want(mss+1, 0, wire.FlagRST|wire.FlagACK)
	if !errors.Is(h.c.Err(), ErrTimeout) || h.pool.Free() != h.pool.Len() {
		t.Fatalf("err %v, %d of %d frames free", h.c.Err(), h.pool.Free(), h.pool.Len())
	}
}

// The user timeout counts from when something began to wait, not from the last time
// that anything happened.
func TestPersistUserTimeout(t *testing.T) {
	h := flightOf(t, 1, func(c *Config, _ *harness) { c.UserTimeout = 10 * Second })
	h.wnd = 0
	h.ack(mss)
	h.advance(3600 * Second)
	h.write(mss)
	for range 9 {
		h.advance(Second)
		h.ack(mss)
	}
	if h.c.Err() != nil {
		t.Fatal("too early")
	}
	h.advance(20 * Second)
	h.out = nil
	if !errors.Is(h.c.Err(), ErrTimeout) {
		t.Fatalf("err %v", h.c.Err())
	}
}

func TestUserTimeoutAfterIdle(t *testing.T) {
	h := flightOf(t, 1, func(c *Config, _ *harness) { c.UserTimeout = 10 * Second })
	h.ack(mss)
	h.advance(3600 * Second)
	h.write(mss)
	h.advance(5 * Second)
	if h.c.Err() != nil {
		t.Fatal("too early")
	}
	h.advance(10 * Second)
	h.out = nil
	if !errors.Is(h.c.Err(), ErrTimeout) {
		t.Fatalf("err %v", h.c.Err())
	}
}

// A window that closes while payload is out: retransmissions are the probes, and a peer
// that answers them keeps the connection open.
func TestPersistWindowClosesOverTheFlight(t *testing.T) {
	h := flightOf(t, 4, func(c *Config, _ *harness) { c.Retries = 3 })
	h.wnd = 0
	h.ack(mss)
	h.wantTailProbe(3*mss, mss)
	for range 20 {
		h.advance(h.c.Deadline() - h.now)
		h.want(mss+1, mss, wire.FlagACK)
		h.wantNothing()
		h.ack(mss)
	}
	if h.c.State() != Established {
		t.Fatalf("%v, err %v", h.c.State(), h.c.Err())
	}
	h.wnd = 65535
	h.ack(2 * mss)
	h.wantData(2*mss, 4*mss)
	h.ack(4 * mss)
}

// ACKs, and the reset, carry a sequence number that the peer's window still has: any
// other would be thrown away unread.
func TestShrunkWindowAckIsAcceptable(t *testing.T) {
	h := flightOf(t, 4, func(_ *Config, h *harness) { h.opts.WScale = 0 })
	h.wnd = mss
	h.ack(mss)
	seg := h.segment(wire.FlagACK, mss)
	seg.PayloadLen = 10
	h.inject(seg)
	h.want(2*mss+1, 0, wire.FlagACK)
	h.c.Abort(h.now)
	h.transmit()
	h.want(mss+1, 0, wire.FlagRST|wire.FlagACK)
	h.want(2*mss+1, 0, wire.FlagRST|wire.FlagACK)
}

// The FIN takes a place in the window.
func TestPersistFinWaitsForTheWindow(t *testing.T) {
	h := closedWindow(t, 0, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.wantNothing()
	h.wantState(Established)
	h.advance(300 * Millisecond)
	h.wantProbe(mss)
	h.wnd = 1
	h.ack(mss)
	h.want(mss+1, 0, wire.FlagFIN|wire.FlagACK)
	h.ack(mss + 1)
	h.wantState(FinWait2)
}

// A probe that could not go for lack of a frame is not sent once the window is open.
func TestPersistNoProbeIntoAnOpenWindow(t *testing.T) {
	linearOnly(t)
	h := closedWindow(t, 1, nil)
	hoard := h.starve(0)
	h.advance(300 * Millisecond)
	h.wantNothing()
	h.wnd = 65535
	h.ack(mss)
	h.wantData(mss, 2*mss)
	h.pool.Return(hoard[0])
	h.advance(Millisecond)
	h.wantNothing()
	h.ack(2 * mss)
}

// Silly windows: a part of a segment goes only if it is half of the largest window the
// peer ever offered, or after a while
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.1).
func TestSillyWindow(t *testing.T) {
	h := flightOf(t, 1, func(_ *Config, h *harness) { h.opts.HasWScale = false; h.wnd = 8000 })
	h.wnd = 1000
	h.ack(mss)
	h.write(2 * mss)
	h.wantNothing()
	h.advance(swsOverride - Microsecond)
	h.wantNothing()
	h.advance(Microsecond)
	h.want(mss+1, 1000, wire.FlagACK)
	h.ack(mss + 1000)
	h.want(mss+1001, mss-1000, wire.FlagACK) // a segment that fits goes, however small
	h.wantNothing()                          // but of the next one no part
	h.wnd = 4000
	h.ack(2 * mss)
	h.want(2*mss+1, mss, wire.FlagACK)
	h.ack(3 * mss)
}

func TestSillyWindowHalfOfTheLargest(t *testing.T) {
	h := flightOf(t, 1, func(_ *Config, h *harness) { h.opts.HasWScale = false; h.wnd = 2000 })
	h.wnd = 1000
	h.ack(mss)
	h.write(mss)
	h.want(mss+1, 1000, wire.FlagACK)
	h.ack(mss + 1000)
	h.want(mss+1001, mss-1000, wire.FlagACK)
	h.ack(2 * mss)
}

// The permission to send a small segment is for one.
func TestSillyWindowOverrideIsForOne(t *testing.T) {
	h := flightOf(t, 1, func(_ *Config, h *harness) { h.opts.HasWScale = false; h.wnd = 8000 })
	h.wnd = 1000
	h.ack(mss)
	h.write(4 * mss)
	h.c.Advance(h.now + swsOverride)
	h.now += swsOverride
	h.wnd = 2*mss + 100 // before it is used, the window opens
	h.ack(mss)
	h.wantData(mss, 3*mss)
	h.wantNothing()
	h.wnd = 65535
	h.ack(3 * mss)
	h.wantData(3*mss, 5*mss)
	h.ack(5 * mss)
}

// A pacer in the way is no window in the way.
func TestPersistNotForThePacer(t *testing.T) {
	h := established(t, func(c *Config, _ *harness) { c.Rate = 144 }) // a segment in ten seconds
	h.ack(0)
	h.write(2 * mss)
	h.wantData(0, mss)
	h.ack(mss)
	if h.c.timers.persist != Never {
		t.Fatal("the persist timer runs")
	}
	h.advance(10*Second + 100*Millisecond)
	h.wantData(mss, 2*mss)
	h.ack(2 * mss)
}

// A closed window that opens a little ends the long waits between probes.
func TestPersistWindowOpensALittle(t *testing.T) {
	h := closedWindow(t, 1, func(_ *Config, h *harness) { h.opts.WScale = 0 })
	h.advance(30 * Second)
	h.out = nil
	h.wnd = 100
	h.ack(mss)
	h.advance(swsOverride)
	h.want(mss+1, 100, wire.FlagACK)
	h.wnd = 65535
	h.ack(mss + 100)
	h.want(mss+101, mss-100, wire.FlagACK)
	h.ack(2 * mss)
}

// A timer that finds nothing to do is off, and changes nothing.
func TestTimersOfNothing(t *testing.T) {
	for name, set := range map[string]func(*timers, Time){
		"reo":     func(s *timers, now Time) { s.reo = now },
		"pto":     func(s *timers, now Time) { s.pto = now },
		"rto":     func(s *timers, now Time) { s.rto = now },
		"persist": func(s *timers, now Time) { s.persist = now },
	} {
		h := flightOf(t, 1, nil)
		h.ack(mss)
		before := h.c.Stats()
		set(&h.c.timers, h.now)
		h.c.Advance(h.now)
		if h.c.Deadline() != Never || h.c.overrideSWS || h.c.tlp.wanted || h.c.Stats() != before {
			t.Errorf("%s: %+v", name, h.c.timers)
		}
	}
	h := flightOf(t, 1, nil)
	h.ack(mss)
	h.c.Abort(h.now)
	h.transmit()
	h.out = nil
	h.c.timers.keep = h.now
	if h.c.Advance(h.now); h.c.Deadline() != Never {
		t.Errorf("keep: %+v", h.c.timers)
	}
}
