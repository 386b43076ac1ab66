package tcp

import (
	"errors"
	"net/netip"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

var testFlow6 = wire.FlowOf(netip.MustParseAddrPort("[fd00::1]:4000"), netip.MustParseAddrPort("[fd00::2]:80"))

func ipv6(c *Config, _ *harness) { c.Flow = testFlow6 }

func (h *harness) icmp(seq Seq, typ, code uint8, mtu uint32) {
	h.t.Helper()
	h.c.ReceiveICMP(h.now, &wire.ICMPError{Flow: h.c.cfg.Flow, V6: !h.c.cfg.Flow.Is4(), Seq: uint32(seq), Type: typ, Code: code, MTU: mtu})
	h.transmit()
}

// What quotes a sequence number that is not outstanding is forged, or too late
// (https://www.rfc-editor.org/rfc/rfc5927#section-4.1).
func TestIcmpForged(t *testing.T) {
	h := flightOf(t, 4, nil)
	h.ack(2 * mss)
	una, nxt := h.c.sndUna, h.c.sndNxt
	for _, seq := range []Seq{una - 1, nxt, nxt + 1, una - 1<<30, una + 1<<31, testISS} {
		h.icmp(seq, icmp4Unreachable, icmp4CodeFragNeed, 1280)
	}
	if st := h.c.Stats(); st.ICMPIgnored != 6 || st.MSS != mss || st.PathMTU != 0 {
		t.Fatalf("%+v", st)
	}
	for _, seq := range []Seq{una, nxt - 1} {
		h.icmp(seq, icmp4Unreachable, icmp4CodeFragNeed, 1400)
	}
	if st := h.c.Stats(); st.PathMTU != 1400 || st.MSS != 1400-52 || st.ICMPIgnored != 7 {
		t.Fatalf("%+v", st)
	}
	h.out = nil
	h.ack(4 * mss)
}

func TestIcmpPathMTU(t *testing.T) {
	for _, c := range []struct {
		name string
		v6   bool
		mtu  uint32
		want int // 0 = ignored
	}{
		{"v4", false, 1400, 1400},
		{"v4, the same", false, 1500, 0},
		{"v4, more", false, 9000, 0},
		{"v4, no MTU", false, 0, 576},
		{"v4, tiny", false, 68, 576},
		{"v6", true, 1400, 1400},
		{"v6, the least", true, 1280, 1280},
		{"v6, too small", true, 1279, 0},
		{"v6, none", true, 0, 0},
		{"v6, huge", true, 1<<32 - 1, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := flightOf(t, 2, func(cfg *Config, h *harness) {
				if c.v6 {
					ipv6(cfg, h)
				}
			})
			full := h.c.MSS()
			typ, code := uint8(icmp4Unreachable), uint8(icmp4CodeFragNeed)
			if c.v6 {
				typ, code = icmp6TooBig, 0
			}
			h.icmp(h.c.sndUna, typ, code, c.mtu)
			st := h.c.Stats()
			if st.PathMTU != c.want || (c.want == 0) != (st.ICMPIgnored == 1) {
				t.Fatalf("path MTU %d, %d ignored", st.PathMTU, st.ICMPIgnored)
			}
			for _, s := range h.out {
				if ip := s.tx.Bytes() - h.c.tmpl.L2Len(); ip > c.want {
					t.Fatalf("a packet of %d bytes", ip)
				}
			}
			h.out = nil
			if st.Cwnd != 64*full || st.Phase != "open" {
				t.Fatalf("this says nothing about congestion: %+v", st)
			}
			h.ack(2 * full)
			if len(h.done) != 2 {
				t.Fatalf("%d frames back", len(h.done))
			}
		})
	}
}

// The MTU of the path never falls below what the link's own may be, nor rises above it.
func TestSetMTUIsBounded(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		h := established(t, func(c *Config, h *harness) {
			if v6 {
				ipv6(c, h)
			}
		})
		h.opts.MSS = 9000
		for _, mtu := range []int{-5, 0, 100, 575, 1000, 1280, 1500, 9000} {
			h.c.SetMTU(mtu)
			want := min(max(mtu, 576), 1500) - 52
			if v6 {
				want = min(max(mtu, 1280), 1500) - 72
			}
			if h.c.MSS() != min(want, 1448) {
				t.Errorf("MTU %d: MSS %d", mtu, h.c.MSS())
			}
		}
	}
}

// Outside the handshake every other error is soft; in it some end it.
func TestIcmpHardAndSoft(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		edit := func(c *Config, h *harness) {
			if v6 {
				ipv6(c, h)
			}
		}
		opening := func() *harness {
			h := newHarness(t, edit)
			h.connect()
			h.want(0, 0, wire.FlagSYN)
			return h
		}
		syn, open := opening(), flightOf(t, 1, edit)
		for k := range 13 * 16 {
			typ, code := uint8(k/16), uint8(k%16)
			hard := !v6 && typ == 3 && (code == 2 || code == 3 || code == 13) || v6 && typ == 1 && (code == 1 || code == 4)
			big := !v6 && typ == 3 && code == 4 || v6 && typ == 2
			syn.icmp(testISS, typ, code, 1400)
			if got := errors.Is(syn.c.Err(), ErrNoRoute); got != hard {
				t.Errorf("v6 %v, type %d code %d: ends the handshake: %v", v6, typ, code, got)
			}
			if hard {
				syn = opening()
			}
			soft := open.c.Stats().ICMPSoft
			open.icmp(open.c.sndUna, typ, code, 1400)
			open.out = nil
			if st := open.c.Stats(); st.State != Established || (st.ICMPSoft > soft) == big {
				t.Errorf("v6 %v, type %d code %d: %v, soft %d", v6, typ, code, st.State, st.ICMPSoft)
			}
		}
	}
}

// An MTU that falls while the SYN is out counts when the handshake is done.
func TestIcmpDuringTheHandshake(t *testing.T) {
	h := newHarness(t, nil)
	h.connect()
	h.want(0, 0, wire.FlagSYN)
	h.icmp(testISS, icmp4Unreachable, icmp4CodeFragNeed, 1280)
	h.advance(Millisecond)
	h.synAck()
	h.want(1, 0, wire.FlagACK)
	if h.c.MSS() != 1280-52 || h.c.Stats().Cwnd != 10*(1280-52) {
		t.Fatalf("MSS %d, cwnd %d", h.c.MSS(), h.c.Stats().Cwnd)
	}
}
