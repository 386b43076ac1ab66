package tcp

import "testing"

// round plays a round of n ACKs of 1000 bytes with this round-trip time, and gives what the
// window may grow by; left says whether slow start ended.
func (h *hystart) round(delivered *uint64, n int, rtt Duration) (grown int, left bool) {
	start := *delivered
	for range n {
		*delivered += 1000
		a := sample{rtt: rtt, rate: rateSample{sent: 1, priorDelivered: start, total: *delivered}}
		g, leave := h.grow(&a, 1000)
		grown += g
		left = left || leave
	}
	return grown, left
}

// The least RTT of a round that is an eighth above that of the round before ends exponential
// growth: it goes on at a quarter of the pace for five rounds, then slow start is over
// (https://www.rfc-editor.org/rfc/rfc9406#section-4.2).
func TestHystartLeaves(t *testing.T) {
	var h hystart
	var d uint64
	if n, _ := h.round(&d, 10, 40*Millisecond); n != 10_000 {
		t.Fatalf("the first round grows by %d", n)
	}
	if n, _ := h.round(&d, 20, 44*Millisecond); n != 20_000 {
		t.Fatalf("4 ms more, and the window grows by %d", n)
	}
	if n, _ := h.round(&d, 40, 50*Millisecond); n != 7*1000+33*250 || !h.css {
		t.Fatalf("the queue grows, and the window by %d: %+v", n, h)
	}
	for k := range hyCSSRounds - 1 {
		if n, left := h.round(&d, 40, 50*Millisecond); n != 40*250 || left {
			t.Fatalf("round %d of conservative slow start: %d, left %v", k+2, n, left)
		}
	}
	if _, left := h.round(&d, 1, 50*Millisecond); !left || !h.done {
		t.Fatalf("slow start goes on: %+v", h)
	}
	if n, left := h.round(&d, 1, 500*Millisecond); n != 1000 || left {
		t.Fatal("it ends twice")
	}
}

// What looked like a queue was noise: the RTT falls below the baseline, and growth goes on.
func TestHystartGoesBack(t *testing.T) {
	var h hystart
	var d uint64
	h.round(&d, 10, 40*Millisecond)
	h.round(&d, 10, 60*Millisecond)
	if !h.css {
		t.Fatal("not seen")
	}
	h.round(&d, 10, 59*Millisecond)
	if h.css {
		t.Fatalf("%+v", h)
	}
	if n, _ := h.round(&d, 10, 59*Millisecond); n != 10_000 {
		t.Fatalf("grows by %d", n)
	}
}

// The threshold is an eighth of the RTT, from 4 to 16 ms; and fewer than eight samples prove
// nothing.
func TestHystartThreshold(t *testing.T) {
	for _, c := range []struct {
		before, after Duration
		samples       int
		css           bool
	}{
		{Millisecond, 4*Millisecond + 999*Microsecond, 10, false},
		{Millisecond, 5 * Millisecond, 10, true},
		{80 * Millisecond, 89 * Millisecond, 10, false},
		{80 * Millisecond, 90 * Millisecond, 10, true},
		{400 * Millisecond, 415 * Millisecond, 10, false},
		{400 * Millisecond, 416 * Millisecond, 10, true},
		{80 * Millisecond, 200 * Millisecond, 7, false},
		{80 * Millisecond, 200 * Millisecond, 8, true},
	} {
		var h hystart
		var d uint64
		h.round(&d, 10, c.before)
		h.round(&d, c.samples, c.after)
		if h.css != c.css {
			t.Errorf("%+v", c)
		}
	}
}

// Both controls end slow start with it, and a loss ends it for good.
func TestHystartInControls(t *testing.T) {
	for _, cc := range []control{&reno{}, &cubic{}} {
		cc.start(0, 1000, 10)
		d := uint64(0)
		for k := range 12 {
			rtt := 40 * Millisecond
			if k > 1 {
				rtt = 50 * Millisecond
			}
			start := d
			for range 10 {
				d += 1000
				cc.onAck(&sample{now: Second, grow: 1000, rtt: rtt, srtt: rtt, rate: rateSample{sent: 1, priorDelivered: start, total: d}})
			}
		}
		if cc.threshold() > 60_000 || cc.threshold() < 40_000 {
			t.Errorf("%T: threshold %d", cc, cc.threshold())
		}
		cc.start(0, 1000, 10)
		cc.onLoss(0, 10_000)
		if h := hyOf(cc); !h.done {
			t.Errorf("%T: goes on after a loss", cc)
		}
	}
}

func hyOf(cc control) *hystart {
	if c, ok := cc.(*cubic); ok {
		return &c.hy
	}
	return &cc.(*reno).hy
}

// A needless reduction does not end the first slow start: the next round may.
func TestHystartAfterUndo(t *testing.T) {
	for _, cc := range []control{&cubic{}, &reno{}} {
		cc.start(0, 1000, 10)
		cc.save()
		cc.onLoss(Second, 10_000)
		cc.undo(Second)
		var hy *hystart
		switch c := cc.(type) {
		case *cubic:
			hy = &c.hy
		case *reno:
			hy = &c.hy
		}
		if hy.done {
			t.Errorf("%T: %+v", cc, hy)
		}
	}
}
