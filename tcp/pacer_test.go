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

// The rate is kept to a packet over any time, and what was not used is lost but for a burst.
func TestPacerRate(t *testing.T) {
	for _, rate := range []uint64{1000, 125_000, 12_500_000, 1_250_000_000, 12_345_678_901} {
		p, span := pacer{rate: rate}, min(10*Second, Duration(1448e14/float64(rate)))
		now, bytes := Second, 0
		for now < Second+span {
			if p.ready(now) {
				p.sent(now, 1448)
				bytes += 1448
				continue
			}
			now = p.next
		}
		want := int(rate) * int(span) / int(Second)
		if bytes < want-1448 || bytes > want+1448+int(rate/1000)*2 {
			t.Errorf("rate %d: %d bytes in %d ns", rate, bytes, span)
		}
	}
	p := pacer{rate: 1_000_000}
	p.sent(Second, 1000)
	n := 0
	for now := 100 * Second; p.ready(now); n++ {
		p.sent(now, 100)
	}
	if n != 11 { // a millisecond of credit is 1000 bytes; the last one overdraws
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
		if n > 0 && h.now-start < Duration(n)*10*Millisecond-paceBurst {
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
	h.c.pace.rate = 1448 * 100
	h.ack(0, [2]int{4 * mss, 12 * mss})
	h.want(1, mss, wire.FlagACK)
	h.wantNothing()
	h.advance(10 * Millisecond)
	h.want(mss+1, mss, wire.FlagACK)
	h.wantNothing()
	h.ack(12 * mss)
}
