package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// The four cases of https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4 with their edges; the
// window is 1000 bytes from rcvNxt on.
func TestInputWindow(t *testing.T) {
	const wnd = 1000
	for _, c := range []struct {
		seq, n     int
		acceptable bool
		taken      int
	}{
		{0, 0, true, 0},
		{wnd - 1, 0, true, 0},
		{wnd, 0, false, 0},
		{-1, 0, false, 0},
		{-1, 1, false, 0},
		{-1, 2, true, 1},
		{-500, 600, true, 100},
		{0, 1, true, 1},
		{0, wnd, true, wnd},
		{0, wnd + 500, true, wnd},
		{-10, wnd + 500, true, wnd},
		{1, 10, true, 0}, // out of order: ACKed, not kept
		{wnd - 1, 10, true, 0},
		{wnd, 1, false, 0},
		{1 << 30, 1, false, 0},
		{-1 << 31, 1, false, 0},
	} {
		h := established(t, func(cfg *Config, _ *harness) { cfg.Window = wnd })
		seg := h.segment(wire.FlagACK, 0)
		seg.Seq += uint32(c.seq)
		seg.PayloadLen = c.n
		h.inject(seg)
		st := h.c.Stats()
		if got := st.OutOfWindow == 0; got != c.acceptable || st.BytesReceived != uint64(c.taken) {
			t.Errorf("%d bytes at %+d: acceptable %v, %d taken", c.n, c.seq, got, st.BytesReceived)
		}
		if c.n > 0 || !c.acceptable {
			if s := h.want(1, 0, wire.FlagACK); int(s.seg.Ack-uint32(h.irs+1)) != c.taken {
				t.Errorf("%d bytes at %+d: ACK of %d", c.n, c.seq, s.seg.Ack-uint32(h.irs+1))
			}
		}
		h.out = nil
	}
}

// PAWS: an older timestamp is refused, a reset excepted, and payload is ACKed
// (https://www.rfc-editor.org/rfc/rfc7323#section-5.3).
func TestInputPAWS(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.ack(0)
	seg := h.segment(wire.FlagACK, mss)
	seg.Options.TSVal -= 2
	h.inject(seg)
	h.wantNothing()
	if st := h.c.Stats(); st.PAWS != 1 || st.BytesAcked != 0 {
		t.Fatalf("%+v", st)
	}
	seg.PayloadLen = 5
	h.inject(seg)
	h.want(mss+1, 0, wire.FlagACK)
	seg.PayloadLen = 0
	seg.Options.HasTS = false // https://www.rfc-editor.org/rfc/rfc7323#section-3.2
	h.inject(seg)
	h.wantNothing()
	if st := h.c.Stats(); st.PAWS != 2 || st.NoTimestamp != 1 || st.BytesAcked != 0 {
		t.Fatalf("%+v", st)
	}
	h.ack(mss)
	rst := h.segment(wire.FlagRST, 0)
	rst.Options.TSVal -= 1 << 20
	h.inject(rst)
	h.wantState(Closed)
}

// A blind segment that lies across rcvNxt, but ACKs what was never sent or nothing at all,
// does not move the clock by which PAWS judges: the peer would be refused ever after.
func TestInputPAWSNotByBlindSegments(t *testing.T) {
	for name, forge := range map[string]func(*wire.Segment){
		"impossible ACK": func(s *wire.Segment) { s.Ack += 1 << 24 },
		"no ACK":         func(s *wire.Segment) { s.Flags = 0 },
		"SYN":            func(s *wire.Segment) { s.Flags |= wire.FlagSYN },
	} {
		t.Run(name, func(t *testing.T) {
			h := flightOf(t, 1, nil)
			forged := h.segment(wire.FlagACK, mss)
			forged.Seq -= 5
			forged.PayloadLen = 10
			forged.Options.TSVal += 1 << 30
			forge(&forged)
			h.inject(forged)
			h.out = nil
			h.ack(mss)
			if st := h.c.Stats(); st.PAWS != 0 || st.BytesAcked != mss {
				t.Errorf("%d refused, %d bytes ACKed", st.PAWS, st.BytesAcked)
			}
		})
	}
}

// Timestamps wrap like sequence numbers do.
func TestInputPAWSWraps(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.peerTS = 1<<32 - 3 })
	for range 10 {
		h.ack(0)
	}
	if h.c.Stats().PAWS != 0 || h.c.tsRecent >= 100 {
		t.Fatalf("%d refused, tsRecent %d", h.c.Stats().PAWS, h.c.tsRecent)
	}
}

// After 24 days nothing can be told from an old timestamp
// (https://www.rfc-editor.org/rfc/rfc7323#section-5.5).
func TestInputPAWSExpires(t *testing.T) {
	h := established(t, nil)
	h.advance(pawsExpiry + Second)
	h.peerTS -= 1 << 20
	h.ack(0)
	if h.c.Stats().PAWS != 0 || h.c.tsRecent != h.peerTS {
		t.Fatalf("%d refused", h.c.Stats().PAWS)
	}
}

// The echo is of the segment that moved the window, not of one out of order
// (https://www.rfc-editor.org/rfc/rfc7323#section-4.3).
func TestInputEchoOfTheOldest(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	was := h.peerTS
	seg := h.segment(wire.FlagACK, 0)
	seg.Seq += 100
	seg.PayloadLen = 10
	h.inject(seg)
	if s := h.want(1, 0, wire.FlagACK); s.seg.Options.TSEcr != was {
		t.Fatalf("echo %d, want %d", s.seg.Options.TSEcr, was)
	}
	seg = h.segment(wire.FlagACK, 0)
	seg.PayloadLen = 10
	h.inject(seg)
	if s := h.want(1, 0, wire.FlagACK); s.seg.Options.TSEcr != h.peerTS {
		t.Fatalf("echo %d, want %d", s.seg.Options.TSEcr, h.peerTS)
	}
}

// Challenge ACKs are limited to ten a second
// (https://www.rfc-editor.org/rfc/rfc5961#section-7), whatever brings them.
func TestInputChallengesAreLimited(t *testing.T) {
	for name, forge := range map[string]func(seg *wire.Segment){
		"SYN in window":     func(s *wire.Segment) { s.Flags = wire.FlagSYN; s.Seq += 5 },
		"SYN out of window": func(s *wire.Segment) { s.Flags = wire.FlagSYN; s.Seq += 1 << 20 },
		"RST in window":     func(s *wire.Segment) { s.Flags = wire.FlagRST; s.Seq += 5 },
		"ACK of the future": func(s *wire.Segment) { s.Ack += 10000 },
		"ACK of the past":   func(s *wire.Segment) { s.Ack -= 1 << 30 },
		"out of window":     func(s *wire.Segment) { s.Seq -= 5 },
	} {
		t.Run(name, func(t *testing.T) {
			h := established(t, nil)
			h.ack(0)
			for round := range 2 {
				for range 50 {
					seg := h.segment(wire.FlagACK, 0)
					forge(&seg)
					h.inject(seg)
				}
				for range challengeMax {
					h.want(1, 0, wire.FlagACK)
				}
				h.wantNothing()
				if st := h.c.Stats(); st.Challenges != uint64(10*(round+1)) || st.ChallengesLimited != uint64(40*(round+1)) {
					t.Fatalf("%d challenges, %d not sent", st.Challenges, st.ChallengesLimited)
				}
				h.advance(Second)
			}
			h.wantState(Established)
		})
	}
}

// Payload that comes again is always ACKed: its ACK was lost.
func TestInputRetransmissionIsAcked(t *testing.T) {
	h := established(t, nil)
	seg := h.segment(wire.FlagACK, 0)
	seg.PayloadLen = 100
	for range 100 {
		h.inject(seg)
		if s := h.want(1, 0, wire.FlagACK); s.seg.Ack != seg.Seq+100 {
			t.Fatalf("ACK %d", s.seg.Ack)
		}
	}
	if h.c.Stats().BytesReceived != 100 {
		t.Fatalf("%+v", h.c.Stats())
	}
}

// An ACK that was overtaken by another says nothing new, and one that acknowledges what
// was never sent is refused with all that it carries.
func TestInputOldAndImpossibleAcks(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.ack(3 * mss)
	h.wnd = 7
	h.ack(2*mss, [2]int{3 * mss, 4 * mss})
	if st := h.c.Stats(); st.BytesAcked != 3*mss || st.SendWindow != 65535<<7 || h.c.rack.sacked != 0 {
		t.Fatalf("%+v", st)
	}
	h.ack(4*mss + 1)
	h.want(4*mss+1, 0, wire.FlagACK)
	if st := h.c.Stats(); st.BytesAcked != 3*mss || st.SendWindow != 65535<<7 || st.Challenges != 1 {
		t.Fatalf("%+v", st)
	}
	h.ack(4 * mss)
}

// The window follows the newest segment, by sequence and then by ACK
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4, SND.WL1 and SND.WL2).
func TestInputWindowOfTheNewest(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.opts.HasWScale = false; h.opts.HasTS = false })
	set := func(seq int, wnd uint16) {
		seg := h.segment(wire.FlagACK, 0)
		seg.Seq += uint32(seq)
		seg.Window = wnd
		h.inject(seg)
		h.out = nil
	}
	for _, c := range []struct{ seq, wnd, want int }{
		{0, 5000, 5000}, {100, 6000, 6000}, {50, 7000, 6000}, {100, 4000, 4000}, {0, 9000, 4000},
	} {
		if set(c.seq, uint16(c.wnd)); h.c.Stats().SendWindow != c.want {
			t.Fatalf("window %d at %d: %d, want %d", c.wnd, c.seq, h.c.Stats().SendWindow, c.want)
		}
	}
}
