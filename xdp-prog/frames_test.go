package xdpprog

import (
	"net"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// Ports of the tests. mirror has the bytes of ours swapped: it tells byte orders apart.
const (
	ours   = 0x1a0b
	mirror = 0x0b1a
	other  = 40000
)

const (
	dot1Q  = layers.EthernetTypeDot1Q
	dot1AD = layers.EthernetTypeQinQ
)

var (
	macA, macB = net.HardwareAddr{2, 0, 0, 0, 0, 0xa}, net.HardwareAddr{2, 0, 0, 0, 0, 0xb}
	ip4A, ip4B = net.IP{10, 77, 0, 1}, net.IP{10, 77, 0, 2}
	ip6A, ip6B = net.ParseIP("fd77::1"), net.ParseIP("fd77::2")
)

// serialize puts layers behind each other and fills in lengths.
func serialize(ls ...gopacket.SerializableLayer) []byte {
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true}, ls...); err != nil {
		panic(err)
	}
	return append([]byte(nil), buf.Bytes()...)
}

// ether is an Ethernet header with VLAN tags, the outer first, in front of packet.
func ether(inside layers.EthernetType, packet []byte, tags ...layers.EthernetType) []byte {
	types := append(tags, inside)
	ls := []gopacket.SerializableLayer{&layers.Ethernet{SrcMAC: macB, DstMAC: macA, EthernetType: types[0]}}
	for i := range tags {
		ls = append(ls, &layers.Dot1Q{VLANIdentifier: uint16(100 + i), Type: types[i+1]})
	}
	f := serialize(append(ls, gopacket.Payload(packet))...)
	return f[:14+4*len(tags)+len(packet)] // gopacket pads to 60 bytes
}

func eth4(packet []byte, tags ...layers.EthernetType) []byte {
	return ether(layers.EthernetTypeIPv4, packet, tags...)
}

func eth6(packet []byte, tags ...layers.EthernetType) []byte {
	return ether(layers.EthernetTypeIPv6, packet, tags...)
}

// ip4 is an IPv4 packet; edit changes its header before it is serialized.
func ip4(proto layers.IPProtocol, payload []byte, edit ...func(*layers.IPv4)) []byte {
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: proto, SrcIP: ip4B, DstIP: ip4A, Flags: layers.IPv4DontFragment}
	for _, f := range edit {
		f(ip)
	}
	return serialize(ip, gopacket.Payload(payload))
}

// options gives the header n bytes of IP options, a multiple of 4.
func options(n int) func(*layers.IPv4) {
	return func(ip *layers.IPv4) {
		for range n {
			ip.Options = append(ip.Options, layers.IPv4Option{OptionType: 1, OptionLength: 1})
		}
	}
}

// fragment makes the packet a fragment at offset, in units of 8 bytes.
func fragment(offset uint16, more bool) func(*layers.IPv4) {
	return func(ip *layers.IPv4) {
		ip.FragOffset, ip.Flags = offset, 0
		if more {
			ip.Flags = layers.IPv4MoreFragments
		}
	}
}

func ip6(next layers.IPProtocol, payload []byte) []byte {
	ip := &layers.IPv6{Version: 6, HopLimit: 64, NextHeader: next, SrcIP: ip6B, DstIP: ip6A}
	return serialize(ip, gopacket.Payload(payload))
}

// extension is an IPv6 extension header of 8 bytes in front of payload.
func extension(next layers.IPProtocol, payload []byte) []byte {
	return append([]byte{byte(next), 0, 1, 4, 0, 0, 0, 0}, payload...)
}

func tcp(src, dst uint16, payload string, opts ...layers.TCPOption) []byte {
	t := &layers.TCP{SrcPort: layers.TCPPort(src), DstPort: layers.TCPPort(dst), Seq: 1000, Ack: 2000, ACK: true, Window: 512, Options: opts}
	return serialize(t, gopacket.Payload(payload))
}

func timestamps() layers.TCPOption {
	return layers.TCPOption{OptionType: layers.TCPOptionKindTimestamps, OptionLength: 10, OptionData: make([]byte, 8)}
}

func udp(src, dst uint16) []byte {
	return serialize(&layers.UDP{SrcPort: layers.UDPPort(src), DstPort: layers.UDPPort(dst)}, gopacket.Payload("datagram"))
}

// icmp is an ICMP or ICMPv6 message: type, code, checksum, four bytes, body.
func icmp(typ, code byte, body []byte) []byte {
	return append([]byte{typ, code, 0, 0, 0, 0, 0x05, 0x14}, body...)
}

func icmp4(typ, code byte, quote []byte, edit ...func(*layers.IPv4)) []byte {
	return ip4(layers.IPProtocolICMPv4, icmp(typ, code, quote), edit...)
}

func icmp6(typ, code byte, quote []byte) []byte {
	return ip6(layers.IPProtocolICMPv6, icmp(typ, code, quote))
}

// sent4 is a segment that we sent from a port, as a router quotes it: header and the
// first n bytes behind it.
func sent4(port uint16, n int, edit ...func(*layers.IPv4)) []byte {
	p := ip4(layers.IPProtocolTCP, tcp(port, 80, "payload of ours"), edit...)
	return p[:int(p[0]&15)*4+n]
}

func sent6(port uint16, n int) []byte {
	return ip6(layers.IPProtocolTCP, tcp(port, 80, "payload of ours"))[:40+n]
}

func arp() []byte {
	return ether(layers.EthernetTypeARP, serialize(&layers.ARP{
		AddrType: layers.LinkTypeEthernet, Protocol: layers.EthernetTypeIPv4, HwAddressSize: 6, ProtAddressSize: 4,
		Operation: layers.ARPRequest, SourceHwAddress: macB, SourceProtAddress: ip4B,
		DstHwAddress: make([]byte, 6), DstProtAddress: ip4A}))
}

// with returns the frame with bytes at offset replaced.
func with(frame []byte, offset int, b ...byte) []byte {
	f := append([]byte(nil), frame...)
	copy(f[offset:], b)
	return f
}

// cut returns the frame without its last n bytes; the lengths in its headers stay.
func cut(frame []byte, n int) []byte { return frame[:len(frame)-n] }

// pad appends n bytes that belong to no packet, as short Ethernet frames have them.
func pad(frame []byte, n int) []byte {
	return append(append([]byte(nil), frame...), make([]byte, n)...)
}
