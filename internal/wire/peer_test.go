package wire_test

import (
	"bytes"
	"encoding/binary"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"

	"github.com/xsend/xsend/internal/wire"
)

// serialize has gopacket write a frame, all lengths and checksums its own.
func serialize(t testing.TB, all ...gopacket.SerializableLayer) []byte {
	t.Helper()
	out := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(out, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, all...); err != nil {
		t.Fatalf("serialize: %v", err)
	}
	return bytes.Clone(out.Bytes())
}

// link returns the Ethernet header and 0 to 2 tags in front of kind.
func (r random) link(kind layers.EthernetType) []gopacket.SerializableLayer {
	eth := &layers.Ethernet{SrcMAC: r.bytes(6), DstMAC: r.bytes(6), EthernetType: kind}
	all := []gopacket.SerializableLayer{eth}
	next := &eth.EthernetType
	for i := range r.IntN(3) {
		*next = []layers.EthernetType{layers.EthernetTypeDot1Q, layers.EthernetTypeQinQ}[r.IntN(2-i)]
		tag := &layers.Dot1Q{Priority: uint8(r.IntN(8)), DropEligible: r.IntN(2) == 0, VLANIdentifier: uint16(r.IntN(4096)), Type: kind}
		next = &tag.Type
		all = append(all, tag)
	}
	return all
}

type networkLayer interface {
	gopacket.SerializableLayer
	gopacket.NetworkLayer
}

// network returns the IP header from remote to local.
func (r random) network(f wire.Flow, proto layers.IPProtocol, tos uint8) networkLayer {
	src, dst := f.RemoteAddr().Addr().AsSlice(), f.LocalAddr().Addr().AsSlice()
	if !f.Is4() {
		return &layers.IPv6{Version: 6, TrafficClass: tos, FlowLabel: uint32(r.IntN(1 << 20)), NextHeader: proto, HopLimit: uint8(r.Uint32()), SrcIP: src, DstIP: dst}
	}
	ip := &layers.IPv4{Version: 4, TOS: tos, Id: uint16(r.Uint32()), TTL: uint8(r.Uint32()), Protocol: proto, SrcIP: src, DstIP: dst}
	if r.IntN(2) == 0 {
		ip.Flags = layers.IPv4DontFragment
	}
	for room := r.IntN(40); room >= 2; {
		n := 2 + r.IntN(room-1)
		ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 0x80 | uint8(r.IntN(32)), OptionLength: uint8(n), OptionData: r.bytes(n - 2)})
		room -= n
	}
	return ip
}

// tcpOptions returns random options within 40 bytes, unknown ones and wrong lengths among them, and their meaning.
func (r random) tcpOptions() (all []layers.TCPOption, want wire.Options) {
	for room := r.IntN(41); room > 0; {
		o := r.tcpOption(room)
		room -= max(1, int(o.OptionLength))
		all = append(all, o)
		take(&want, o)
		if o.OptionType == layers.TCPOptionKindEndList {
			break // gopacket pads behind it
		}
	}
	return all, want
}

func (r random) tcpOption(room int) layers.TCPOption {
	kinds := []struct{ kind, length int }{
		{0, 1}, {1, 1}, {1, 1}, {2, 4}, {3, 3}, {4, 2}, {5, 10}, {5, 18}, {5, 26}, {5, 34}, {8, 10},
		{2, 3}, {2, 5}, {3, 2}, {4, 4}, {5, 2}, {5, 11}, {8, 9}, {8, 11}, {19, 18}, {34, 2}, {253, 7}, {77, 2 + r.IntN(20)},
	}
	for {
		k := kinds[r.IntN(len(kinds))]
		if k.length > room || k.kind == 0 && r.IntN(4) > 0 {
			continue
		}
		o := layers.TCPOption{OptionType: layers.TCPOptionKind(k.kind), OptionLength: uint8(k.length)}
		if k.kind > 1 {
			o.OptionData = r.bytes(k.length - 2)
		}
		return o
	}
}

// take is the test's own reading of one option.
func take(w *wire.Options, o layers.TCPOption) {
	d := o.OptionData
	switch [2]int{int(o.OptionType), int(o.OptionLength)} {
	case [2]int{2, 4}:
		w.HasMSS, w.MSS = true, uint16(d[0])<<8|uint16(d[1])
	case [2]int{3, 3}:
		w.HasWScale, w.WScale = true, min(14, d[0])
	case [2]int{4, 2}:
		w.SACKPermitted = true
	case [2]int{8, 10}:
		w.HasTS, w.TSVal, w.TSEcr = true, binary.BigEndian.Uint32(d), binary.BigEndian.Uint32(d[4:])
	case [2]int{5, 10}, [2]int{5, 18}, [2]int{5, 26}, [2]int{5, 34}:
		w.NumSACK = len(d) / 8
		for i := range w.NumSACK {
			w.SACK[i] = wire.SACKBlock{Start: binary.BigEndian.Uint32(d[8*i:]), End: binary.BigEndian.Uint32(d[8*i+4:])}
		}
	}
}

// peerFrame returns a random frame from the peer and what Parse must read from it; at is where TCP begins.
func peerFrame(t testing.TB, seed uint64) (frame []byte, want wire.Segment, at int) {
	t.Helper()
	r := newRandom(seed)
	v6 := seed&1 == 1
	kind := layers.EthernetTypeIPv4
	if v6 {
		kind = layers.EthernetTypeIPv6
	}
	all := r.link(kind)
	tos := uint8(r.Uint32())
	want = wire.Segment{
		Flow: r.flow(v6), Seq: r.Uint32(), Ack: r.Uint32(), Window: uint16(r.Uint32()), Urgent: uint16(r.Uint32()),
		Flags: uint8(r.Uint32()), ECN: tos & 3, SrcMAC: [6]byte(all[0].(*layers.Ethernet).SrcMAC),
		Payload: r.bytes(r.IntN(4) / 3 * r.IntN(1400)),
	}
	want.PayloadLen = len(want.Payload)
	ip := r.network(want.Flow, layers.IPProtocolTCP, tos)
	tcp := &layers.TCP{
		SrcPort: layers.TCPPort(want.Flow.RemotePort), DstPort: layers.TCPPort(want.Flow.LocalPort), Seq: want.Seq, Ack: want.Ack,
		Window: want.Window, Urgent: want.Urgent, NS: r.IntN(2) == 0,
	}
	for i, flag := range []*bool{&tcp.FIN, &tcp.SYN, &tcp.RST, &tcp.PSH, &tcp.ACK, &tcp.URG, &tcp.ECE, &tcp.CWR} {
		*flag = want.Flags>>i&1 == 1
	}
	tcp.Options, want.Options = r.tcpOptions()
	if err := tcp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	frame = serialize(t, append(all, ip, tcp, gopacket.Payload(want.Payload))...)
	at = 14 + 4*(len(all)-1) + 40
	if ip, ok := ip.(*layers.IPv4); ok {
		at += int(ip.IHL)*4 - 40
	}
	return append(frame, r.bytes(r.IntN(2)*r.IntN(20))...), want, at
}
