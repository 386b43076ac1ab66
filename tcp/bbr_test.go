package tcp

import (
	"errors"
	"math"
	"testing"
)

// cruising is a BBR that knows its path: 10 MB/s and 20 ms, so that 200 segments of 1000 bytes
// fill it. It is Second, and delivered is a million bytes.
func cruising() *bbr {
	b := &bbr{random: 7}
	b.start(Second, 1000, 10)
	b.delivered = 1_000_000
	b.bandwidth = bbrBandwidth{0, 10_000_000}
	b.path = bbrPath{rtt: 20 * Millisecond, stamp: Second, delay: 20 * Millisecond, delayStamp: Second}
	b.pipe.reached = true
	b.rounds.end = b.delivered
	b.latest.end = b.delivered
	b.enterDown(Second)
	b.cycle.acks, b.cycle.rounds, b.cycle.wait = acksInit, 0, 1000*Second
	b.mode = bbrCruise
	b.rate, b.cwnd = 9_900_000, 400_000
	return b
}

// sampleOf is an ACK of n bytes in the middle of a round trip: the path delivers what the model
// says, and as much as it holds is in flight.
func (b *bbr) sampleOf(now Time, n int) *sample {
	total := b.delivered + uint64(n)
	return &sample{now: now, acked: n, delivered: n, prior: 200_000 + n, inFlight: 200_000, sackOK: true, minRTT: 20 * Millisecond,
		rate: rateSample{delivered: 200_000, interval: 20 * Millisecond, total: total, priorDelivered: b.rounds.end - 1, txInFlight: 200_000, rtt: 25 * Millisecond}}
}

// ack gives b an ACK of 1000 bytes, as edit has it.
func (b *bbr) ack(now Time, edit func(*sample)) {
	a := b.sampleOf(now, 1000)
	if edit != nil {
		edit(a)
	}
	b.onAck(a)
}

// round is an ACK that ends a round trip.
func (b *bbr) round(now Time, edit func(*sample)) {
	b.ack(now, func(a *sample) {
		a.rate.priorDelivered = b.delivered
		if edit != nil {
			edit(a)
		}
	})
}

func wantMode(t *testing.T, b *bbr, m bbrMode) {
	t.Helper()
	if b.mode != m {
		t.Fatalf("%v, should be %v", b.mode, m)
	}
}

func TestBBRStart(t *testing.T) {
	b := &bbr{}
	b.start(Second, 1000, 10)
	if b.window() != 10_000 || b.state() != "startup" || b.threshold() != math.MaxInt || b.proportional() || b.long != unbounded {
		t.Fatalf("%+v", b)
	}
	if b.setMSS(500); b.mss != 500 {
		t.Fatal("the new segment size is not taken")
	}
	b.setWindow(7)
	b.onRecovered(Second)
	b.onIdle(2*Second, 7)
	if b.window() != 10_000 {
		t.Fatalf("window %d", b.window())
	}
}

// Names and gains of https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.6.1.
func TestBBRModes(t *testing.T) {
	for m, want := range map[bbrMode]struct {
		name           string
		pace, window   int
		cycles, probes bool
	}{
		bbrStartup:  {"startup", 277, 200, false, true},
		bbrDrain:    {"drain", 50, 200, false, false},
		bbrDown:     {"probe_bw:down", 90, 200, true, false},
		bbrCruise:   {"probe_bw:cruise", 100, 200, true, false},
		bbrRefill:   {"probe_bw:refill", 100, 200, true, true},
		bbrUp:       {"probe_bw:up", 125, 225, true, true},
		bbrProbeRTT: {"probe_rtt", 100, 50, false, false},
	} {
		pace, window := m.gains()
		if m.String() != want.name || pace != want.pace || window != want.window || m.cycles() != want.cycles || m.probes() != want.probes {
			t.Errorf("%v: %d, %d, %v, %v", m, pace, window, m.cycles(), m.probes())
		}
	}
}

// In the middle of a cruise an ACK changes nothing: pace and window are the model's.
func TestBBRCruises(t *testing.T) {
	b := cruising()
	for i := range 100 {
		b.ack(Second+Time(i)*Millisecond/10, nil)
	}
	if wantMode(t, b, bbrCruise); b.rate != 9_900_000 || b.cwnd != 400_000+b.extra.bytes || b.bw() != 10_000_000 {
		t.Fatalf("rate %d, window %d, extra %d", b.rate, b.cwnd, b.extra.bytes)
	}
}

// After a pause the pace is that of the path, no faster and no slower, and what came before it is no
// sign of aggregation (https://datatracker.ietf.org/doc/html/draft-ietf-ccwg-bbr#section-5.4.1).
func TestBBRRestart(t *testing.T) {
	b := cruising()
	b.enterDown(Second)
	b.ack(Second, func(a *sample) { a.inFlight = 300_000 })
	if b.rate != 8_910_000 {
		t.Fatalf("rate %d", b.rate)
	}
	if b.extra.delivered = 5000; !b.onRestart(3*Second) || b.rate != 9_900_000 || b.extra != (bbrExtra{start: 3 * Second, most: b.extra.most, bytes: b.extra.bytes}) || !b.restarted {
		t.Fatalf("rate %d, %+v", b.rate, b.extra)
	}
	b.ack(3*Second, func(a *sample) { a.rate = rateSample{total: b.delivered}; a.delivered = 0 })
	if !b.restarted {
		t.Fatal("over before anything arrived")
	}
	if b.ack(3*Second, nil); b.restarted {
		t.Fatal("not over when something arrived")
	}
	b = &bbr{}
	b.start(Second, 1000, 10)
	b.rate = 1
	if b.onRestart(2 * Second); b.rate != 1 {
		t.Fatalf("rate %d in startup", b.rate)
	}
}

// A writer that pauses is noticed by the connection: the pace is the path's at once.
func TestBBRRestartsAConnection(t *testing.T) {
	h := flightOf(t, 10, func(c *Config, _ *harness) { c.Congestion = BBR })
	h.ack(10 * mss)
	b := h.c.cc.(*bbr)
	b.pipe.reached, b.mode, b.rate = true, bbrDown, 1
	b.bandwidth[1] = 1_000_000
	h.advance(Second)
	h.write(mss)
	h.wantData(10*mss, 11*mss)
	if got := h.c.Stats(); !b.restarted || got.PacingRate != 990_000 {
		t.Fatalf("pace %d", got.PacingRate)
	}
	h.ack(11 * mss)
}

// Without pacing a window of two bandwidth-delay products would go at once.
func TestBBRNeedsPacing(t *testing.T) {
	h := newHarness(t, nil)
	cfg := h.c.cfg
	cfg.Congestion, cfg.NoPacing = BBR, true
	if _, err := New(cfg, h.pool); !errors.Is(err, ErrBadConfig) {
		t.Fatalf("%v", err)
	}
	cfg.Congestion = Cubic
	if _, err := New(cfg, h.pool); err != nil {
		t.Fatal(err)
	}
}

// Numbers that no path has do not overflow.
func TestBBRIsBounded(t *testing.T) {
	b := &bbr{}
	b.start(Second, 1000, 10)
	for i := range 200 {
		b.delivered += 1 << 28
		b.ack(Second+Time(i), func(a *sample) {
			a.delivered, a.minRTT = 1<<28, 400*Second
			a.rate.delivered, a.rate.interval, a.rate.priorDelivered = 1<<30, 1, b.delivered
			a.limited = i%2 == 0
		})
		if b.cwnd < 1000 || b.cwnd > maxCwnd || b.rate < 1 || b.rate > 1<<53 || b.memory() < b.cwnd {
			t.Fatalf("window %d, rate %d", b.cwnd, b.rate)
		}
	}
	if b.cwnd != maxCwnd {
		t.Fatalf("window %d", b.cwnd)
	}
}

// A writer needs what the path holds at its fullest, thrice.
func TestBBRMemory(t *testing.T) {
	b := cruising()
	if b.cwnd = 200_000; b.memory() != 3*2*200_000 {
		t.Fatalf("%d", b.memory())
	}
	if b.cwnd = 500_000; b.memory() != 3*500_000 {
		t.Fatalf("%d", b.memory())
	}
}

// A whole connection over a link that loses: everything arrives, the model is that of the link, and the
// same seed gives the same transmissions.
func TestBBRTransfer(t *testing.T) {
	cfg := Config{Congestion: BBR, Flow: testFlow, ISS: testISS}
	l := transfer(t, cfg, nil)
	b := l.c.cc.(*bbr)
	if st := l.c.Stats(); st.Timeouts > 0 || st.Retransmits < 8 || st.Retransmits > 16 || b.path.rtt != 2*linkDelay {
		t.Fatalf("least round trip %d, %+v", b.path.rtt, st)
	}
	if again := transfer(t, cfg, nil); again.trace.String() != l.trace.String() {
		t.Fatal("the same seed gives another transfer")
	}
	transfer(t, cfg, func(l *link) { l.sack = false })
}
