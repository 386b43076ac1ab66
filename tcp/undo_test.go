package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// ackEcho is an ACK in answer to a segment that was sent at moment t.
func (h *harness) ackEcho(t Time, n int, blocks ...[2]int) {
	h.t.Helper()
	seg := h.segment(wire.FlagACK, n)
	seg.Options.TSEcr = h.c.tsVal(t)
	for i, b := range blocks {
		seg.Options.SACK[i] = wire.SACKBlock{Start: uint32(testISS.Add(1 + b[0])), End: uint32(testISS.Add(1 + b[1]))}
		seg.Options.NumSACK++
	}
	h.inject(seg)
}

// overtaken is a connection in fast recovery: of ten segments the first is sent again,
// because four behind it arrived. Both congestion windows are known.
func overtaken(t *testing.T, edit func(*Config, *harness)) *harness {
	t.Helper()
	h := flightOf(t, 10, edit)
	h.advance(Millisecond)
	full := h.c.MSS()
	h.ack(0, [2]int{full, 5 * full})
	h.want(1, full, wire.FlagACK)
	if st := h.c.Stats(); st.Recoveries != 1 || st.Cwnd >= 64*full {
		t.Fatalf("%+v", st)
	}
	return h
}

// The first segment was only late: its ACK echoes a timestamp from before the
// retransmission (https://www.rfc-editor.org/rfc/rfc3522#section-3.2). The window is what it was.
func TestUndoByTimestamp(t *testing.T) {
	for _, cc := range []Congestion{Reno, Cubic} {
		t.Run(string(cc), func(t *testing.T) {
			h := overtaken(t, func(c *Config, _ *harness) { c.Congestion = cc })
			h.advance(Millisecond)
			h.ackEcho(Second+Millisecond, 5*mss)
			st := h.c.Stats()
			if st.SpuriousRecoveries != 1 || st.Cwnd != 64*mss || st.Phase != "open" || !h.c.rack.reorder {
				t.Fatalf("%+v", st)
			}
			h.ack(10 * mss)
		})
	}
}

// The same ACK with the echo of the retransmission is that of a loss.
func TestUndoNotAfterALoss(t *testing.T) {
	h := overtaken(t, nil)
	h.advance(Millisecond)
	h.ackEcho(h.now-Millisecond, 5*mss)
	if st := h.c.Stats(); st.SpuriousRecoveries != 0 || st.Phase != "recovery" {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(10 * mss)
	if st := h.c.Stats(); st.SpuriousRecoveries != 0 || st.Cwnd >= 64*mss {
		t.Fatalf("%+v", st)
	}
}

// secondRecovery is a connection in its second fast recovery. Segment 10, lost in the first one
// beyond the point that ended it, was sent again at the moment returned and is on its way; segment
// 20 was sent again since.
func secondRecovery(t *testing.T, edit func(*Config, *harness)) (h *harness, resent Time) {
	t.Helper()
	h = flightOf(t, 10, edit)
	full := h.c.MSS()
	step := func(n int, blocks ...[2]int) {
		t.Helper()
		h.advance(2 * Millisecond)
		for i := range blocks {
			blocks[i][0], blocks[i][1] = blocks[i][0]*full, blocks[i][1]*full
		}
		h.ack(n*full, blocks...)
	}
	step(0, [2]int{1, 5})
	h.want(1, full, wire.FlagACK)
	h.write(10 * full)
	h.wantData(10*full, 20*full)
	step(0, [2]int{6, 10}, [2]int{1, 5})
	h.want(5*full+1, full, wire.FlagACK)
	step(5, [2]int{6, 10})
	h.write(10 * full)
	h.wantData(20*full, 30*full)
	step(5, [2]int{11, 20}, [2]int{6, 10})
	h.want(10*full+1, full, wire.FlagACK)
	resent = h.now
	step(10, [2]int{11, 20})
	if st := h.c.Stats(); st.Phase != "open" || st.Recoveries != 1 {
		t.Fatalf("%+v", st)
	}
	step(10, [2]int{21, 30}, [2]int{11, 20})
	h.want(20*full+1, full, wire.FlagACK)
	h.advance(2 * Millisecond)
	return h, resent
}

// The ACK of what an earlier recovery sent again is older than all that this one did, and says
// nothing about it (Eifel compares with the retransmission of the same segment,
// https://www.rfc-editor.org/rfc/rfc3522#section-3.2).
func TestUndoNotByAnEarlierRecovery(t *testing.T) {
	h, resent := secondRecovery(t, func(c *Config, _ *harness) { c.Congestion = Fixed })
	h.ackEcho(resent, 20*mss, [2]int{21 * mss, 30 * mss})
	if st := h.c.Stats(); st.SpuriousRecoveries != 0 || st.Phase != "recovery" {
		t.Fatalf("%+v", st)
	}
	h.ackEcho(Second, 30*mss) // the control: segment 20's own, late
	if st := h.c.Stats(); st.SpuriousRecoveries != 1 {
		t.Fatalf("%+v", st)
	}
}

// A duplicate of what an earlier recovery sent again does not speak for this one.
func TestUndoNotByAnEarlierDuplicate(t *testing.T) {
	h, _ := secondRecovery(t, func(c *Config, h *harness) { c.Congestion, h.opts.HasTS = Fixed, false })
	full := h.c.MSS()
	h.ack(20*full, [2]int{10 * full, 11 * full}, [2]int{21 * full, 30 * full})
	if st := h.c.Stats(); st.SpuriousRecoveries != 0 || st.DSACKs != 1 || st.Phase != "recovery" {
		t.Fatalf("%+v", st)
	}
	h.ack(30*full, [2]int{20 * full, 21 * full})
	if st := h.c.Stats(); st.SpuriousRecoveries != 1 {
		t.Fatalf("%+v", st)
	}
}

// All that was sent again arrived twice, says the peer: nothing was lost
// (https://www.rfc-editor.org/rfc/rfc3708#section-2), even if the recovery is over by then.
func TestUndoByDSACK(t *testing.T) {
	h := overtaken(t, func(_ *Config, h *harness) { h.opts.HasTS = false })
	full := h.c.MSS()
	h.advance(Millisecond)
	h.ack(10 * full)
	if st := h.c.Stats(); st.Phase != "open" || st.Cwnd >= 64*full || st.SpuriousRecoveries != 0 {
		t.Fatalf("%+v", st)
	}
	h.ack(10*full, [2]int{0, full})
	if st := h.c.Stats(); st.SpuriousRecoveries != 1 || st.Cwnd != 64*full {
		t.Fatalf("%+v", st)
	}
}

// Two segments were sent again, one arrived twice: the other was lost.
func TestUndoNotByHalfTheDSACKs(t *testing.T) {
	h := flightOf(t, 10, func(_ *Config, h *harness) { h.opts.HasTS = false })
	full := h.c.MSS()
	h.advance(Millisecond)
	h.ack(0, [2]int{2 * full, 6 * full})
	h.want(1, full, wire.FlagACK)
	h.ack(0, [2]int{2 * full, 9 * full})
	h.want(full+1, full, wire.FlagACK)
	h.advance(Millisecond)
	h.ack(10*full, [2]int{0, full})
	h.ack(10*full, [2]int{0, 0})
	if st := h.c.Stats(); st.SpuriousRecoveries != 0 || st.Cwnd >= 64*full {
		t.Fatalf("%+v", st)
	}
	h.ack(10*full, [2]int{full, 2 * full})
	if st := h.c.Stats(); st.SpuriousRecoveries != 1 {
		t.Fatalf("%+v", st)
	}
}

// A duplicate of the tail loss probe that preceded the recovery does not speak for the
// retransmission that followed it.
func TestUndoNotByTheProbesDuplicate(t *testing.T) {
	h := flightOf(t, 10, func(_ *Config, h *harness) { h.opts.HasTS = false })
	full := h.c.MSS()
	h.wantTailProbe(9*full, full)
	h.advance(Millisecond)
	h.ack(0, [2]int{9 * full, 10 * full}, [2]int{full, 10 * full}) // DSACK of the probe, and all but the first
	h.want(1, full, wire.FlagACK)
	h.ack(0, [2]int{9 * full, 10 * full}, [2]int{full, 10 * full})
	if st := h.c.Stats(); st.SpuriousRecoveries != 0 || st.Phase != "recovery" {
		t.Fatalf("%+v", st)
	}
	h.ack(10 * full)
}

// What counted as lost is in flight again, in order of transmission, and is not sent
// once more.
func TestUndoPutsTheFlightBack(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.wantTailProbe(9*mss, mss)
	h.advance(h.c.Deadline() - h.now)
	h.want(1, mss, wire.FlagACK) // the timeout
	if st := h.c.Stats(); st.Timeouts != 1 || st.Cwnd != mss {
		t.Fatalf("%+v", st)
	}
	h.ackEcho(Second+Millisecond, mss) // the first segment's own, late
	st := h.c.Stats()
	if st.SpuriousTimeouts != 1 || st.Cwnd != 64*mss || st.InFlight != 9*mss || h.c.rack.lost.segments != 0 {
		t.Fatalf("%+v", st)
	}
	h.advance(Millisecond)
	h.ack(10 * mss)
}

// Reneging forgets what is known, and with it the undo.
func TestUndoNotAfterReneging(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.ack(0, [2]int{0, 2 * mss}) // the first one SACKed: a peer that is about to renege
	h.advance(h.c.Deadline() - h.now)
	h.out = nil
	h.ackEcho(Second+Millisecond, mss)
	if st := h.c.Stats(); st.Reneged != 1 || st.SpuriousTimeouts != 0 {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(4 * mss)
}

// A router said meanwhile that the path carries less: what was marked lost for its size does not
// go back into the flight, from where it would never arrive, nor could be cut.
func TestUndoLeavesWhatIsTooLarge(t *testing.T) {
	h := flightOf(t, 4, nil)
	sent := h.now
	h.advance(Millisecond)
	h.wantTailProbe(3*mss, mss)
	h.advance(h.c.timers.rto - h.now)
	h.want(1, mss, wire.FlagACK)
	h.c.ReceiveICMP(h.now, &wire.ICMPError{Seq: uint32(h.c.sndUna), Type: icmp4Unreachable, Code: icmp4CodeFragNeed, MTU: 1280})
	small := h.c.MSS()
	h.ackEcho(sent, mss)
	if st := h.c.Stats(); st.SpuriousTimeouts != 1 || st.Phase != "open" {
		t.Fatalf("%+v", st)
	}
	for from := mss; from < 4*mss; from += mss {
		h.want(from+1, small, wire.FlagACK)
		h.want(from+small+1, mss-small, wire.FlagACK)
	}
	h.ack(4 * mss)
	if st := h.c.Stats(); st.InFlight != 0 {
		t.Fatalf("%+v", st)
	}
}

// Only what was sent before the reduction, and again since, speaks for it or against it.
func TestUndoCountsItsOwn(t *testing.T) {
	u := undoState{live: true, marker: 10, end: 100}
	dsack := &ackEvent{dsack: true}
	if u.needless(dsack) {
		t.Error("needless, and nothing was sent again")
	}
	if u.resent(Second, 100); u.pending != 0 || u.first != 0 {
		t.Errorf("new data: %+v", u)
	}
	u.resent(Second, 20)
	u.resent(2*Second, 30)
	if u.pending != 2 || u.first != Second {
		t.Errorf("%+v", u)
	}
	for _, from := range []Seq{0, 9, 100, 200} {
		if u.duplicated(from, 1); u.pending != 2 {
			t.Errorf("a duplicate at %d: %+v", from, u)
		}
	}
	if u.needless(dsack) {
		t.Error("two are pending")
	}
	if u.duplicated(20, 3); u.pending != 0 || !u.needless(dsack) {
		t.Errorf("all of them twice: %+v", u)
	}
	for _, s := range []slot{{xmits: 1, sent: 3 * Second}, {xmits: 2, sent: Second - 1}} {
		if u.covers(&s) {
			t.Errorf("%+v", s)
		}
	}
	if !u.covers(&slot{xmits: 2, sent: Second}) {
		t.Error("sent again since")
	}
	if u.live = false; u.needless(dsack) {
		t.Error("it is over")
	}
}

// A recovery is taken back once.
func TestUndoIsForOnce(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.ack(0, [2]int{mss, 4 * mss})
	h.wantData(0, mss)
	h.ack(10 * mss)
	h.ack(10*mss, [2]int{0, mss})
	if h.c.Stats().SpuriousRecoveries != 1 || h.c.undo.live {
		t.Fatalf("%+v", h.c.undo)
	}
}

// What is not lost after all goes back where its transmission belongs, and stays what it is.
func TestUnmarkKeepsTheOrder(t *testing.T) {
	h := flightOf(t, 2, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(2*mss+1, 0, wire.FlagFIN|wire.FlagACK)
	fin := h.c.q.last
	h.c.markLost(fin)
	h.c.unmarkLost()
	h.check()
	if h.c.rack.flight.newest != fin || !h.c.q.slots[fin].has(slotFIN|slotFlight) || h.c.rack.flight.segments != 3 {
		t.Fatalf("%+v", h.c.rack.flight)
	}
	h.ack(2*mss + 1)
}
