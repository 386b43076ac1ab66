package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// What runs out - frames for copies, slots for cuts - and what is not known - when a
// segment that was sent twice arrived - was found by seeds of the simulator.

func (h *harness) pathMTU(mtu int) {
	h.t.Helper()
	h.c.ReceiveICMP(h.now, &wire.ICMPError{Flow: testFlow, Seq: uint32(h.c.sndUna), Type: 3, Code: 4, MTU: uint32(mtu)})
	h.transmit()
}

// A copy is kept while it is in flight and no longer: copies behind a hole must not
// use up the frames that the hole needs.
func TestCopiesAreKeptInFlightOnly(t *testing.T) {
	linearOnly(t)
	h := established(t, nil)
	h.write(3 * mss)
	free := h.pool.Free()
	h.pathMTU(1280)
	small := 1280 - 52
	h.out = nil
	if got := h.pool.Free(); got != free-3 {
		t.Fatalf("%d frames for three copies in flight", free-got)
	}
	h.ack(0, [2]int{small, mss}, [2]int{mss + small, 2 * mss}) // two of the tails arrive
	h.out = nil
	if got := h.pool.Free(); got != free-1 {
		t.Fatalf("%d frames for one copy in flight", free-got)
	}
	h.advance(250 * Millisecond) // the timeout: everything else is lost
	h.out = nil
	if got := h.pool.Free(); got != free {
		t.Fatalf("%d frames for no copy in flight", free-got)
	}
	h.ack(3 * mss)
}

// Copies leave frames for ACKs: a peer that gets none would go on for ever.
func TestCopiesLeaveFramesForControl(t *testing.T) {
	linearOnly(t)
	h := established(t, nil)
	h.write(3 * mss)
	h.out = nil
	for h.pool.Free() > controlFrames {
		if _, ok := h.pool.Alloc(); !ok {
			t.Fatal("no frame")
		}
	}
	h.pathMTU(1280)
	h.want(1, 1280-52, wire.FlagACK) // this goes in place
	h.wantNothing()
	seg := h.segment(wire.FlagACK, 0)
	seg.PayloadLen = 10
	h.inject(seg)
	h.want(3*mss+1, 0, wire.FlagACK)
	if h.c.Stats().NoFrame == 0 {
		t.Fatal("frames were there")
	}
}

// Queue leaves slots for cuts, and the last one is for the first segment.
func TestSlotsForCutsAreKept(t *testing.T) {
	linearOnly(t)
	h := established(t, func(c *Config, _ *harness) { c.SendSlots = 12 })
	n := 0
	for ; h.c.Room() > 0; n++ {
		h.writeFrame(payloadAt, mss)
	}
	f, _ := h.pool.Lend()
	h.pool.Commit(f)
	if n != 12-cutReserve || h.c.Queue(f, payloadAt, mss) {
		t.Fatalf("%d commits had room, or there was room for one more", n)
	}
	h.pool.Drop(f)
	h.transmit()
	h.out = nil
	h.pathMTU(minMTU)
	for una, tries := 0, 0; una < n*mss; tries++ {
		if tries > 100 {
			t.Fatalf("stuck: %+v", h.c.Stats())
		}
		for _, s := range h.out { // what comes in order is ACKed
			if at := int(Seq(s.seg.Seq).Sub(testISS)) - 1; at <= una {
				una = max(una, at+len(s.payload))
			}
		}
		h.out = nil
		h.ack(una)
		h.advance(300 * Millisecond)
	}
	h.out = nil
}

// An ACK that covers a retransmission says nothing about the round-trip time, not even
// that of segments behind it that were sent once: they waited for it
// (https://www.rfc-editor.org/rfc/rfc6298#section-3).
func TestRepairIsNoRoundTrip(t *testing.T) {
	h := established(t, nil)
	h.write(4 * mss)
	h.wantData(0, 4*mss)
	before := h.c.Stats().SRTT
	h.wantTailProbe(3*mss, mss)
	h.advance(250 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.ack(4 * mss)
	if st := h.c.Stats(); st.SRTT != before {
		t.Fatalf("SRTT %d us, was %d us", st.SRTT/Microsecond, before/Microsecond)
	}
}

// Nor does the second SACK of what the peer is believed to have thrown away.
func TestRenegingIsNoRoundTrip(t *testing.T) {
	h := established(t, nil)
	h.write(3 * mss)
	h.wantData(0, 3*mss)
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 3 * mss})
	h.advance(10 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	before := h.c.Stats().SRTT
	h.ack(mss)                   // and nothing of what it SACKed
	h.advance(250 * Millisecond) // the timeout: believed to have reneged
	h.want(mss+1, mss, wire.FlagACK)
	h.ack(mss, [2]int{2 * mss, 3 * mss}) // it had not
	if st := h.c.Stats(); st.Reneged != 1 || st.SRTT != before {
		t.Fatalf("reneged %d, SRTT %d us, was %d us", st.Reneged, st.SRTT/Microsecond, before/Microsecond)
	}
	h.out = nil
	h.ack(3 * mss)
}

// While the kernel holds the first segment, cuts of the others leave a slot for its own.
func TestSlotForTheHeadIsKept(t *testing.T) {
	linearOnly(t)
	h := established(t, func(c *Config, h *harness) { c.SendSlots, h.hold = 14, true })
	for h.c.Room() > 0 {
		h.writeFrame(payloadAt, mss)
	}
	h.transmit()
	h.out = nil
	head := h.held[len(h.held)-6]
	h.held = append(h.held[:len(h.held)-6], h.held[len(h.held)-5:]...)
	h.complete()
	h.pathMTU(minMTU)
	if h.c.q.nfree != headReserve {
		t.Fatalf("%d slots free", h.c.q.nfree)
	}
	h.out = nil
	h.held = append(h.held, head)
	h.complete()
	h.want(1, minMTU-52, wire.FlagACK)
	h.complete()
	h.out = nil
	h.ack(6 * mss)
}

// Nor does an ACK that a duplicate caused, whatever it covers for the first time: the
// ACK of that was lost.
func TestDuplicateIsNoRoundTrip(t *testing.T) {
	h := established(t, nil)
	h.write(4 * mss)
	h.wantData(0, 4*mss)
	before := h.c.Stats().SRTT
	h.wantTailProbe(3*mss, mss)
	echoed := h.c.tsVal(h.now)
	h.advance(250 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.advance(Millisecond)
	seg := h.segment(wire.FlagACK, 4*mss)
	seg.Options.TSEcr = echoed
	seg.Options.SACK[0], seg.Options.NumSACK = wire.SACKBlock{Start: uint32(testISS + 1), End: uint32(testISS.Add(1 + mss))}, 1
	h.inject(seg)
	if st := h.c.Stats(); st.SRTT != before || st.DSACKs != 1 {
		t.Fatalf("%+v, SRTT was %d us", st, before/Microsecond)
	}
}

// Where there is no slot for another cut what needs one waits, and what needs none goes.
func TestCutReserveIsUsedUp(t *testing.T) {
	h := established(t, func(c *Config, _ *harness) { c.SendSlots = cutReserve + 5; c.InitialCwnd = 64 })
	h.ack(0)
	h.write(4*mss + 300)
	h.wantData(0, 4*mss+300)
	h.hold = true // so that nothing is sent twice here
	h.c.SetMTU(minMTU)
	h.c.markLost(h.c.q.last)
	h.transmit()
	for k := range 3 {
		h.want(k*mss+1, 524, wire.FlagACK)
		h.want(k*mss+525, 524, wire.FlagACK)
		h.want(k*mss+1049, mss-1048, wire.FlagACK)
	}
	h.want(3*mss+1, 524, wire.FlagACK)
	h.want(4*mss+1, 300, wire.FlagACK)
	h.wantNothing()
	h.hold = false
	h.complete()
	h.ack(3*mss + 524)
	h.want(3*mss+525, 524, wire.FlagACK)
	h.want(3*mss+1049, mss-1048, wire.FlagACK)
	h.ack(4*mss + 300)
}
