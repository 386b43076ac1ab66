package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

func TestPacerWithoutRate(t *testing.T) {
	var p pacer
	p.sent(0, 1<<20)
	if !p.ready(0) {
		t.Fatal("not ready")
	}
}

// The rate is kept to a packet over any time, and what was not used is lost.
func TestPacerRate(t *testing.T) {
	for _, rate := range []uint64{1000, 125_000, 12_500_000, 1_250_000_000, 12_345_678_901} {
		p, span := pacer{rate: rate, limit: rate}, min(10*Second, Duration(1448e14/float64(rate)))
		now, bytes := Second, 0
		for now < Second+span {
			if p.ready(now) {
				p.sent(now, 1448)
				bytes += 1448
				continue
			}
			now = p.wake
		}
		want := int(rate) * int(span) / int(Second)
		if bytes < want-1448 || bytes > want+1448+int(rate/1000)*2 {
			t.Errorf("rate %d: %d bytes in %d ns", rate, bytes, span)
		}
	}
	p := pacer{rate: 1_000_000, limit: 1_000_000}
	p.sent(Second, 1000)
	n := 0
	for now := 100 * Second; p.ready(now); n++ {
		p.sent(now, 100)
	}
	if n != 11 { // a quantum of a millisecond is 1000 bytes; the last one overdraws
		t.Errorf("%d packets at once after a pause", n)
	}
}

// A paced connection asks to be called again, and sends nothing before.
func TestPacerAsksForItsTurn(t *testing.T) {
	h := established(t, func(c *Config, _ *harness) { c.Rate = 1448 * 100 }) // one segment in 10 ms
	h.ack(0)
	h.write(4 * mss)
	start := h.now
	for n := range 4 {
		h.want(n*mss+1, mss, wire.FlagACK)
		h.wantNothing()
		if n > 0 && h.now-start < Duration(n)*10*Millisecond-paceQuantum {
			t.Fatalf("segment %d after %d us", n, (h.now-start)/Microsecond)
		}
		if n < 3 {
			h.advance(h.c.Deadline() - h.now)
		}
	}
	h.ack(4 * mss)
}

// Retransmissions are paced too.
func TestPacerRetransmissions(t *testing.T) {
	h := flightOf(t, 12, nil)
	h.c.pace.limit = 1448 * 100
	h.ack(0, [2]int{4 * mss, 12 * mss})
	h.want(1, mss, wire.FlagACK)
	h.wantNothing()
	h.advance(10 * Millisecond)
	h.want(mss+1, mss, wire.FlagACK)
	h.wantNothing()
	h.ack(12 * mss)
}

// What goes at once is a millisecond's worth, and never more than 64 KiB and a packet.
func TestPacerQuantum(t *testing.T) {
	for rate, most := range map[uint64]int{1_000_000: 1000 + 1448, 10_000_000: 10_000 + 1448, 1_000_000_000: maxQuantum + 1448} {
		p := pacer{rate: rate, limit: rate}
		n := 0
		for ; p.ready(Second); n += 1448 {
			p.sent(Second, 1448)
		}
		if n > most || n < most-2*1448 {
			t.Errorf("rate %d: %d bytes at once, should be about %d", rate, n, most-1448)
		}
	}
	p := pacer{rate: 1000} // of a window, not of a cap: two go together
	n := 0
	for ; p.ready(Second); n++ {
		p.sent(Second, 1448)
	}
	if n != 2 {
		t.Errorf("%d packets of a slow window at once", n)
	}
}

// The initial window goes at once (https://www.rfc-editor.org/rfc/rfc6928#section-2), what follows at the
// pace of the window; a cap holds from the first byte.
func TestPacerInitialWindow(t *testing.T) {
	h := established(t, func(c *Config, h *harness) { c.Congestion = Cubic; h.synAckAfter = 20 * Millisecond })
	h.ack(0)
	h.write(40 * mss)
	h.wantData(0, 10*mss)
	h.advance(20 * Millisecond)
	h.ack(10 * mss) // the window is 20 segments, the pace twice that in 20 ms: one in half a millisecond
	if n := len(h.out); n < 2 || n > 4 {
		t.Fatalf("%d segments at once", n)
	}
	h.advance(5 * Millisecond)
	if n := len(h.out); n < 9 || n > 13 {
		t.Fatalf("%d segments in 5 ms", n)
	}
	if st := h.c.Stats(); st.PacingRate != uint64(2*20*mss)*1000/20 {
		t.Fatalf("rate %d", st.PacingRate)
	}
	h.advance(30 * Millisecond)
	h.out = nil
	h.ack(30 * mss)
	h.out = nil
}

// The pace is a window in half a round trip; fixed has none.
func TestPacerFollowsTheWindow(t *testing.T) {
	for _, c := range []struct {
		cc   control
		want uint64
	}{
		{&reno{mss: 1000, cwnd: 10_001}, 2_000_200},
		{&cubic{mss: 1000, cubicState: cubicState{cwnd: 20_000}}, 4_000_000},
		{&fixed{cwnd: 10_000}, 0},
	} {
		if got := c.cc.pacing(10 * Millisecond); got != c.want {
			t.Errorf("%T: %d bytes per second, should be %d", c.cc, got, c.want)
		}
	}
	if windowRate(100_000, 0) != 0 {
		t.Error("a pace without a round trip")
	}
	var p pacer
	if p.set(5); p.rate != 5 {
		t.Error("the rate of congestion control is not taken")
	}
	p.limit = 3
	if p.set(5); p.rate != 3 {
		t.Error("the cap is not kept")
	}
	if p.set(0); p.rate != 3 {
		t.Error("the cap is not kept without a rate")
	}
	if p.set(2); p.rate != 2 {
		t.Error("the cap speeds up")
	}
}

// What the pacer lacks of a nanosecond is worth more at a low rate: it must not become a wait when
// a window of a fast path collapses.
func TestPacerRateThatFalls(t *testing.T) {
	var p pacer
	p.set(2e18)
	for range 1000 {
		p.sent(Second, 1448)
	}
	p.set(1_000_000)
	p.sent(Second, 1000)
	p.sent(Second, 1000)
	if p.next > Second+2*Millisecond+2 {
		t.Fatalf("the next packet waits %d us", (p.next-Second)/Microsecond)
	}
}

// A late wakeup is made up for where the pacer was what held things back, and only there.
func TestPacerWaitsForNobodyElse(t *testing.T) {
	h := established(t, func(c *Config, _ *harness) { c.Rate = 1_000_000; c.InitialCwnd = 64 })
	h.ack(0)
	h.write(40 * mss)
	h.advance(5 * Millisecond)
	h.out = nil
	h.now += 20 * Millisecond // nobody called
	h.c.Advance(h.now)
	h.transmit()
	if n := len(h.out); n < 12 || n > 17 {
		t.Errorf("%d segments after 20 ms at a segment in 1.4 ms", n)
	}
	h.advance(100 * Millisecond)
	h.out = nil
	h.ack(40 * mss)
	h.now += 20 * Millisecond
	h.write(10 * mss)
	if n := len(h.out); n > 2 {
		t.Errorf("%d segments at once after a pause of the writer", n)
	}
	h.advance(100 * Millisecond)
	h.out = nil
	h.ack(50 * mss)
}
