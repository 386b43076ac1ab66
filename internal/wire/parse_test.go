package wire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/internal/wire"
)

func sameSegment(a, b *wire.Segment) bool {
	x, y := *a, *b
	x.Payload, y.Payload = nil, nil
	return bytes.Equal(a.Payload, b.Payload) && equalPlain(x, y)
}

func equalPlain(x, y wire.Segment) bool {
	return x.Flow == y.Flow && x.Seq == y.Seq && x.Ack == y.Ack && x.Window == y.Window && x.Urgent == y.Urgent && x.Flags == y.Flags &&
		x.ECN == y.ECN && x.SrcMAC == y.SrcMAC && x.Options == y.Options && x.PayloadLen == y.PayloadLen
}

// dirty is a Segment with something in every field, which Parse has to overwrite.
func dirty() wire.Segment {
	return wire.Segment{
		Flow: wire.Flow{Local: [16]byte{1, 9: 9}, Remote: [16]byte{2, 9: 9}, LocalPort: 1, RemotePort: 2}, Seq: 1, Ack: 2, Window: 3, Urgent: 4, Flags: 255, ECN: 3,
		SrcMAC: macA, PayloadLen: 7, Payload: []byte("before"),
		Options: wire.Options{TSVal: 1, TSEcr: 2, MSS: 3, WScale: 4, HasMSS: true, HasWScale: true, SACKPermitted: true, HasTS: true, Malformed: true, NumSACK: 4, SACK: [4]wire.SACKBlock{3: {Start: 1, End: 2}}},
	}
}

func TestParseReadsGopacket(t *testing.T) {
	for seed := range uint64(6000) {
		frame, want, _ := peerFrame(t, seed)
		for _, verify := range []bool{true, false} {
			got := dirty()
			if err := wire.Parse(frame, verify, &got); err != nil {
				t.Fatalf("seed %d: %v\n% x", seed, err, frame)
			}
			if !sameSegment(&got, &want) {
				t.Fatalf("seed %d: got\n%+v\nwant\n%+v\n% x", seed, got, want, frame)
			}
		}
	}
}

// TestParseFlippedBit flips every bit under the TCP checksum, and every one of the IPv4 header. The control is the same
// flip without verification: a flip of the payload then goes unseen.
func TestParseFlippedBit(t *testing.T) {
	for seed := range uint64(40) {
		frame, want, at := peerFrame(t, seed)
		end := at + tcpHeaderLen(frame[at:]) + want.PayloadLen
		from := at
		if want.Flow.Is4() {
			from = ipv4Start(frame)
		}
		var s wire.Segment
		for bit := from * 8; bit < end*8; bit++ {
			frame[bit/8] ^= 0x80 >> (bit % 8)
			err := wire.Parse(frame, true, &s)
			unseen := wire.Parse(frame, false, &s)
			frame[bit/8] ^= 0x80 >> (bit % 8)
			switch where := bit / 8; {
			case err == wire.ErrChecksum:
			case where == at+12 && err == wire.ErrHeader: // the data offset
			case where < from+4 && where < at && err == wire.ErrHeader: // version, IHL, total length
			case where < from+4 && where < at && err == wire.ErrShort: // the same, less than a TCP header left
			default:
				t.Fatalf("seed %d: bit %d of byte %d (TCP at %d): %v", seed, bit%8, where, at, err)
			}
			if bit/8 >= at+20 && unseen != nil {
				t.Fatalf("seed %d: unverified flip behind the TCP header: %v", seed, unseen)
			}
		}
	}
}

// TestParseFlippedAddress flips every address bit of IPv6, which only the pseudo-header protects.
func TestParseFlippedAddress(t *testing.T) {
	frame, _, at := peerFrame(t, 1)
	var s wire.Segment
	for bit := (at - 32) * 8; bit < at*8; bit++ {
		frame[bit/8] ^= 1 << (bit % 8)
		if err := wire.Parse(frame, true, &s); err != wire.ErrChecksum {
			t.Fatalf("bit %d: %v", bit, err)
		}
		frame[bit/8] ^= 1 << (bit % 8)
	}
}

func tcpHeaderLen(tcp []byte) int { return int(tcp[12]>>4) * 4 }

func ipv4Start(frame []byte) int {
	at := 14
	for frame[at-2] != 0x08 {
		at += 4
	}
	return at
}

// TestParseTruncated cuts the frame everywhere.
func TestParseTruncated(t *testing.T) {
	for seed := range uint64(60) {
		frame, want, at := peerFrame(t, seed)
		end := at + tcpHeaderLen(frame[at:]) + want.PayloadLen
		for n := range end {
			var s wire.Segment
			err := wire.Parse(frame[:n:n], false, &s)
			if err != wire.ErrShort && err != wire.ErrHeader {
				t.Fatalf("seed %d: %d of %d bytes: %v", seed, n, end, err)
			}
		}
		var s wire.Segment
		if err := wire.Parse(frame[:end:end], true, &s); err != nil {
			t.Fatalf("seed %d: all %d bytes: %v", seed, end, err)
		}
	}
}

// TestParseErrors changes one field of a good frame (no tags, IHL 5) at a time.
func TestParseErrors(t *testing.T) {
	put16 := func(at int, v uint16) func([]byte) []byte {
		return func(b []byte) []byte { binary.BigEndian.PutUint16(b[at:], v); return b }
	}
	put8 := func(at int, v byte) func([]byte) []byte {
		return func(b []byte) []byte { b[at] = v; return b }
	}
	tags := func(n int, kind uint16) func([]byte) []byte {
		return func(b []byte) []byte {
			tag := binary.BigEndian.AppendUint16(nil, kind)
			return bytes.Join([][]byte{b[:12], bytes.Repeat(append(tag, 0, 5), n), b[12:]}, nil)
		}
	}
	for _, row := range []struct {
		name   string
		v6     bool
		change func([]byte) []byte
		want   error
	}{
		{"v4", false, func(b []byte) []byte { return b }, nil},
		{"v6", true, func(b []byte) []byte { return b }, nil},
		{"empty", false, func(b []byte) []byte { return nil }, wire.ErrShort},
		{"ARP", false, put16(12, 0x0806), wire.ErrNotTCP},
		{"802.3 length", false, put16(12, 100), wire.ErrNotTCP},
		{"one tag", false, tags(1, 0x8100), nil},
		{"one S-tag", false, tags(1, 0x88a8), nil},
		{"two tags", true, tags(2, 0x8100), nil},
		{"three tags", true, tags(3, 0x8100), wire.ErrNotTCP},
		{"v4 as v6", false, put16(12, 0x86dd), wire.ErrHeader},
		{"v6 as v4", true, put16(12, 0x0800), wire.ErrHeader},
		{"v4 version 5", false, put8(14, 0x55), wire.ErrHeader},
		{"v4 IHL 4", false, put8(14, 0x44), wire.ErrHeader},
		{"v4 IHL beyond total length", false, func(b []byte) []byte { return put16(16, 56)(put8(14, 0x4f)(b)) }, wire.ErrHeader},
		{"v4 total length 0, as from TSO captures", false, put16(16, 0), wire.ErrHeader},
		{"v4 total length 19", false, put16(16, 19), wire.ErrHeader},
		{"v4 total length without TCP", false, put16(16, 20), wire.ErrShort},
		{"v4 total length cuts TCP", false, put16(16, 39), wire.ErrShort},
		{"v4 total length beyond frame", false, put16(16, 65535), wire.ErrHeader},
		{"v4 UDP", false, put8(23, 17), wire.ErrNotTCP},
		{"v4 ICMP", false, put8(23, 1), wire.ErrNotTCP},
		{"v4 first fragment", false, put16(20, 0x2000), wire.ErrFragment},
		{"v4 later fragment", false, put16(20, 0x0001), wire.ErrFragment},
		{"v4 DF", false, put16(20, 0x4000), nil},
		{"v4 reserved bit", false, put16(20, 0x8000), nil},
		{"v4 UDP fragment", false, func(b []byte) []byte { return put16(20, 0x2000)(put8(23, 17)(b)) }, wire.ErrNotTCP},
		{"v6 version 4", true, put8(14, 0x45), wire.ErrHeader},
		{"v6 payload length 0", true, put16(18, 0), wire.ErrShort},
		{"v6 payload length cuts TCP", true, put16(18, 19), wire.ErrShort},
		{"v6 payload length beyond frame", true, put16(18, 65535), wire.ErrHeader},
		{"v6 fragment header", true, put8(20, 44), wire.ErrNotTCP},
		{"v6 hop-by-hop", true, put8(20, 0), wire.ErrNotTCP},
		{"v6 UDP", true, put8(20, 17), wire.ErrNotTCP},
		{"v6 mapped source", true, func(b []byte) []byte { mapped(b[22:]); return b }, wire.ErrHeader},
		{"v6 mapped destination", true, func(b []byte) []byte { mapped(b[38:]); return b }, wire.ErrHeader},
		{"v6 mapped suffix behind a prefix of its own", true, func(b []byte) []byte { mapped(b[22:]); b[22] = 0x20; return b }, nil},
		{"TCP data offset 4", false, put8(14+20+12, 0x40), wire.ErrHeader},
		{"TCP data offset 0", true, put8(14+40+12, 0x00), wire.ErrHeader},
		{"TCP data offset beyond segment", false, put8(14+20+12, 0xf0), wire.ErrHeader},
		{"TCP data offset beyond segment", true, put8(14+40+12, 0xf0), wire.ErrHeader},
	} {
		flow := flow4
		if row.v6 {
			flow = flow6
		}
		var tmpl wire.Template
		tmpl.Init(flow, wire.Path{SrcMAC: macA, DstMAC: macB})
		buf := make([]byte, wire.MaxHeaderLen)
		// Read 4 bytes too early, this Ack is a good data offset: nothing but the check of IHL catches IHL 4.
		n := tmpl.Put(buf, &wire.Header{Ack: 0x50000000, Flags: wire.FlagACK}, 5, wire.Sum([]byte("hello"), 0))
		frame := append(buf[len(buf)-n:], "hello"...)
		var s wire.Segment
		if err := wire.Parse(row.change(frame), false, &s); err != row.want {
			t.Errorf("%s (v6 %v): %v, want %v", row.name, row.v6, err, row.want)
		}
	}
}

func mapped(b []byte) { copy(b, []byte{9: 0, 10: 0xff, 11: 0xff, 12: 192, 0, 2, 1}) }

func TestSegmentLen(t *testing.T) {
	for flags := range 256 {
		s := wire.Segment{Flags: uint8(flags), PayloadLen: 100}
		want := uint32(100)
		if s.Flags&wire.FlagSYN != 0 {
			want++
		}
		if s.Flags&wire.FlagFIN != 0 {
			want++
		}
		if s.Len() != want {
			t.Fatalf("flags %#x: Len %d, want %d", flags, s.Len(), want)
		}
	}
}

func FuzzParse(f *testing.F) {
	for seed := range uint64(24) {
		frame, _, _ := peerFrame(f, seed)
		f.Add(frame, seed&2 == 2)
	}
	for seed := range uint64(6) {
		frame, _ := icmpFrame(f, seed)
		f.Add(frame, true)
	}
	f.Fuzz(func(t *testing.T, frame []byte, verify bool) {
		s := dirty()
		before := bytes.Clone(frame)
		if wire.Parse(frame[:len(frame):len(frame)], verify, &s) != nil {
			return
		}
		if s.PayloadLen != len(s.Payload) || s.PayloadLen > len(frame)-54 || s.Options.NumSACK > wire.MaxSACKBlocks || s.Options.WScale > wire.MaxWScale {
			t.Fatalf("impossible segment %+v", s)
		}
		if !bytes.Equal(before, frame) {
			t.Fatal("Parse wrote into the frame")
		}
		checkSecondOpinion(t, frame, &s, verify)
	})
}

// checkSecondOpinion compares an accepted frame with what gopacket reads, as far as gopacket reads it without error.
func checkSecondOpinion(t *testing.T, frame []byte, s *wire.Segment, verify bool) {
	pkt := gopacket.NewPacket(frame, layers.LayerTypeEthernet, gopacket.Default)
	tcp, ok := pkt.TransportLayer().(*layers.TCP)
	if !ok || pkt.NetworkLayer() == nil {
		return // options that gopacket refuses
	}
	if uint16(tcp.DstPort) != s.Flow.LocalPort || uint16(tcp.SrcPort) != s.Flow.RemotePort || tcp.Seq != s.Seq || tcp.Ack != s.Ack ||
		tcp.Window != s.Window || tcp.Urgent != s.Urgent || !bytes.Equal(tcp.Payload, s.Payload) {
		t.Fatalf("gopacket %+v\nwe %+v", tcp, s)
	}
	if !bytes.Equal(pkt.NetworkLayer().NetworkFlow().Dst().Raw(), s.Flow.LocalAddr().Addr().AsSlice()) {
		t.Fatalf("gopacket %v, we %v", pkt.NetworkLayer().NetworkFlow(), s.Flow)
	}
	if !verify {
		return
	}
	if sum, err := tcpSum(pkt, tcp); err == nil && sum != 0 {
		t.Fatalf("accepted with a checksum that leaves %#x", sum)
	}
}

// tcpSum is the TCP checksum over the segment, its checksum field included, so 0 for a good one.
func tcpSum(pkt gopacket.Packet, tcp *layers.TCP) (uint16, error) {
	if err := tcp.SetNetworkLayerForChecksum(pkt.NetworkLayer()); err != nil {
		return 0, err
	}
	return tcp.ComputeChecksum()
}
