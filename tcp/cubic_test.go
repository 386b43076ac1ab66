package tcp

import (
	"math"
	"math/rand/v2"
	"testing"
)

func TestCubeRoot(t *testing.T) {
	for _, x := range []uint64{0, 1, 7, 8, 26, 27, 1 << 60, 1<<63 - 1, math.MaxUint64} {
		checkRoot(t, x)
	}
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		checkRoot(t, r.Uint64()>>r.IntN(64))
	}
}

func checkRoot(t *testing.T, x uint64) {
	t.Helper()
	r := uint64(cubeRoot(x))
	next := (r + 1) * (r + 1) * (r + 1)
	if r*r*r > x || r < 2_642_245 && next <= x { // 2642245^3 is the last cube below 2^64
		t.Fatalf("the cube root of %d is not %d", x, r)
	}
}

// reduced is a cubic after a loss at 100 segments of 1000 bytes, out of recovery.
func reduced() *cubic {
	c := &cubic{}
	c.start(0, 1000, 10)
	c.cwnd = 100_000
	c.onLoss(Second, 100_000)
	c.onRecovered(Second)
	return c
}

// acks lets the whole window be ACKed once per round-trip time of rtt, in segments.
func (c *cubic) acks(from, to Time, rtt Duration) {
	for now := from; now < to; {
		n := max(c.cwnd/c.mss, 1)
		for k := range n {
			c.onAck(&sample{now: now + Time(k)*rtt/Time(n), grow: c.mss, srtt: rtt})
		}
		now += rtt
	}
}

// The curve is that of https://www.rfc-editor.org/rfc/rfc9438#section-4.2, computed here in floats: 70 segments
// after the loss, 100 at K, steep behind it.
func TestCubicCurve(t *testing.T) {
	c := reduced()
	if c.cwnd != 70_000 || c.threshold() != 70_000 {
		t.Fatalf("window %d, threshold %d after a loss", c.cwnd, c.ssthresh)
	}
	c.begin(Second)
	k := math.Cbrt(30 / 0.4)
	for _, s := range []float64{0, 0.5, 1, 2, 3, 4.2, 5, 6, 8, 10, 20} {
		want := (0.4*math.Pow(s-k, 3) + 100) * 1000
		if got := float64(c.at(int64(s * 1000))); math.Abs(got-want) > 30+want/10_000 {
			t.Errorf("%.1f s: window %.0f, should be %.0f bytes", s, got, want)
		}
	}
	if c.at(math.MaxInt32) <= 0 || c.at(1<<40) <= 0 {
		t.Error("far away the curve overflows")
	}
}

// With a long round trip the window follows the curve: it is back where it was at K,
// and has hardly moved shortly before and after.
func TestCubicFollowsTheCurve(t *testing.T) {
	c := reduced()
	rtt := 100 * Millisecond
	k := Time(math.Cbrt(30/0.4) * float64(Second))
	c.acks(Second, Second+k, rtt)
	if c.cwnd < 98_000 || c.cwnd > 101_000 {
		t.Fatalf("window %d at K, should be about 100000", c.cwnd)
	}
	c.acks(Second+k, Second+2*k, rtt)
	if c.cwnd < 124_000 || c.cwnd > 138_000 {
		t.Fatalf("window %d at 2K, should be about 130000", c.cwnd)
	}
}

// Where the curve is slower than Reno would be, the window is Reno's
// (https://www.rfc-editor.org/rfc/rfc9438#section-4.3): alpha segments per round trip, and one
// from the window before the loss on.
func TestCubicRenoFriendly(t *testing.T) {
	c := reduced()
	rtt := Millisecond
	c.acks(Second, Second+20*rtt, rtt)
	if want := 70_000 + 20*1000*9/17; c.cwnd < want-1000 || c.cwnd > want+1000 {
		t.Fatalf("window %d after 20 round trips, should be about %d", c.cwnd, want)
	}
	c.acks(Second+20*rtt, Second+57*rtt, rtt)
	past := c.cwnd
	if past < 99_000 {
		t.Fatalf("window %d after 57 round trips", past)
	}
	c.acks(Second+57*rtt, Second+77*rtt, rtt)
	if got := c.cwnd - past; got < 18_000 || got > 21_000 {
		t.Fatalf("%d bytes in 20 round trips, should be about 20000", got)
	}
}

// A second loss below the last maximum gives room to others
// (https://www.rfc-editor.org/rfc/rfc9438#section-4.7); one above it does not.
func TestCubicFastConvergence(t *testing.T) {
	c := reduced()
	c.onLoss(2*Second, 70_000)
	if c.wMax != 70_000*17/20 || c.prior != 70_000 || c.ssthresh != 49_000 {
		t.Fatalf("%+v", c)
	}
	c.cwnd = 90_000
	if c.onLoss(3*Second, 90_000); c.wMax != 90_000 {
		t.Fatalf("%+v", c)
	}
	if c.onLoss(4*Second, 1000); c.ssthresh != 2000 {
		t.Fatalf("threshold %d: below two segments", c.ssthresh)
	}
}

// Never more than half a window in a round trip, however steep the curve.
func TestCubicIsNotSteeperThanHalf(t *testing.T) {
	c := reduced()
	c.begin(Second)
	before := c.cwnd
	now := Second + 900*Second // far up the curve
	for range before / 1000 {
		c.onAck(&sample{now: now, grow: 1000, srtt: 100 * Millisecond})
	}
	// The window grows while it is ACKed: compounded that is a factor of e^(1/2).
	if c.cwnd > before*166/100 || c.cwnd < before*140/100 {
		t.Fatalf("from %d to %d", before, c.cwnd)
	}
}

// After a timeout slow start leads to the threshold, and the epoch that follows starts flat
// (https://www.rfc-editor.org/rfc/rfc9438#section-4.8).
func TestCubicTimeout(t *testing.T) {
	c := reduced()
	c.onTimeout(2*Second, 70_000, true)
	if c.cwnd != 1000 || c.ssthresh != 49_000 {
		t.Fatalf("%+v", c)
	}
	c.onTimeout(3*Second, 1000, false)
	if c.ssthresh != 49_000 {
		t.Fatalf("threshold %d: fell twice", c.ssthresh)
	}
	for c.cwnd < 49_000 {
		c.onAck(&sample{now: 4 * Second, grow: 1000, srtt: 100 * Millisecond})
	}
	c.onAck(&sample{now: 4 * Second, grow: 1000, srtt: 100 * Millisecond})
	if c.k != 0 || c.origin < 49_000 || c.origin > 50_000 {
		t.Fatalf("%+v", c)
	}
}

// The ACK that leads past the threshold counts by its parts, and one that finds nothing
// to grow changes nothing.
func TestCubicSlowStart(t *testing.T) {
	c := &cubic{}
	c.start(0, 1000, 10)
	c.onAck(&sample{now: Second, grow: 4000})
	if c.cwnd != 14_000 {
		t.Fatalf("window %d", c.cwnd)
	}
	c.ssthresh = 15_000
	c.onAck(&sample{now: Second, grow: 3000, srtt: Millisecond})
	if c.cwnd < 15_000 || c.cwnd > 15_200 || c.epoch != Second {
		t.Fatalf("%+v", c)
	}
	before := *c
	if c.onAck(&sample{now: 2 * Second}); *c != before {
		t.Fatalf("%+v", c)
	}
}

// A pause is not counted as time on the curve
// (https://www.rfc-editor.org/rfc/rfc9438#section-5.8).
func TestCubicPause(t *testing.T) {
	c := reduced()
	c.acks(Second, 3*Second, 100*Millisecond)
	c.last = 3 * Second
	at := c.at(2000)
	c.onIdle(63*Second, 10_000)
	if c.cwnd != 10_000 || c.ssthresh < 70_000 {
		t.Fatalf("%+v", c)
	}
	if got := c.at(int64((63*Second - c.epoch) / Millisecond)); got != at {
		t.Fatalf("the curve went from %d to %d in the pause", at, got)
	}
}

func TestCubicIsBounded(t *testing.T) {
	c := &cubic{}
	c.start(0, 1000, 10)
	c.cwnd = maxCwnd - 10
	c.onAck(&sample{now: Second, grow: 1 << 20})
	if c.cwnd != maxCwnd {
		t.Fatalf("window %d", c.cwnd)
	}
	c.ssthresh = c.cwnd
	c.onAck(&sample{now: Second, grow: 1 << 20, srtt: Second})
	c.onAck(&sample{now: 1000 * Second, grow: 1 << 20, srtt: Second})
	if c.cwnd != maxCwnd {
		t.Fatalf("window %d", c.cwnd)
	}
}

// A whole connection over a link that loses: everything arrives, and the engine asks
// CUBIC in each phase.
func TestCubicTransfer(t *testing.T) {
	l := transfer(t, Config{Congestion: Cubic, Flow: testFlow, ISS: testISS}, nil)
	if c := l.c.cc.(*cubic); c.ssthresh == math.MaxInt || c.prior == 0 {
		t.Fatalf("%+v", c)
	}
}

func TestFixedWindow(t *testing.T) {
	f := &fixed{set: 50_000}
	f.start(0, 1000, 10)
	f.onLoss(0, 10)
	f.onTimeout(0, 10, true)
	f.setWindow(7)
	f.onAck(&sample{grow: 100_000})
	if f.window() != 50_000 || f.proportional() {
		t.Fatalf("%+v", f)
	}
	f = &fixed{set: 10}
	if f.start(0, 1000, 10); f.window() != 1000 {
		t.Fatalf("window %d: not one segment", f.window())
	}
	if f.setMSS(2000); f.window() != 2000 {
		t.Fatalf("window %d: not one segment", f.window())
	}
}

// Fixed sends on at its window through loss and timeout, and repairs what was lost.
func TestFixedTransfer(t *testing.T) {
	l := transfer(t, Config{Congestion: Fixed, FixedWindow: 30_000, Flow: testFlow, ISS: testISS}, nil)
	if st := l.c.Stats(); st.Cwnd != 30_000 || st.Retransmits == 0 {
		t.Fatalf("%+v", st)
	}
}

// A writer that waits for the peer's window is idle once, however often it is looked at meanwhile:
// the pause is taken out of the epoch as long as it was
// (https://www.rfc-editor.org/rfc/rfc9438#section-5.8).
func TestCubicPauseThatIsLookedAtOften(t *testing.T) {
	h := flightOf(t, 4, func(c *Config, _ *harness) { c.Congestion = Cubic })
	cc := h.c.cc.(*cubic)
	cc.epoch, cc.last = h.now-100*Millisecond, h.now
	h.wnd = 0
	h.ack(4 * mss)
	h.write(mss)
	for range 10 {
		h.advance(500 * Millisecond)
		h.transmit()
	}
	if age := h.now - cc.epoch; age < 99*Millisecond || age > 100*Millisecond+2*h.c.rtt.rto {
		t.Fatalf("the epoch is %d ms old", age/Millisecond)
	}
	h.out = nil
}

// A pause too short for the window to be restarted is no time on the curve either.
func TestCubicShortPause(t *testing.T) {
	c := reduced()
	c.acks(Second, 3*Second, 100*Millisecond)
	c.last = 3 * Second
	epoch := c.epoch
	c.onRestart(3*Second + 150*Millisecond)
	if c.epoch != epoch+150*Millisecond {
		t.Fatalf("the epoch moved by %d ms", (c.epoch-epoch)/Millisecond)
	}
}

// An undo restores the curve, but not when the last ACK came: the next one that lets nothing
// grow would take the whole recovery out of the epoch.
func TestCubicUndoKnowsTheLastAck(t *testing.T) {
	c := reduced()
	c.acks(Second, 3*Second, 100*Millisecond)
	c.last = 3 * Second
	epoch := c.epoch
	c.save()
	c.onLoss(3*Second, c.cwnd)
	c.onAck(&sample{now: 5 * Second, acked: 1000})
	c.undo(5 * Second)
	c.onAck(&sample{now: 5*Second + Millisecond, acked: 1000})
	if c.epoch != epoch+Millisecond {
		t.Fatalf("the epoch moved by %d ms", (c.epoch-epoch)/Millisecond)
	}
}
