package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// https://www.rfc-editor.org/rfc/rfc6298#section-2, by hand.
func TestRttFormulas(t *testing.T) {
	var r rttState
	r.init(200 * Millisecond)
	if r.rto != Second {
		t.Fatalf("before the first sample: %+v", r)
	}
	r.sample(400 * Millisecond)
	if r.srtt != 400*Millisecond || r.rttvar != 200*Millisecond || r.rto != 1200*Millisecond {
		t.Fatalf("after the first: %+v", r)
	}
	r.sample(800 * Millisecond)
	if r.srtt != 450*Millisecond || r.rttvar != 250*Millisecond || r.rto != 1450*Millisecond {
		t.Fatalf("after the second: %+v", r)
	}
}

func TestRttFloorAndCeiling(t *testing.T) {
	var r rttState
	r.init(200 * Millisecond)
	for range 100 {
		r.sample(Millisecond)
	}
	if r.rto != 201*Millisecond {
		t.Fatalf("floor: %+v", r)
	}
	r.sample(1000 * Second)
	if r.rto != maxRTO {
		t.Fatalf("ceiling: %+v", r)
	}
	r.init(3 * Second)
	if r.rto != 3*Second {
		t.Fatalf("a floor above the initial value: %+v", r)
	}
}

func TestRttHandshakeIsASample(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.advance(40 * Millisecond)
	h.synAck()
	h.want(1, 0, wire.FlagACK)
	if st := h.c.Stats(); st.SRTT != 40*Millisecond || st.RTO != 240*Millisecond || st.MinRTT != 40*Millisecond {
		t.Fatalf("%+v", st)
	}
}

// A SYN sent again gives no sample, and the timeout is three seconds when payload is
// sent (https://www.rfc-editor.org/rfc/rfc6298#section-5, 5.7); unless the peer's echo
// says which of them it answers.
func TestRttSynSentAgain(t *testing.T) {
	for name, c := range map[string]struct {
		ts   bool
		echo Duration // before now
		rto  Duration
	}{
		"no timestamps": {rto: 3 * Second},
		"the first":     {ts: true, echo: 1040 * Millisecond, rto: 3 * Second},
		"the second":    {ts: true, echo: 40 * Millisecond, rto: 240 * Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, func(_ *Config, h *harness) { h.opts.HasTS = c.ts })
			h.connect()
			h.advance(1040 * Millisecond)
			h.want(0, 0, wire.FlagSYN)
			h.want(0, 0, wire.FlagSYN)
			seg := wire.Segment{Flow: testFlow, Seq: uint32(h.irs), Ack: uint32(testISS + 1), Flags: wire.FlagSYN | wire.FlagACK, Window: h.wnd, Options: h.opts}
			seg.Options.TSVal, seg.Options.TSEcr = h.peerTS, h.c.tsVal(h.now-c.echo)
			h.inject(seg)
			h.want(1, 0, wire.FlagACK)
			if st := h.c.Stats(); st.RTO != c.rto || st.Cwnd != h.c.MSS() {
				t.Fatalf("RTO %d ms, cwnd %d", st.RTO/Millisecond, st.Cwnd)
			}
		})
	}
}

// A segment sent twice gives no sample by itself (Karn). On a path that became slower
// than the timeout everything is sent twice, and the echo of an ACK that comes too soon
// after the retransmission to be its answer is all there is to learn from
// (https://www.rfc-editor.org/rfc/rfc7323#section-4).
func TestRttPathSlowerThanTheTimeout(t *testing.T) {
	h := flightOf(t, 10, nil)
	h.ack(10 * mss)
	type echo struct {
		at  Time
		seg wire.Segment
	}
	var line []echo
	una, timeouts := 10*mss, uint64(0)
	for end := h.now + 20*Second; h.now < end; h.advance(Millisecond) {
		for h.c.Unacked() < 10*mss {
			h.write(mss)
		}
		for _, s := range h.out {
			if at := int(Seq(s.seg.Seq).Sub(testISS)) - 1; at <= una {
				una = max(una, at+len(s.payload))
			}
			ack := h.segment(wire.FlagACK, una)
			ack.Options.TSEcr = s.seg.Options.TSVal
			line = append(line, echo{h.now + 600*Millisecond, ack})
		}
		h.out = nil
		for ; len(line) > 0 && line[0].at <= h.now; line = line[1:] {
			h.inject(line[0].seg)
		}
		if h.now == end-10*Second {
			timeouts = h.c.Stats().Timeouts
		}
	}
	h.out = nil
	if st := h.c.Stats(); st.Timeouts != timeouts || st.SRTT < 500*Millisecond {
		t.Fatalf("%d timeouts, %d more, SRTT %d ms, RTO %d ms", timeouts, st.Timeouts-timeouts, st.SRTT/Millisecond, st.RTO/Millisecond)
	}
}

// An echo from the future, or from before the segment was first sent, is none.
func TestRttNonsenseEcho(t *testing.T) {
	for _, shift := range []uint32{1 << 31, 1 << 20, ^uint32(0) - 1<<20, ^uint32(0) - 5000} {
		h := established(t, nil)
		h.write(mss)
		h.advance(300 * Millisecond)
		h.out = nil
		h.c.rack.minRTT = Second // whatever comes now is too soon for an answer
		before := h.c.Stats().SRTT
		seg := h.segment(wire.FlagACK, mss)
		seg.Options.TSEcr += shift
		h.inject(seg)
		if st := h.c.Stats(); st.SRTT != before {
			t.Errorf("echo %+d: SRTT %d us", int32(shift), st.SRTT/Microsecond)
		}
	}
}

// Where the ACK of the first transmission was lost, that of the second echoes the first
// all the same, as the receiver has it from there: the timeout is no time on the path.
func TestRttLostAckIsNoRoundTrip(t *testing.T) {
	h := flightOf(t, 1, nil)
	first := h.c.tsVal(h.now)
	before := h.c.Stats().SRTT
	h.advance(h.c.Deadline() - h.now)
	h.want(1, mss, wire.FlagACK)
	h.advance(Millisecond)
	seg := h.segment(wire.FlagACK, mss)
	seg.Options.TSEcr = first
	h.inject(seg)
	if st := h.c.Stats(); st.SRTT != before {
		t.Fatalf("SRTT %d ms", st.SRTT/Millisecond)
	}
}

// Two transmissions in one millisecond have one timestamp: it tells nothing.
func TestRttSameMillisecond(t *testing.T) {
	h := established(t, nil)
	h.ack(0)
	h.write(5 * mss)
	h.wantData(0, 5*mss)
	h.advance(400 * Microsecond)
	h.ack(0, [2]int{mss, 5 * mss})
	h.want(1, mss, wire.FlagACK)
	before := h.c.Stats()
	h.advance(10 * Microsecond)
	h.ack(5 * mss)
	if st := h.c.Stats(); st.SRTT != before.SRTT || st.MinRTT != before.MinRTT {
		t.Fatalf("SRTT %d us, was %d us", st.SRTT/Microsecond, before.SRTT/Microsecond)
	}
}

// The backed-off timeout ends with the first new ACK, as in Linux: to keep it until
// something is measured (https://www.rfc-editor.org/rfc/rfc6298#section-5) would make a
// lossy path without timestamps stand still for minutes.
func TestRttBackoffEndsWithProgress(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.opts.HasTS = false })
	h.write(2 * mss)
	h.advance(1500 * Millisecond)
	h.out = nil
	h.ack(mss)
	h.out = nil
	if rest := h.c.Deadline() - h.now; rest > 202*Millisecond {
		t.Fatalf("next timeout in %d ms", rest/Millisecond)
	}
	h.ack(h.c.sndNxt.Sub(testISS) - 1)
	h.out = nil
}

// A round trip within the clock's resolution is one of a nanosecond: 0 says that there was none.
func TestRttOfNoTime(t *testing.T) {
	var r rttState
	r.init(0)
	if r.sample(0); r.srtt != 1 || r.last != 1 {
		t.Errorf("%+v", r)
	}
	var k rackState
	if k.noteRTT(Second, 0); k.minRTT != 1 {
		t.Errorf("least %d", k.minRTT)
	}
	var ev ackEvent
	if ev.sample(Second, &slot{xmits: 1, sent: Second}); ev.rtt != 1 {
		t.Errorf("sample %d", ev.rtt)
	}
}
