package tcp

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// Each option that one side lacks is used by neither
// (https://www.rfc-editor.org/rfc/rfc7323#section-1.3, https://www.rfc-editor.org/rfc/rfc2018#section-2).
func TestHandshakeOptionsAbsent(t *testing.T) {
	for bits := range 128 {
		on := func(bit int) bool { return bits>>bit&1 == 0 }
		t.Run(fmt.Sprintf("%07b", bits), func(t *testing.T) {
			h := newHarness(t, func(c *Config, h *harness) {
				c.NoSACK, c.NoTimestamps, c.NoScale = !on(0), !on(1), !on(2)
				h.opts.SACKPermitted, h.opts.HasTS, h.opts.HasWScale, h.opts.HasMSS = on(3), on(4), on(5), on(6)
				h.wnd = 1000
			})
			h.connect()
			o := h.want(0, 0, wire.FlagSYN).seg.Options
			if !o.HasMSS || o.MSS != 1460 || o.SACKPermitted != on(0) || o.HasTS != on(1) || o.HasWScale != on(2) || o.WScale != 0 {
				t.Fatalf("SYN: %+v", o)
			}
			h.advance(Millisecond)
			h.synAck()
			o = h.want(1, 0, wire.FlagACK).seg.Options
			ts, sack, scale := on(1) && on(4), on(0) && on(3), on(2) && on(5)
			if o.HasTS != ts || o.NumSACK != 0 || o.HasMSS || o.HasWScale || o.SACKPermitted {
				t.Fatalf("ACK: %+v", o)
			}
			want := 1460
			if !on(6) {
				want = 536
			}
			if ts {
				want -= 12
				if o.TSEcr != h.peerTS {
					t.Fatalf("echo %d, want %d", o.TSEcr, h.peerTS)
				}
			}
			if h.c.MSS() != want || h.c.sackOK != sack {
				t.Fatalf("MSS %d, want %d; SACK %v, want %v", h.c.MSS(), want, h.c.sackOK, sack)
			}
			if h.c.Stats().SendWindow != 1000 {
				t.Fatal("the window of a SYN is never scaled")
			}
			h.ack(0)
			if n := h.c.Stats().SendWindow; scale && n != 128000 || !scale && n != 1000 {
				t.Fatalf("window %d, scale %v", n, scale)
			}
		})
	}
}

// The least MSS believed is 64, the largest what the link carries.
func TestHandshakeMSS(t *testing.T) {
	for _, c := range []struct{ mtu, cfg, peer, want int }{
		{1500, 0, 1460, 1448},
		{1500, 0, 65535, 1448},
		{1500, 0, 9000, 1448},
		{1500, 0, 536, 524},
		{1500, 0, 77, 65},
		{1500, 0, 64, 64},
		{1500, 0, 1, 64},
		{1500, 0, 0, 64},
		{1500, 1000, 1460, 988},
		{1500, 1000, 500, 488},
		{1500, 64, 1460, 64},
		{576, 0, 1460, 524},
	} {
		h := established(t, func(cfg *Config, h *harness) { cfg.MTU, cfg.MSS, h.opts.MSS = c.mtu, c.cfg, uint16(c.peer) })
		if h.c.MSS() != c.want {
			t.Errorf("%+v: MSS %d", c, h.c.MSS())
		}
		h.write(3 * c.want)
		h.wantData(0, 3*c.want)
		h.ack(3 * c.want)
	}
}

func TestHandshakeAdvertisedMSS(t *testing.T) {
	for _, c := range []struct{ mtu, cfg, want int }{{1500, 0, 1460}, {1500, 1000, 1000}, {1500, 9000, 1460}, {576, 0, 536}} {
		h := newHarness(t, func(cfg *Config, _ *harness) { cfg.MTU, cfg.AdvertMSS = c.mtu, c.cfg })
		h.connect()
		if o := h.want(0, 0, wire.FlagSYN).seg.Options; int(o.MSS) != c.want {
			t.Errorf("%+v: %d", c, o.MSS)
		}
	}
}

// A shift above 14 counts as 14 (https://www.rfc-editor.org/rfc/rfc7323#section-2.3).
func TestHandshakeScaleIsBounded(t *testing.T) {
	for _, shift := range []uint8{0, 1, 14, 15, 255} {
		h := established(t, func(_ *Config, h *harness) { h.opts.WScale = shift })
		h.ack(0)
		if want := 65535 << min(shift, 14); h.c.Stats().SendWindow != want {
			t.Errorf("shift %d: window %d, want %d", shift, h.c.Stats().SendWindow, want)
		}
	}
}

// An ACK of anything but our SYN opens nothing; nor does a reset of anything else.
func TestHandshakeWrongAck(t *testing.T) {
	for _, ack := range []uint32{0, uint32(testISS), uint32(testISS) + 2, uint32(testISS) - 1, uint32(testISS) + 1<<31} {
		for _, flags := range []uint8{wire.FlagSYN | wire.FlagACK, wire.FlagACK, wire.FlagRST | wire.FlagACK, wire.FlagRST} {
			h := newHarness(t, nil)
			h.connect()
			h.want(0, 0, wire.FlagSYN)
			h.inject(wire.Segment{Flow: testFlow, Seq: 9000, Ack: ack, Flags: flags, Window: 1000, Options: h.opts})
			if flags&wire.FlagACK != 0 && flags&wire.FlagRST == 0 { // it is told so
				h.want(Seq(ack).Sub(testISS), 0, wire.FlagRST)
			}
			h.wantNothing()
			h.wantState(SynSent)
			h.synAck()
			h.want(1, 0, wire.FlagACK)
		}
	}
}

// The SYN goes again after 1, 3, 7, 15, 31 and 63 seconds, and the end is at 127.
func TestHandshakeRetries(t *testing.T) {
	h := newHarness(t, nil)
	start := h.now
	h.connect()
	for _, at := range []Time{0, 1, 3, 7, 15, 31, 63} {
		h.want(0, 0, wire.FlagSYN)
		h.wantNothing()
		if h.now-start != at*Second {
			t.Fatalf("a SYN after %d ms", (h.now-start)/Millisecond)
		}
		h.advance(h.c.Deadline() - h.now)
	}
	if h.now-start != 127*Second || !errors.Is(h.c.Err(), ErrTimeout) || !h.c.Done() {
		t.Fatalf("after %d s: %v", (h.now-start)/Second, h.c.Err())
	}
}

func TestHandshakeUserTimeout(t *testing.T) {
	h := newHarness(t, func(c *Config, _ *harness) { c.UserTimeout = 5 * Second })
	start := h.now
	h.connect()
	for h.c.State() == SynSent {
		h.advance(h.c.Deadline() - h.now)
	}
	h.out = nil
	if h.now-start != 5*Second || !errors.Is(h.c.Err(), ErrTimeout) {
		t.Fatalf("after %d s: %v", (h.now-start)/Second, h.c.Err())
	}
}

// Both ends open at once (https://www.rfc-editor.org/rfc/rfc9293#section-3.5, figure 8).
func TestHandshakeSimultaneous(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.syn()
	o := h.want(0, 0, wire.FlagSYN|wire.FlagACK).seg
	if o.Ack != uint32(h.irs+1) || !o.Options.HasTS || o.Options.TSEcr != h.peerTS || !o.Options.HasWScale || !o.Options.SACKPermitted {
		t.Fatalf("%+v", o)
	}
	h.wantState(SynReceived)
	h.syn() // theirs comes twice
	h.want(1, 0, wire.FlagACK)
	h.advance(20 * Millisecond)
	h.ack(0)
	h.want(1, 0, wire.FlagACK)
	h.wantState(Established)
	if st := h.c.Stats(); st.Cwnd != 10*mss || st.SRTT != 20*Millisecond || st.SendWindow != 65535<<7 {
		t.Fatalf("cwnd %d, srtt %d", st.Cwnd, st.SRTT)
	}
	h.write(mss)
	h.wantData(0, mss)
	h.ack(mss)
}

func TestHandshakeSimultaneousRetries(t *testing.T) {
	h := newHarness(t, func(c *Config, _ *harness) { c.SynRetries = 2 })
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.syn()
	h.c.CloseWrite(h.now) // waits for the handshake
	for range 3 {
		h.want(0, 0, wire.FlagSYN|wire.FlagACK)
		h.advance(h.c.Deadline() - h.now)
	}
	if !errors.Is(h.c.Err(), ErrTimeout) {
		t.Fatal(h.c.Err())
	}
}

func TestHandshakeSimultaneousWithoutOptions(t *testing.T) {
	h := newHarness(t, func(_ *Config, h *harness) { h.opts = wire.Options{} })
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.syn()
	if o := h.want(0, 0, wire.FlagSYN|wire.FlagACK).seg.Options; o.HasTS || o.HasWScale || o.SACKPermitted || !o.HasMSS {
		t.Fatalf("%+v", o)
	}
	h.c.CloseWrite(h.now)
	h.ack(0)
	h.want(1, 0, wire.FlagFIN|wire.FlagACK)
	h.wantState(FinWait1)
}

func TestConfigRefused(t *testing.T) {
	h := newHarness(t, nil)
	good := Config{Flow: testFlow, MTU: 1500}
	for name, edit := range map[string]func(*Config){
		"no port":       func(c *Config) { c.Flow.RemotePort = 0 },
		"MTU small":     func(c *Config) { c.MTU = minMTU - 1 },
		"MTU large":     func(c *Config) { c.MTU = MaxMTU + 1 },
		"MTU > chunk":   func(c *Config) { c.MTU = 3000 },
		"MSS > chunk":   func(c *Config) { c.MTU, c.MSS = 3000, 2000 },
		"MSS small":     func(c *Config) { c.MSS = minMSS - 1 },
		"window":        func(c *Config) { c.Window = 65536 },
		"slots":         func(c *Config) { c.SendSlots = maxSlots + 1 },
		"few slots":     func(c *Config) { c.SendSlots = cutReserve },
		"congestion":    func(c *Config) { c.Congestion = "none" },
		"negative time": func(c *Config) { c.RTOMin = -1 },
		"RTO floor":     func(c *Config) { c.RTOMin = maxRTO + 1 },
		"time":          func(c *Config) { c.TimeWait = maxSpan + 1 },
		"negative":      func(c *Config) { c.Retries = -1 },
	} {
		cfg := good
		edit(&cfg)
		if _, err := New(cfg, h.pool); !errors.Is(err, ErrBadConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := New(good, nil); !errors.Is(err, ErrBadConfig) {
		t.Errorf("no pool: %v", err)
	}
	if _, err := New(good, h.pool); err != nil {
		t.Errorf("a good one: %v", err)
	}
	if maxSlots*umem.MaxChunk >= math.MaxInt32 {
		t.Error("a full queue is longer than what sequence numbers can compare")
	}
}

func TestConnectTwice(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	if h.c.Connect(h.now) == nil {
		t.Fatal("twice")
	}
	if h.c.Unacked() != 0 {
		t.Fatalf("%d bytes unacked: a SYN is no payload", h.c.Unacked())
	}
}

// The peer's former connection went, and its answer to our SYN came, before the reset to it left:
// sent now, that would meet the new one.
func TestRefusalIsNotSentToTheNewConnection(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.advance(Millisecond)
	h.c.Receive(h.now, &wire.Segment{Flow: testFlow, Seq: 77, Ack: uint32(testISS.Add(500)), Flags: wire.FlagACK, Window: 1000})
	if st := h.c.Stats(); st.Refusals != 1 {
		t.Fatalf("%+v", st)
	}
	h.synAck()
	h.want(1, 0, wire.FlagACK)
	h.wantState(Established)
}
