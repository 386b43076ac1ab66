package wire_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/internal/wire"
)

// sentPacket is the IP packet of a segment that we sent: Ethernet and tags are not quoted.
func (r random) sentPacket(f wire.Flow, seq uint32) []byte {
	var tmpl wire.Template
	tmpl.Init(f, r.path())
	buf := make([]byte, wire.MaxHeaderLen)
	opts, _ := r.options()
	n := tmpl.Put(buf, &wire.Header{Seq: seq, Options: opts}, 1400, r.Uint32())
	return append(buf[len(buf)-n+tmpl.L2Len():], r.bytes(1400)...)
}

// icmpMessage writes type, code, the 4 bytes behind the checksum, and the quote.
func icmpMessage(t testing.TB, r random, f wire.Flow, from netip.Addr, kind, code uint8, rest uint32, quote []byte) []byte {
	t.Helper()
	outer := f
	outer.Remote = from.As16()
	rest4 := binary.BigEndian.AppendUint32(nil, rest)
	if f.Is4() {
		icmp := &layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(kind, code), Id: uint16(rest >> 16), Seq: uint16(rest)}
		return serialize(t, append(r.link(layers.EthernetTypeIPv4), r.network(outer, layers.IPProtocolICMPv4, 0), icmp, gopacket.Payload(quote))...)
	}
	ip := r.network(outer, layers.IPProtocolICMPv6, 0)
	icmp := &layers.ICMPv6{TypeCode: layers.CreateICMPv6TypeCode(kind, code)}
	if err := icmp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	return serialize(t, append(r.link(layers.EthernetTypeIPv6), ip, icmp, gopacket.Payload(append(rest4, quote...)))...)
}

// icmpFrame returns a random ICMP error and what ParseICMP must read from it.
func icmpFrame(t testing.TB, seed uint64) ([]byte, wire.ICMPError) {
	t.Helper()
	r := newRandom(seed)
	v6 := seed&1 == 1
	from := r.addr(v6)
	want := wire.ICMPError{Flow: r.flow(v6), Seq: r.Uint32(), From: from.As16(), Code: uint8(r.IntN(16)), V6: v6}
	least := 20 + 8
	if v6 {
		want.Type, least = uint8(1+r.IntN(4)), 40+8
	} else {
		want.Type = []uint8{3, 3, 3, 11, 12}[r.IntN(5)]
	}
	rest := r.Uint32()
	switch {
	case v6 && want.Type == 2:
		want.MTU = rest
	case !v6 && want.Type == 3 && want.Code == 4:
		want.MTU = rest & 0xffff
	}
	quote := r.sentPacket(want.Flow, want.Seq)
	quote = quote[:least+r.IntN(548-least)] // RFC 1812 section 4.3.2.3: as much as fits, or RFC 792's 8 bytes
	if seed%3 == 0 {
		quote = quote[:least]
	}
	return icmpMessage(t, r, want.Flow, from, want.Type, want.Code, rest, quote), want
}

func TestParseICMPReadsGopacket(t *testing.T) {
	mtus := 0
	for seed := range uint64(6000) {
		frame, want := icmpFrame(t, seed)
		for _, verify := range []bool{true, false} {
			got := wire.ICMPError{Flow: flow6, Seq: 1, MTU: 2, From: [16]byte{3, 8: 8, 9: 9}, Type: 4, Code: 5, V6: !want.V6}
			if err := wire.ParseICMP(frame, verify, &got); err != nil {
				t.Fatalf("seed %d: %v\n% x", seed, err, frame)
			}
			if got != want {
				t.Fatalf("seed %d: got\n%+v\nwant\n%+v", seed, got, want)
			}
		}
		if want.MTU != 0 {
			mtus++
		}
		var s wire.Segment
		if err := wire.Parse(frame, true, &s); err != wire.ErrNotTCP {
			t.Fatalf("seed %d: Parse says %v of an ICMP message", seed, err)
		}
	}
	if mtus < 500 {
		t.Errorf("only %d messages carried an MTU", mtus)
	}
}

func TestParseICMPFlippedBit(t *testing.T) {
	for _, seed := range []uint64{3, 4, 9, 10} { // both families, with and without a long quote
		frame, want := icmpFrame(t, seed)
		at := icmpStart(frame, want.V6)
		end := at + icmpLength(frame, at, want.V6)
		var e wire.ICMPError
		for bit := at * 8; bit < end*8; bit++ {
			frame[bit/8] ^= 0x80 >> (bit % 8)
			if err := wire.ParseICMP(frame, true, &e); err != wire.ErrChecksum {
				t.Fatalf("seed %d: bit %d of byte %d: %v", seed, bit%8, bit/8, err)
			}
			if bit/8 >= at+4 && bit/8 < at+8 {
				if err := wire.ParseICMP(frame, false, &e); err != nil || want.MTU != 0 && e == want {
					t.Fatalf("seed %d: control: unverified flip at byte %d: %v", seed, bit/8, err)
				}
			}
			frame[bit/8] ^= 0x80 >> (bit % 8)
		}
	}
}

func icmpStart(frame []byte, v6 bool) int {
	at := 14
	for frame[at-2] == 0x81 || frame[at-2] == 0x88 {
		at += 4
	}
	if v6 {
		return at + 40
	}
	return at + int(frame[at]&0xf)*4
}

func icmpLength(frame []byte, at int, v6 bool) int {
	if v6 {
		return int(binary.BigEndian.Uint16(frame[at-36:]))
	}
	ip := at - 20
	for frame[ip]>>4 != 4 || ip+int(frame[ip]&0xf)*4 != at || frame[ip-2] != 8 {
		ip--
	}
	return int(binary.BigEndian.Uint16(frame[ip+2:])) - (at - ip)
}

// TestParseICMPErrors builds one message per row, right but for what the row says.
func TestParseICMPErrors(t *testing.T) {
	r := newRandom(7)
	whole := func(q []byte) []byte { return q }
	cut := func(n int) func([]byte) []byte { return func(q []byte) []byte { return q[:n] } }
	set := func(at int, v byte) func([]byte) []byte {
		return func(q []byte) []byte { q[at] = v; return q }
	}
	for _, row := range []struct {
		name   string
		flow   wire.Flow
		kind   uint8
		change func([]byte) []byte
		want   error
	}{
		{"unreachable", flow4, 3, whole, nil},
		{"echo request", flow4, 8, whole, wire.ErrNotTCP},
		{"echo reply", flow4, 0, whole, wire.ErrNotTCP},
		{"redirect", flow4, 5, whole, wire.ErrNotTCP},
		{"source quench", flow4, 4, whole, wire.ErrNotTCP},
		{"ICMPv6 type in ICMPv4", flow4, 2, whole, wire.ErrNotTCP},
		{"no quote", flow4, 3, cut(0), wire.ErrShort},
		{"quote ends in IP", flow4, 3, cut(19), wire.ErrShort},
		{"quote ends before the sequence number", flow4, 3, cut(27), wire.ErrShort},
		{"quote of 8 bytes of TCP", flow4, 3, cut(28), nil},
		{"quoted version", flow4, 3, set(0, 0x65), wire.ErrHeader},
		{"quoted IHL 4", flow4, 3, set(0, 0x44), wire.ErrHeader},
		{"quoted IHL beyond the quote", flow4, 3, func(q []byte) []byte { q[0] = 0x4f; return q[:60] }, wire.ErrShort},
		{"quoted UDP", flow4, 3, set(9, 17), wire.ErrNotTCP},
		{"quoted first fragment", flow4, 3, set(6, 0x20), nil},
		{"quoted later fragment", flow4, 3, set(7, 1), wire.ErrNotTCP},
		{"quoted total length changed on the way", flow4, 3, set(2, 0xff), nil},
		{"quoted TTL and checksum changed on the way", flow4, 3, func(q []byte) []byte { q[8], q[10] = 1, ^q[10]; return q }, nil},
		{"v6 too big", flow6, 2, whole, nil},
		{"v6 type 0", flow6, 0, whole, wire.ErrNotTCP},
		{"v6 type 5", flow6, 5, whole, wire.ErrNotTCP},
		{"v6 echo request", flow6, 128, whole, wire.ErrNotTCP},
		{"v6 neighbour solicitation", flow6, 135, whole, wire.ErrNotTCP},
		{"v6 no quote", flow6, 2, cut(0), wire.ErrShort},
		{"v6 quote ends in IP", flow6, 2, cut(39), wire.ErrShort},
		{"v6 quote ends before the sequence number", flow6, 2, cut(47), wire.ErrShort},
		{"v6 quote of 8 bytes of TCP", flow6, 2, cut(48), nil},
		{"v6 quoted version", flow6, 2, set(0, 0x45), wire.ErrHeader},
		{"v6 quoted UDP", flow6, 2, set(6, 17), wire.ErrNotTCP},
		{"v6 quoted mapped source", flow6, 2, func(q []byte) []byte { mapped(q[8:]); return q }, wire.ErrHeader},
		{"v6 quoted mapped destination", flow6, 2, func(q []byte) []byte { mapped(q[24:]); return q }, wire.ErrHeader},
	} {
		quote := row.change(r.sentPacket(row.flow, 12345)[:500])
		frame := icmpMessage(t, r, row.flow, row.flow.RemoteAddr().Addr(), row.kind, 0, 0, quote)
		var e wire.ICMPError
		if err := wire.ParseICMP(frame, true, &e); err != row.want {
			t.Errorf("%s: %v, want %v", row.name, err, row.want)
		} else if err == nil && (e.Flow != row.flow || e.Seq != 12345) {
			t.Errorf("%s: %+v", row.name, e)
		}
	}
}

func TestParseICMPOuterErrors(t *testing.T) {
	frame, _, _ := peerFrame(t, 2)
	var e wire.ICMPError
	if err := wire.ParseICMP(frame, true, &e); err != wire.ErrNotTCP {
		t.Errorf("a TCP segment: %v", err)
	}
	r := newRandom(8)
	quote := r.sentPacket(flow4, 1)[:100]
	frame = serialize(t, &layers.Ethernet{SrcMAC: macA[:], DstMAC: macB[:], EthernetType: layers.EthernetTypeIPv4},
		&layers.IPv4{Version: 4, TTL: 9, Protocol: layers.IPProtocolICMPv4, Flags: layers.IPv4MoreFragments, SrcIP: r.bytes(4), DstIP: r.bytes(4)},
		&layers.ICMPv4{TypeCode: layers.CreateICMPv4TypeCode(3, 4)}, gopacket.Payload(quote))
	if err := wire.ParseICMP(frame, true, &e); err != wire.ErrFragment {
		t.Errorf("a fragment: %v", err)
	}
	frame = icmpMessage(t, r, flow6, flow6.RemoteAddr().Addr(), 2, 0, 1280, nil)
	for n := range byte(8) {
		short := bytes.Clone(frame)
		short[icmpStart(frame, true)-40+5] = n
		if err := wire.ParseICMP(short, false, &e); err != wire.ErrShort {
			t.Errorf("ICMP of %d bytes: %v", n, err)
		}
	}
	for n := range frame {
		if err := wire.ParseICMP(frame[:n:n], false, &e); err != wire.ErrShort && err != wire.ErrHeader {
			t.Errorf("%d of %d bytes: %v", n, len(frame), err)
		}
	}
}

func FuzzParseICMP(f *testing.F) {
	for seed := range uint64(24) {
		frame, _ := icmpFrame(f, seed)
		f.Add(frame, seed&2 == 2)
	}
	f.Fuzz(func(t *testing.T, frame []byte, verify bool) {
		before := bytes.Clone(frame)
		var e wire.ICMPError
		if wire.ParseICMP(frame[:len(frame):len(frame)], verify, &e) != nil {
			return
		}
		if !bytes.Equal(before, frame) {
			t.Fatal("ParseICMP wrote into the frame")
		}
		if e.Flow.Is4() == e.V6 || wire.FlowOf(e.Flow.LocalAddr(), e.Flow.RemoteAddr()) != e.Flow {
			t.Fatalf("families mixed: %+v", e)
		}
		if tooBig := e.V6 && e.Type == wire.ICMPv6PacketTooBig || !e.V6 && e.Type == wire.ICMPUnreachable && e.Code == wire.ICMPFragNeeded; !tooBig && e.MTU != 0 {
			t.Fatalf("MTU from nowhere: %+v", e)
		}
	})
}
