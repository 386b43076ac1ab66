package tcp

import (
	"slices"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// canaryRig is a connection with a canary and a peer that answers its probes.
type canaryRig struct {
	*harness
	blind   bool              // the peer does not look at checksums
	silent  bool              // it answers no probe
	limited bool              // it answers one probe in 500 ms, as Linux does those without payload
	plain   bool              // its answers say nothing of duplicates
	trip    Duration          // until its answer is there
	lose    func(n int) bool  // probe number n, from 0, is lost; nil = none
	twice   func(n int) bool  // and its answer arrives again, half a pause later
	kinds   []probeKind       // of the probes, as they came
	ends    func() (end bool) // asked at each deadline
	last    Time
	acks    int // emitted, in case that of the handshake was lost
}

func withCanary(cfg *Config, h *harness) {
	cfg.Checksum, cfg.Canary = ChecksumOffload, true
	h.bad = true
}

func newCanaryRig(t *testing.T, edit func(*Config, *harness)) *canaryRig {
	t.Helper()
	h := newHarness(t, func(cfg *Config, h *harness) {
		withCanary(cfg, h)
		if edit != nil {
			edit(cfg, h)
		}
	})
	h.connect()
	if s := h.want(0, 0, wire.FlagSYN); s.tx.Metadata || s.bad {
		t.Fatalf("the SYN is left to others: %+v", s)
	}
	h.advance(max(h.synAckAfter, Millisecond))
	h.synAck()
	if s := h.want(1, 0, wire.FlagACK); s.tx.Metadata || s.bad {
		t.Fatalf("the handshake's ACK is left to others: %+v", s)
	}
	return &canaryRig{harness: h, trip: Millisecond, last: -Second}
}

// run plays the peer until the canary is over, and wants that verdict after at most so long.
func (r *canaryRig) run(want Verdict, most Duration) {
	r.t.Helper()
	begin := r.now
	for r.c.Canary() == CanaryUnderWay {
		if r.ends != nil && r.ends() {
			return
		}
		if r.c.Canary().Over() {
			break
		}
		if r.c.Deadline() == Never || r.now-begin > most {
			r.t.Fatalf("no verdict after %d ms: %+v", (r.now-begin)/Millisecond, r.c.canary)
		}
		r.advance(r.c.Deadline() - r.now)
		r.probes()
	}
	if got := r.c.Canary(); got != want {
		r.t.Fatalf("%v after %d ms, want %v; probes %v", got, (r.now-begin)/Millisecond, want, r.kinds)
	}
	if r.c.canary != (canaryState{verdict: want}) || r.c.timers.canary != Never {
		r.t.Errorf("something of it is left: %+v, due %d", r.c.canary, r.c.timers.canary)
	}
	r.t.Logf("%v after %d ms, %d probes", want, (r.now-begin)/Millisecond, len(r.kinds))
}

// probes takes what was emitted, and answers.
func (r *canaryRig) probes() {
	r.t.Helper()
	out := r.out
	r.out = nil
	for _, s := range out {
		if len(s.payload) == 0 && s.seg.Flags == wire.FlagACK && !s.tx.Metadata && Seq(s.seg.Seq) == testISS+1 {
			r.acks++
			continue
		}
		n := len(r.kinds)
		kind := r.kindOf(s)
		r.kinds = append(r.kinds, kind)
		if Seq(s.seg.Seq) != testISS || s.payload != string(probeByte[:]) || !s.tx.Again {
			r.t.Fatalf("a probe of %q at %d", s.payload, Seq(s.seg.Seq).Sub(testISS))
		}
		if r.silent || r.lose != nil && r.lose(n) || s.bad && !r.blind || r.limited && r.now-r.last < 500*Millisecond {
			continue
		}
		r.last = r.now
		r.advance(r.trip)
		r.answer()
		if r.twice != nil && r.twice(n) {
			r.advance(canaryPause / 2)
			r.answer()
		}
	}
}

func (r *canaryRig) kindOf(s sent) probeKind {
	switch {
	case !s.tx.Metadata:
		return probeControl
	case s.bad && !r.deaf: // what a deaf device leaves is a seed, right or wrong
		return probePoisoned
	}
	return probeGood
}

// answer is the peer's: an ACK that says, unless it is plain, that it had the byte already.
func (r *canaryRig) answer() {
	r.t.Helper()
	if r.plain {
		r.ack(0)
		return
	}
	r.ack(0, [2]int{-1, 0})
}

var provedRound = []probeKind{probeGood, probePoisoned, probePoisoned, probePoisoned, probeGood, probePoisoned, probePoisoned, probePoisoned, probeGood}

// A link that computes and a peer that checks. Payload waits, and then goes with its
// request; nothing that the canary did is a retransmission, or news about the path.
func TestCanaryProved(t *testing.T) {
	for name, edit := range map[string]func(*Config, *harness){
		"SACK":          nil,
		"no SACK":       func(_ *Config, h *harness) { h.opts.SACKPermitted = false },
		"no timestamps": func(_ *Config, h *harness) { h.opts.HasTS = false },
		"keepalive":     func(cfg *Config, _ *harness) { cfg.KeepAlive = 10 * Millisecond },
	} {
		t.Run(name, func(t *testing.T) {
			r := newCanaryRig(t, edit)
			r.plain = !r.opts.SACKPermitted
			r.writeFrame(Headroom, 100)
			r.transmit()
			r.run(CanaryProved, 300*Millisecond)
			if !slices.Equal(r.kinds, provedRound) {
				t.Errorf("probes %v", r.kinds)
			}
			r.transmit()
			if s := r.want(1, 100, wire.FlagACK); !s.tx.Metadata || s.bad {
				t.Errorf("payload %+v", s)
			}
			r.ack(100)
			st := r.c.Stats()
			if st.Canary != CanaryProved || st.CanaryProbes != 9 || st.Retransmits+st.DSACKs+st.Lost+st.Timeouts+st.KeepAlives != 0 || st.Cwnd < 10*mss {
				t.Errorf("%+v", st)
			}
		})
	}
}

// Over a path of 80 ms an answer may take 320.
func TestCanaryOfALongPath(t *testing.T) {
	r := newCanaryRig(t, func(_ *Config, h *harness) { h.synAckAfter = 80 * Millisecond })
	r.trip = 300 * Millisecond
	r.run(CanaryProved, 3*Second)
}

// A veth with tx-checksum on: what nobody computed is believed.
func TestCanaryUnchecked(t *testing.T) {
	for name, lose := range map[string]func(int) bool{
		"no loss":           nil,
		"a copy is lost":    func(n int) bool { return n == 1 },
		"two are":           func(n int) bool { return n == 1 || n == 2 },
		"the first one are": func(n int) bool { return 1 <= n && n <= 3 },
	} {
		t.Run(name, func(t *testing.T) {
			r := newCanaryRig(t, nil)
			r.blind, r.lose = true, lose
			r.run(CanaryUnchecked, 400*Millisecond)
			r.write(100)
			if s := r.want(1, 100, wire.FlagACK); !s.tx.Metadata {
				t.Error("what was asked for is not done")
			}
			r.ack(100)
		})
	}
}

// Requests that are dropped: no good probe is answered, and one with the engine's sum is.
// The connection goes on with those.
func TestCanaryDropped(t *testing.T) {
	r := newCanaryRig(t, func(_ *Config, h *harness) { h.deaf = true })
	r.run(CanaryDropped, 500*Millisecond)
	r.transmit()
	r.wantNothing()
	good := slices.Repeat([]probeKind{probeGood}, 1+3*canaryCopies)
	if want := slices.Insert(good, 1+2*canaryCopies, probeControl); !slices.Equal(r.kinds, want) {
		t.Errorf("probes %v", r.kinds)
	}
	r.write(100)
	if s := r.want(1, 100, wire.FlagACK); s.tx.Metadata || s.bad {
		t.Errorf("payload %+v", s)
	}
	r.ack(100)
}

// A peer that answers nothing; and one whose answers are lost, though some come: that is no
// dropped request.
func TestCanaryNoAnswer(t *testing.T) {
	for name, c := range map[string]struct {
		edit   func(*canaryRig)
		probes int
	}{
		"silent":                         {func(r *canaryRig) { r.silent = true }, 10},
		"the second good one is lost":    {func(r *canaryRig) { r.lose = func(n int) bool { return n > 3 && r.c.canary.step == 2 } }, 23},
		"only the first one is answered": {func(r *canaryRig) { r.lose = func(n int) bool { return n > 0 } }, 11},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCanaryRig(t, nil)
			c.edit(r)
			r.run(CanaryNoAnswer, 1200*Millisecond)
			if len(r.kinds) != c.probes {
				t.Errorf("%d probes: %v", len(r.kinds), r.kinds)
			}
			r.write(100)
			if s := r.want(1, 100, wire.FlagACK); !s.tx.Metadata {
				t.Error("what was asked for is not done")
			}
			r.ack(100)
		})
	}
}

var copied = []probeKind{probeGood, probeGood, probeGood, probePoisoned, probePoisoned, probePoisoned}

// A good probe that is lost begins another round, and that one may prove it.
func TestCanaryLossIsNoVerdict(t *testing.T) {
	for lost := range 9 {
		if provedRound[lost] != probeGood {
			continue
		}
		r := newCanaryRig(t, nil)
		r.lose = func(n int) bool { return n == lost }
		r.run(CanaryProved, 800*Millisecond)
		again := slices.Concat(provedRound[:lost+1], copied[:3], copied[3:6], copied[:3], copied[3:6], copied[:3])
		if !slices.Equal(r.kinds, again) {
			t.Errorf("probes %v", r.kinds)
		}
	}
}

// Our ACK of the handshake was lost, and the peer answers nothing before it has one: the
// canary sends it again, and finds out what it would have without.
func TestCanaryAfterALostHandshakeACK(t *testing.T) {
	for _, deaf := range []bool{false, true} {
		r := newCanaryRig(t, func(_ *Config, h *harness) { h.deaf = deaf })
		r.lose = func(int) bool { return r.acks < 2 }
		if deaf {
			r.run(CanaryDropped, Second)
		} else {
			r.run(CanaryProved, Second)
		}
	}
}

// Good probes that were all lost are no dropped requests where one comes through once the
// peer is known to be there.
func TestCanaryAsksOnceMore(t *testing.T) {
	r := newCanaryRig(t, nil)
	r.lose = func(n int) bool { return n < 7 }
	r.run(CanaryProved, Second)
	if r.kinds[7] != probeControl {
		t.Errorf("probes %v", r.kinds)
	}
}

// The control: a probe without payload, which Linux answers once in 500 ms. It must prove
// nothing, of a link that is right.
func TestCanaryWithEmptyProbesProvesNothing(t *testing.T) {
	r := newCanaryRig(t, nil)
	r.limited = true
	r.run(CanaryNoAnswer, 1200*Millisecond)
}

// ACKs that answer no probe: a copy of the last answer, one of a peer that reports
// duplicates and does not report this, payload, an old ACK.
func TestCanaryOtherACKs(t *testing.T) {
	t.Run("copies", func(t *testing.T) {
		r := newCanaryRig(t, nil)
		r.plain, r.twice = true, func(int) bool { return true }
		r.run(CanaryProved, 400*Millisecond)
	})
	for name, strange := range map[string]func(r *canaryRig){
		"a window update": func(r *canaryRig) { r.wnd--; r.ack(0) },
		"another DSACK":   func(r *canaryRig) { r.ack(0, [2]int{-2, 0}) },
		"stale blocks": func(r *canaryRig) {
			seg := r.segment(wire.FlagACK, 0)
			seg.Options.SACK[0] = wire.SACKBlock{Start: uint32(testISS), End: uint32(testISS + 1)}
			r.inject(seg)
		},
		"an old ACK": func(r *canaryRig) { r.ack(-1) },
		"payload": func(r *canaryRig) {
			seg := r.segment(wire.FlagACK, 0)
			seg.PayloadLen = 1
			r.irs++
			r.inject(seg)
			if s := r.want(1, 0, wire.FlagACK); s.tx.Metadata {
				r.t.Error("an ACK is left to others")
			}
		},
		"the SYN-ACK again": func(r *canaryRig) {
			r.synAck()
			r.out = nil // a challenge
		},
		"a reset elsewhere": func(r *canaryRig) {
			seg := r.segment(wire.FlagRST, 0)
			seg.Seq += 100
			r.inject(seg)
			r.want(1, 0, wire.FlagACK)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCanaryRig(t, nil)
			r.plain = name == "an old ACK" || name == "payload" // then nothing else tells them apart
			r.ends = func() bool {
				if r.c.canary.out && r.c.canary.kind() == probePoisoned {
					strange(r)
				}
				return false
			}
			r.run(CanaryProved, 400*Millisecond)
		})
	}
	t.Run("of a peer that does not say what it answers", func(t *testing.T) { // the control
		r := newCanaryRig(t, nil)
		r.plain = true
		r.ends = func() bool {
			if r.c.canary.out && r.c.canary.kind() == probePoisoned {
				r.ack(0)
			}
			return false
		}
		r.run(CanaryUnchecked, 400*Millisecond)
	})
}

// Whatever ends the connection ends the canary, without a verdict; FIN and payload wait
// for it.
func TestCanaryEnds(t *testing.T) {
	for name, end := range map[string]func(r *canaryRig){
		"reset": func(r *canaryRig) { r.inject(r.segment(wire.FlagRST, 0)) },
		"reset before a probe leaves": func(r *canaryRig) {
			r.now = r.c.Deadline()
			r.c.Advance(r.now)
			if r.c.canary.emit == 0 {
				r.t.Fatal("no probe is due")
			}
			r.inject(r.segment(wire.FlagRST, 0))
		},
		"abort": func(r *canaryRig) {
			r.c.Abort(r.now)
			r.transmit()
			if s := r.want(1, 0, wire.FlagRST|wire.FlagACK); s.tx.Metadata {
				r.t.Error("the reset is left to others")
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newCanaryRig(t, nil)
			n := 0
			r.ends = func() bool {
				if n++; n < 4 {
					return false
				}
				end(r)
				return true
			}
			r.run(CanaryProved, Second)
			r.wantState(Closed)
			r.advance(10 * Second)
			if r.c.Canary() != CanaryUnderWay || r.c.Canary().Over() {
				t.Error(r.c.Canary())
			}
		})
	}
	t.Run("FIN", func(t *testing.T) {
		r := newCanaryRig(t, nil)
		r.c.CloseWrite(r.now)
		r.transmit()
		r.run(CanaryProved, 300*Millisecond)
		r.transmit()
		r.want(1, 0, wire.FlagACK|wire.FlagFIN)
		r.ack(1)
	})
}

// Without a frame in the reserve, a probe waits.
func TestCanaryWaitsForAFrame(t *testing.T) {
	r := newCanaryRig(t, nil)
	hoard := r.starve(0)
	r.advance(50 * Millisecond)
	r.wantNothing()
	for _, f := range hoard {
		r.pool.Return(f)
	}
	r.run(CanaryProved, 400*Millisecond)
}

// A small batch takes the copies of a probe one by one.
func TestCanaryOneByOne(t *testing.T) {
	r := newCanaryRig(t, nil)
	r.c.canary.step = 1
	r.now = r.c.Deadline()
	r.c.Advance(r.now)
	var tx [1]Tx
	for i := range canaryCopies {
		if n := r.c.Transmit(r.now, tx[:]); n != 1 {
			t.Fatalf("%d of copy %d", n, i)
		}
		r.take(tx[0])
	}
	if n := r.c.Transmit(r.now, tx[:]); n != 0 {
		t.Fatal("one more")
	}
	r.probes()
}

// A canary that has nothing to find out is refused; its states have names.
func TestCanaryConfig(t *testing.T) {
	h := newHarness(t, nil)
	if _, err := New(Config{Flow: testFlow, MTU: 1500, Canary: true}, h.pool); err == nil {
		t.Error("a canary of the engine's own sums")
	}
	if Verdict(9).String() == "" {
		t.Error("a verdict that nobody knows has no name")
	}
	names := map[string]bool{}
	for v := CanaryOff; v <= CanaryDropped; v++ {
		names[v.String()] = true
		if v.Over() != (v != CanaryUnderWay) {
			t.Error(v)
		}
	}
	if len(names) != 6 {
		t.Error(names)
	}
}

// When each probe leaves, and for how long its answer is awaited: a round trip after the last
// answer, and 4 of them, but 10 and 100 ms at least.
func TestCanaryTimes(t *testing.T) {
	for trip, want := range map[Duration][2]Duration{Millisecond: {10 * Millisecond, 100 * Millisecond}, 80 * Millisecond: {80 * Millisecond, 320 * Millisecond}} {
		r := newCanaryRig(t, func(_ *Config, h *harness) { h.synAckAfter = trip })
		at := r.now
		for _, step := range []struct {
			wait   Duration
			probes int
			answer bool
		}{
			{want[0], 1, true}, {want[0], canaryCopies, false}, {want[1], 0, false}, {want[0], 1, false}, {want[1], 0, false}, // lost
			{want[0], canaryCopies, true}, {want[0], canaryCopies, false}, {want[1], 0, false}, {want[0], canaryCopies, true},
		} {
			if d := r.c.Deadline(); d != at+step.wait {
				t.Fatalf("due after %d us, want %d", (d-at)/Microsecond, step.wait/Microsecond)
			}
			at += step.wait
			r.advance(at - r.now)
			if len(r.out) > 0 && len(r.out[0].payload) == 0 { // the handshake's ACK again
				r.out = r.out[1:]
			}
			if len(r.out) != step.probes {
				t.Fatalf("%d probes, want %d", len(r.out), step.probes)
			}
			r.out = nil
			if step.answer {
				r.answer()
			}
		}
		r.out = nil
	}
}

// A poisoned probe is a good one but for its seed, of which both bytes are wrong.
func TestCanaryPoison(t *testing.T) {
	r := newCanaryRig(t, func(cfg *Config, h *harness) {
		cfg.Path = wire.Path{Tagged: true, VLAN: 3}
		h.opts.HasTS = false
	})
	var good, poisoned Tx
	for tx, step := range map[*Tx]int{&good: 0, &poisoned: 1} {
		r.c.canary.step = step
		if !r.c.emitCanaryProbe(r.now, tx) {
			t.Fatal("no probe")
		}
		r.c.ipID--
	}
	a, b := covered(r.region, &good), covered(r.region, &poisoned)
	at := MetadataLen + 14 + 4 + 20 + 16
	for i := range a {
		if want := i == at || i == at+1; a[i]^b[i] != 0x5a && want || a[i] != b[i] && !want {
			t.Errorf("byte %d is %#x in the good one, %#x in the other", i, a[i], b[i])
		}
	}
	r.completeTx(good)
	r.completeTx(poisoned)
}

// ACKs go while a canary is under way, as far as there is room for them.
func TestCanaryLetsACKsGo(t *testing.T) {
	r := newCanaryRig(t, nil)
	seg := r.segment(wire.FlagACK, 0)
	seg.PayloadLen = 7
	r.c.Receive(r.now, &seg)
	var tx [1]Tx
	if n := r.c.Transmit(r.now, nil); n != 0 {
		t.Error(n)
	}
	if n := r.c.Transmit(r.now, tx[:]); n != 1 {
		t.Fatal(n)
	}
	r.take(tx[0])
	if s := r.want(1, 0, wire.FlagACK); s.seg.Ack != uint32(r.irs+8) || s.tx.Metadata {
		t.Errorf("%+v", s)
	}
}

// Nothing of it allocates.
func TestCanaryDoesNotAllocate(t *testing.T) {
	r := newCanaryRig(t, nil)
	var txs [8]Tx
	seg := r.segment(wire.FlagACK, 0)
	if a := testing.AllocsPerRun(20, func() {
		r.c.startCanary(r.now)
		for r.c.canary.busy() {
			r.now = r.c.Deadline()
			r.c.Advance(r.now)
			good := r.c.canary.kind() == probeGood
			for _, tx := range txs[:r.c.Transmit(r.now, txs[:])] {
				r.pool.Complete(tx.Addr)
				r.c.Completed(r.now, tx.Ref)
			}
			if good {
				r.c.Receive(r.now, &seg)
			}
		}
		r.c.offload = false
	}); a != 0 || r.c.Canary() != CanaryProved {
		t.Errorf("%v allocations, %v", a, r.c.Canary())
	}
}
