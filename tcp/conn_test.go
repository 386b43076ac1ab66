package tcp

import (
	"errors"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

const mss = 1448 // 1500 - 40 - 12

func TestHandshakeAndClose(t *testing.T) {
	h := established(t, nil)
	h.wantState(Established)
	h.write(3000)
	h.wantData(0, 3000)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(3001, 0, wire.FlagFIN|wire.FlagACK)
	h.wantState(FinWait1)
	h.ack(3001)
	h.wantState(FinWait2)
	if !h.c.SendClosed() || len(h.done) != 3 {
		t.Fatalf("closed %v, %d frames back", h.c.SendClosed(), len(h.done))
	}
	h.inject(h.segment(wire.FlagFIN|wire.FlagACK, 3001))
	h.want(3002, 0, wire.FlagACK)
	h.wantState(TimeWait)
	h.advance(61 * Second)
	h.wantState(Closed)
}

func TestRefused(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.inject(wire.Segment{Flow: testFlow, Ack: uint32(testISS + 1), Flags: wire.FlagRST | wire.FlagACK})
	if !errors.Is(h.c.Err(), ErrRefused) || !h.c.Done() {
		t.Fatalf("err %v", h.c.Err())
	}
}

func TestSynRetriesBackOffAndEnd(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.advance(200 * Second)
	if len(h.out) != 7 || !errors.Is(h.c.Err(), ErrTimeout) {
		t.Fatalf("%d SYNs, err %v", len(h.out), h.c.Err())
	}
	h.out = nil
}

func TestInitialWindowIsTenSegments(t *testing.T) {
	h := established(t, nil)
	h.write(20 * mss)
	h.wantData(0, 10*mss)
	h.wantNothing()
	h.advance(Millisecond)
	h.ack(2 * mss) // slow start: two ACKed, four more
	h.wantData(10*mss, 14*mss)
}

func TestSackRecovery(t *testing.T) {
	h := established(t, nil)
	h.write(10 * mss)
	h.wantData(0, 10*mss)
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 2 * mss})
	h.ack(0, [2]int{mss, 3 * mss})
	h.wantNothing()
	h.ack(0, [2]int{mss, 4 * mss})
	s := h.want(1, mss, wire.FlagACK)
	if !s.tx.Again || h.c.Stats().Phase != "recovery" {
		t.Fatalf("again %v, phase %s", s.tx.Again, h.c.Stats().Phase)
	}
	h.advance(Millisecond)
	h.ack(10 * mss)
	if st := h.c.Stats(); st.Phase != "open" || st.Ssthresh != 5*mss || st.Cwnd > 6*mss || st.Retransmits != 1 {
		t.Fatalf("%+v", st)
	}
}

func TestRackFrameHeld(t *testing.T) {
	h := established(t, nil)
	h.hold = true
	h.write(10 * mss)
	h.wantData(0, 10*mss)
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 4 * mss})
	h.wantNothing() // the kernel still has the first transmission
	if h.c.Stats().RetransmitsHeld != 1 {
		t.Fatalf("%+v", h.c.Stats())
	}
	h.complete()
	h.want(1, mss, wire.FlagACK)
	h.ack(10 * mss)
	if len(h.done) != 9 {
		t.Fatalf("%d frames back, want 9: one retransmission is still out", len(h.done))
	}
	h.complete()
	if len(h.done) != 10 {
		t.Fatalf("%d frames back", len(h.done))
	}
}

func TestRtoFrameHeld(t *testing.T) {
	h := established(t, nil)
	h.hold = true
	h.write(mss)
	h.wantData(0, mss)
	h.advance(900 * Millisecond)
	st := h.c.Stats()
	if st.Timeouts != 0 || st.TimeoutsHeld < 50 || st.Cwnd != 10*mss {
		t.Fatalf("%+v", st)
	}
	h.complete()
	h.advance(20 * Millisecond)
	h.want(1, mss, wire.FlagACK)
}

func TestTimeoutBacksOff(t *testing.T) {
	h := established(t, nil)
	h.write(3 * mss)
	h.wantData(0, 3*mss)
	h.wantTailProbe(2*mss, mss)
	h.advance(250 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.wantNothing()
	h.advance(500 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.ack(mss)
	h.wantData(mss, 3*mss)
	if st := h.c.Stats(); st.Timeouts != 2 || st.Ssthresh != 2*mss {
		t.Fatalf("%+v", st)
	}
	h.ack(3 * mss)
}

func TestNewRenoWithoutSack(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.opts.SACKPermitted = false })
	h.ack(0) // a window update: the first scaled one
	h.write(10 * mss)
	h.wantData(0, 10*mss)
	h.advance(Millisecond)
	for range 3 {
		h.ack(0)
	}
	h.want(1, mss, wire.FlagACK)
	h.wantNothing()
	h.ack(4 * mss) // partial: the fifth is lost as well
	h.want(4*mss+1, mss, wire.FlagACK)
	h.ack(10 * mss)
	if h.c.Stats().Phase != "open" {
		t.Fatalf("%+v", h.c.Stats())
	}
}

func TestZeroWindowProbes(t *testing.T) {
	h := established(t, nil)
	h.write(mss)
	h.wantData(0, mss)
	h.wnd = 0
	h.ack(mss)
	h.write(2 * mss)
	h.wantNothing()
	h.advance(time(1300))
	for range 2 {
		if s := h.out[0]; int(Seq(s.seg.Seq).Sub(testISS)) != mss || len(s.payload) != 1 {
			t.Fatalf("probe: %+v", s.seg)
		}
		h.out = h.out[1:]
	}
	h.wantNothing()
	h.wnd = 65535
	h.ack(mss)
	h.wantData(mss, 3*mss)
	h.ack(3 * mss)
}

func time(ms int) Duration { return Duration(ms) * Millisecond }

func TestSmallWindowCuts(t *testing.T) {
	linearOnly(t)
	h := established(t, func(_ *Config, h *harness) { h.wnd = 500; h.opts.HasWScale = false })
	h.write(1200)
	h.want(1, 500, wire.FlagACK)
	h.wantNothing()
	h.ack(500)
	h.want(501, 500, wire.FlagACK)
	h.ack(1000)
	h.want(1001, 200, wire.FlagACK)
	if h.c.Stats().Splits != 2 || len(h.done) != 0 {
		t.Fatalf("%+v, %d back", h.c.Stats(), len(h.done))
	}
	h.ack(1200)
	if len(h.done) != 1 {
		t.Fatal("frame not back")
	}
}

func TestPathMTUFalls(t *testing.T) {
	h := established(t, nil)
	h.write(2 * mss)
	h.wantData(0, 2*mss)
	h.c.ReceiveICMP(h.now, &wire.ICMPError{Flow: testFlow, Seq: uint32(testISS + 1), Type: 3, Code: 4, MTU: 1280})
	h.transmit()
	small := 1280 - 52
	for _, s := range [][2]int{{0, small}, {small, mss - small}, {mss, small}, {mss + small, mss - small}} {
		h.want(s[0]+1, s[1], wire.FlagACK)
	}
	h.ack(2 * mss)
	if len(h.done) != 2 {
		t.Fatalf("%d frames back", len(h.done))
	}
}

func TestResetOnlyAtRcvNxt(t *testing.T) {
	h := established(t, nil)
	seg := h.segment(wire.FlagRST, 0)
	seg.Seq += 100
	h.inject(seg)
	h.want(1, 0, wire.FlagACK) // challenge
	h.wantState(Established)
	h.inject(h.segment(wire.FlagRST, 0))
	if !errors.Is(h.c.Err(), ErrReset) {
		t.Fatal(h.c.Err())
	}
}

func TestReneging(t *testing.T) {
	h := established(t, nil)
	h.write(3 * mss)
	h.wantData(0, 3*mss)
	h.ack(0, [2]int{mss, 3 * mss})
	h.advance(10 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.ack(mss) // and nothing of what it SACKed
	h.advance(250 * Millisecond)
	h.want(mss+1, mss, wire.FlagACK)
	h.ack(2 * mss)
	h.wantData(2*mss, 3*mss)
	h.ack(3 * mss)
	if h.c.Stats().Reneged != 1 || len(h.done) != 3 {
		t.Fatalf("%+v %d", h.c.Stats(), len(h.done))
	}
}

func TestAbortGivesEverythingBack(t *testing.T) {
	h := established(t, nil)
	h.hold = true
	h.write(20 * mss)
	h.wantData(0, 10*mss)
	h.c.Abort(h.now)
	h.transmit()
	h.want(1, 0, wire.FlagRST|wire.FlagACK)
	h.want(10*mss+1, 0, wire.FlagRST|wire.FlagACK)
	if len(h.done) != 10 { // the ten that were never sent
		t.Fatalf("%d frames back", len(h.done))
	}
	h.complete()
	if len(h.done) != 20 || !h.c.Done() || !errors.Is(h.c.Err(), ErrAborted) {
		t.Fatalf("%d frames back, err %v", len(h.done), h.c.Err())
	}
}

// The counts of what is SACKed, lost and in flight end with the segments.
func TestAbortWithSackedSegments(t *testing.T) {
	h := established(t, nil)
	h.write(10 * mss)
	h.wantData(0, 10*mss)
	h.advance(Millisecond)
	h.ack(mss, [2]int{3 * mss, 6 * mss})
	h.out = nil
	h.c.Abort(h.now)
	h.transmit()
	h.want(mss+1, 0, wire.FlagRST|wire.FlagACK)
	h.want(10*mss+1, 0, wire.FlagRST|wire.FlagACK)
	if len(h.done) != 10 {
		t.Fatalf("%d frames back", len(h.done))
	}
}

// What is below TCP may change in mid-stream: it counts from the next packet on, for
// what is sent again too.
func TestSetPath(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.hold = true
	p := wire.Path{DstMAC: [6]byte{2, 9, 9, 9, 9, 9}, Tagged: true, VLAN: 5}
	h.c.SetPath(p)
	h.advance(300 * Millisecond)
	s := h.want(1, mss, wire.FlagACK)
	pkt := packet(h.region, &s.tx)
	if [6]byte(pkt) != p.DstMAC || pkt[15] != 5 {
		t.Fatalf("% x", pkt[:18])
	}
	h.ack(mss)
	h.complete()
}

func TestWindowIsTheLesser(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	if h.c.Window() != 10*mss || h.c.Flow() != testFlow {
		t.Fatalf("window %d", h.c.Window())
	}
	h.wnd = 10
	h.ack(0)
	if h.c.Window() != 1280 {
		t.Fatalf("window %d", h.c.Window())
	}
}

// Unacked counts payload, and neither SYN nor FIN.
func TestUnacked(t *testing.T) {
	h := flightOf(t, 2, nil)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.out = nil
	for n, want := range []int{2 * mss, 2*mss - 1} {
		if h.ack(n); h.c.Unacked() != want {
			t.Fatalf("%d ACKed: %d", n, h.c.Unacked())
		}
	}
	h.ack(2 * mss)
	if h.c.Unacked() != 0 {
		t.Fatalf("%d", h.c.Unacked())
	}
	h.ack(2*mss + 1)
	if h.c.Unacked() != 0 {
		t.Fatalf("%d", h.c.Unacked())
	}
}

// A connection opens once, however it ended.
func TestConnectOnce(t *testing.T) {
	h := newHarness(t, nil)
	if err := h.c.Connect(h.now); err != nil {
		t.Fatal(err)
	}
	if h.c.Connect(h.now) == nil {
		t.Error("again, before the SYN went")
	}
	h.c.Abort(h.now)
	h.transmit() // no SYN any more
	h.wantNothing()
	if h.c.Connect(h.now) == nil {
		t.Error("again, after it was aborted")
	}
	h = established(t, nil)
	h.inject(h.segment(wire.FlagFIN|wire.FlagACK, 0))
	h.want(1, 0, wire.FlagACK)
	h.c.CloseWrite(h.now)
	h.transmit()
	h.want(1, 0, wire.FlagFIN|wire.FlagACK)
	seg := h.segment(wire.FlagACK, 1)
	seg.Seq++
	h.inject(seg)
	h.wantState(Closed)
	if h.c.Err() != nil || h.c.Connect(h.now) == nil {
		t.Errorf("again, after a clean end; err %v", h.c.Err())
	}
}

// A segment of nothing is refused: it would never be ACKed.
func TestQueueOfNothing(t *testing.T) {
	h := established(t, nil)
	for _, n := range []int{0, -1} {
		if h.c.Queue(0, Headroom, n) {
			t.Errorf("%d bytes were taken", n)
		}
	}
	if h.c.Unacked() != 0 {
		t.Fatalf("%d bytes wait", h.c.Unacked())
	}
}

// A writer needs twice the window, of the two the one that limits.
func TestMemoryIsTwoWindows(t *testing.T) {
	h := established(t, nil)
	if got := h.c.Memory(); got != 2*10*mss {
		t.Errorf("%d bytes for a congestion window of %d", got, h.c.Window())
	}
	h.wnd = 20 // scaled: 2560 bytes
	h.ack(0)
	if got := h.c.Memory(); got != 2*20<<7 {
		t.Errorf("%d bytes for a window of %d", got, h.c.Window())
	}
}
