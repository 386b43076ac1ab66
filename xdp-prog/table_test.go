package xdpprog

import (
	"fmt"
	"slices"

	"github.com/google/gopacket/layers"
)

// What the program did with a frame, as it counts it itself.
const (
	passed          = steerOutcomePASSED
	passedFragment  = steerOutcomeFRAGMENT
	passedMalformed = steerOutcomeMALFORMED
	passedICMP      = steerOutcomeICMP_PASSED // quotes ours, no socket
	redirectedTCP   = steerOutcomeTCP_REDIRECTED
	redirectedICMP  = steerOutcomeICMP_REDIRECTED
	dropped         = steerOutcomeTCP_DROPPED // our TCP, no socket
)

// verdicts are the XDP actions that go with the outcomes.
var verdicts = [steerOutcomeOUTCOMES]uint32{passed: 2, passedFragment: 2, passedMalformed: 2, passedICMP: 2,
	redirectedTCP: 4, redirectedICMP: 4, dropped: 1}

func (o steerOutcome) String() string {
	if o >= steerOutcomeOUTCOMES {
		return "nothing that the program should do"
	}
	return []string{passed: "passed", passedFragment: "passed, a fragment", passedMalformed: "passed, malformed",
		passedICMP: "passed, ICMP about ours", redirectedTCP: "redirected, TCP", redirectedICMP: "redirected, ICMP",
		dropped: "dropped"}[o]
}

// Queues of the tests: the interface has four, the program was loaded for three.
const (
	served      = 1 // has a socket
	unserved    = 2 // could have one
	beyond      = 3 // is beyond XSKMAP
	allQueues   = 4
	mappedSlots = 3
)

type row struct {
	name  string
	frame []byte
	queue int
	want  steerOutcome
}

const (
	protoTCP  = layers.IPProtocolTCP
	protoUDP  = layers.IPProtocolUDP
	protoSCTP = layers.IPProtocolSCTP
)

// table is every frame whose treatment the package promises, and the same again with a
// tag, which changes nothing but the path through the program.
func table() []row {
	untagged := slices.Concat(tcpRows(), lengthRows(), fragmentRows(), extensionRows(), quote4Rows(),
		quote6Rows(), kernelRows(), truncatedRows())
	rows := slices.Concat(untagged, tagRows())
	for _, r := range untagged {
		frame := slices.Insert(slices.Clone(r.frame), 12, 0x81, 0x00, 0x20, 0x64)
		rows = append(rows, row{"tagged: " + r.name, frame, r.queue, r.want})
	}
	return rows
}

func tcpRows() []row {
	seg4, seg6 := ip4(protoTCP, tcp(80, ours, "x")), ip6(protoTCP, tcp(80, ours, "x"))
	return []row{
		{"v4 to ours", eth4(seg4), served, redirectedTCP},
		{"v4 to ours, no payload", eth4(ip4(protoTCP, tcp(80, ours, ""))), served, redirectedTCP},
		{"v4 to ours, TCP options", eth4(ip4(protoTCP, tcp(80, ours, "", timestamps()))), served, redirectedTCP},
		{"v4 to ours, full size", eth4(ip4(protoTCP, tcp(80, ours, string(make([]byte, 1448))))), served, redirectedTCP},
		{"v4 to ours, several buffers", eth4(ip4(protoTCP, tcp(80, ours, string(make([]byte, 8900))))), served, redirectedTCP},
		{"v4 to ours, no socket", eth4(seg4), unserved, dropped},
		{"v4 to ours, beyond the sockets", eth4(seg4), beyond, dropped},
		{"v4 to another port", eth4(ip4(protoTCP, tcp(80, other, "x"))), served, passed},
		{"v4 to another port, no socket", eth4(ip4(protoTCP, tcp(80, other, "x"))), unserved, passed},
		{"v4 to our port byte-swapped", eth4(ip4(protoTCP, tcp(80, mirror, "x"))), served, passed},
		{"v4 from our port", eth4(ip4(protoTCP, tcp(ours, 80, "x"))), served, passed},
		{"v4 4 bytes of IP options", eth4(ip4(protoTCP, tcp(80, ours, "x"), options(4))), served, redirectedTCP},
		{"v4 40 bytes of IP options", eth4(ip4(protoTCP, tcp(80, ours, "x"), options(40))), served, redirectedTCP},
		{"v4 IP options, another port", eth4(ip4(protoTCP, tcp(80, other, "x"), options(8))), served, passed},
		{"v4 may be fragmented, isn't", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(0, false))), served, redirectedTCP},
		{"v4 reserved flag", with(eth4(seg4), 14+6, 0x80), served, redirectedTCP},
		{"v6 to ours", eth6(seg6), served, redirectedTCP},
		{"v6 to ours, no payload", eth6(ip6(protoTCP, tcp(80, ours, ""))), served, redirectedTCP},
		{"v6 to ours, no socket", eth6(seg6), unserved, dropped},
		{"v6 to another port", eth6(ip6(protoTCP, tcp(80, other, "x"))), served, passed},
		{"v6 traffic class and flow label", with(eth6(seg6), 14, 0x6f, 0xff, 0xff, 0xff), served, redirectedTCP},
	}
}

func tagRows() []row {
	seg4, seg6 := ip4(protoTCP, tcp(80, ours, "x")), ip6(protoTCP, tcp(80, ours, "x"))
	tagged := eth4(seg4, dot1AD, dot1Q)
	return []row{
		{"one tag, v4", eth4(seg4, dot1Q), served, redirectedTCP},
		{"one tag, v6", eth6(seg6, dot1Q), served, redirectedTCP},
		{"one service tag, v4", eth4(seg4, dot1AD), served, redirectedTCP},
		{"two tags, v4", eth4(seg4, dot1AD, dot1Q), served, redirectedTCP},
		{"two tags, v6", eth6(seg6, dot1AD, dot1Q), served, redirectedTCP},
		{"two service tags, v4", eth4(seg4, dot1AD, dot1AD), served, redirectedTCP},
		{"two tags, wrong way round, v4", eth4(seg4, dot1Q, dot1AD), served, redirectedTCP},
		{"two customer tags, v4", eth4(seg4, dot1Q, dot1Q), served, redirectedTCP},
		{"two tags, no socket", eth4(seg4, dot1AD, dot1Q), unserved, dropped},
		{"two tags, another port", eth4(ip4(protoTCP, tcp(80, other, "x")), dot1AD, dot1Q), served, passed},
		{"two tags, IP options", eth4(ip4(protoTCP, tcp(80, ours, "x"), options(40)), dot1AD, dot1Q), served, redirectedTCP},
		{"three tags", eth4(seg4, dot1AD, dot1Q, dot1Q), served, passed},
		{"one tag, ARP behind it", ether(layers.EthernetTypeARP, arp()[14:], dot1Q), served, passed},
		{"ends behind Ethernet, tag", tagged[:14], served, passedMalformed},
		{"ends in the first tag", tagged[:17], served, passedMalformed},
		{"ends behind the first tag", tagged[:18], served, passedMalformed},
		{"ends in the second tag", tagged[:21], served, passedMalformed},
		{"ends behind the second tag", tagged[:22], served, passedMalformed},
		{"v4 behind the EtherType of v6", eth6(seg4), served, passedMalformed},
		{"v6 behind the EtherType of v4", eth4(seg6), served, passedMalformed},
	}
}

func lengthRows() []row {
	seg4, seg6 := eth4(ip4(protoTCP, tcp(80, ours, "x"))), eth6(ip6(protoTCP, tcp(80, ours, "x")))
	return []row{
		{"v4 padded", pad(seg4, 6), served, redirectedTCP},
		{"v6 padded", pad(seg6, 6), served, redirectedTCP},
		{"v4 IHL 4", with(seg4, 14, 0x44), served, passedMalformed},
		{"v4 version 5", with(seg4, 14, 0x55), served, passedMalformed},
		{"v4 version 3", with(seg4, 14, 0x35), served, passedMalformed},
		{"v6 version 7", with(seg6, 14, 0x70), served, passedMalformed},
		{"v6 version 5", with(seg6, 14, 0x50), served, passedMalformed},
		{"v4 total length 0", with(seg4, 14+2, 0, 0), served, passedMalformed},
		{"v4 total length without the header", with(seg4, 14+2, 0, 19), served, passedMalformed},
		{"v4 total length without TCP", with(seg4, 14+2, 0, 39), served, passedMalformed},
		{"v4 total length with bare TCP", with(seg4, 14+2, 0, 40), served, redirectedTCP},
		{"v4 total length beyond the frame", with(seg4, 14+2, 0, 42), served, passedMalformed},
		{"v4 total length not 256 times as large", with(seg4, 14+2, 41, 0), served, passedMalformed},
		{"v6 payload length 0", with(seg6, 14+4, 0, 0), served, passedMalformed},
		{"v6 payload length without TCP", with(seg6, 14+4, 0, 19), served, passedMalformed},
		{"v6 payload length with bare TCP", with(seg6, 14+4, 0, 20), served, redirectedTCP},
		{"v6 payload length beyond the frame", with(seg6, 14+4, 0, 22), served, passedMalformed},
		{"TCP data offset 4", with(seg4, 14+20+12, 0x40), served, passedMalformed},
		{"TCP data offset 4, reserved bits", with(seg4, 14+20+12, 0x4f), served, passedMalformed},
		{"TCP data offset 4, reserved bits, v6", with(seg6, 14+40+12, 0x4f), served, passedMalformed},
		{"TCP data offset 5, reserved bits", with(seg4, 14+20+12, 0x5f), served, redirectedTCP},
		{"TCP data offset 0", with(seg6, 14+40+12, 0x0f), served, passedMalformed},
		{"TCP data offset beyond the packet", with(seg4, 14+20+12, 0x60), served, passedMalformed},
		{"TCP data offset 4, another port", with(eth4(ip4(protoTCP, tcp(80, other, "x"))), 14+20+12, 0x40), served, passed},
		{"TCP data offset up to the end", eth4(ip4(protoTCP, with(tcp(80, ours, string(make([]byte, 40))), 12, 0xf0))), served, redirectedTCP},
	}
}

func fragmentRows() []row {
	return []row{
		{"v4 first fragment", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(0, true))), served, passedFragment},
		{"v4 first fragment, no socket", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(0, true))), unserved, passedFragment},
		{"v4 middle fragment", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(1, true))), served, passedFragment},
		{"v4 last fragment", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(185, false))), served, passedFragment},
		{"v4 last fragment, offset of 8 KiB", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(0x400, false))), served, passedFragment},
		{"v4 fragment, tagged", eth4(ip4(protoTCP, tcp(80, ours, "x"), fragment(0, true)), dot1Q), served, passedFragment},
		{"v4 fragment of ICMP", eth4(icmp4(3, 4, sent4(ours, 8), fragment(0, true))), served, passedFragment},
		{"v4 fragment of UDP", eth4(ip4(protoUDP, udp(80, ours), fragment(0, true))), served, passedFragment},
		{"v6 first fragment", eth6(ip6(layers.IPProtocolIPv6Fragment, with(extension(protoTCP, tcp(80, ours, "x")), 2, 0, 1))), served, passedFragment},
		{"v6 last fragment", eth6(ip6(layers.IPProtocolIPv6Fragment, with(extension(protoTCP, tcp(80, ours, "x")), 2, 0, 8))), served, passedFragment},
		{"v6 atomic fragment", eth6(ip6(layers.IPProtocolIPv6Fragment, with(extension(protoTCP, tcp(80, ours, "x")), 2, 0, 0))), served, passedFragment},
	}
}

func extensionRows() []row {
	seg := tcp(80, ours, "x")
	return []row{
		{"v6 hop-by-hop", eth6(ip6(layers.IPProtocolIPv6HopByHop, extension(protoTCP, seg))), served, passed},
		{"v6 destination options", eth6(ip6(layers.IPProtocolIPv6Destination, extension(protoTCP, seg))), served, passed},
		{"v6 routing", eth6(ip6(layers.IPProtocolIPv6Routing, extension(protoTCP, seg))), served, passed},
		{"v6 fragment behind hop-by-hop", eth6(ip6(layers.IPProtocolIPv6HopByHop,
			extension(layers.IPProtocolIPv6Fragment, extension(protoTCP, seg)))), served, passed},
		{"v6 no next header", eth6(ip6(layers.IPProtocolNoNextHeader, seg)), served, passed},
		{"v6 in v4", eth4(ip4(layers.IPProtocolIPv6, ip6(protoTCP, seg))), served, passed},
		{"v4 in v4", eth4(ip4(layers.IPProtocolIPv4, ip4(protoTCP, seg))), served, passed},
	}
}

func quote4Rows() []row {
	rows := []row{
		{"unreachable, whole segment quoted", eth4(icmp4(3, 1, sent4(ours, 35))), served, redirectedICMP},
		{"needs fragmentation, 8 bytes quoted", eth4(icmp4(3, 4, sent4(ours, 8))), served, redirectedICMP},
		{"time exceeded", eth4(icmp4(11, 0, sent4(ours, 8))), served, redirectedICMP},
		{"parameter problem", eth4(icmp4(12, 0, sent4(ours, 8))), served, redirectedICMP},
		{"ICMP about ours, no socket", eth4(icmp4(3, 4, sent4(ours, 8))), unserved, passedICMP},
		{"ICMP about ours, beyond the sockets", eth4(icmp4(3, 4, sent4(ours, 8))), beyond, passedICMP},
		{"ICMP about ours, service tag", eth4(icmp4(3, 4, sent4(ours, 8)), dot1AD), served, redirectedICMP},
		{"ICMP about ours, padded", pad(eth4(icmp4(3, 4, sent4(ours, 8))), 20), served, redirectedICMP},
		{"ICMP with IP options", eth4(icmp4(3, 4, sent4(ours, 8), options(40))), served, redirectedICMP},
		{"quote with IP options", eth4(icmp4(3, 4, sent4(ours, 8, options(12)))), served, redirectedICMP},
		{"both with 40 bytes of options, service tag", eth4(icmp4(3, 4, sent4(ours, 8, options(40)), options(40)), dot1AD), served, redirectedICMP},
		{"quote of a first fragment", eth4(icmp4(11, 1, sent4(ours, 8, fragment(0, true)))), served, redirectedICMP},
		{"quote of a later fragment", eth4(icmp4(11, 1, sent4(ours, 8, fragment(9, false)))), served, passed},
		{"quote from another port", eth4(icmp4(3, 4, sent4(other, 8))), served, passed},
		{"quote from our port byte-swapped", eth4(icmp4(3, 4, sent4(mirror, 8))), served, passed},
		{"quote to our port", eth4(icmp4(3, 4, ip4(protoTCP, tcp(80, ours, "x")))), served, passed},
		{"quote of UDP", eth4(icmp4(3, 3, ip4(protoUDP, udp(ours, 80)))), served, passed},
		{"quote of ICMP", eth4(icmp4(3, 1, icmp4(8, 0, []byte("ping")))), served, passed},
		{"quote of v6", eth4(icmp4(3, 4, sent6(ours, 8))), served, passedMalformed},
		{"quote with IHL 4", eth4(icmp4(3, 4, with(sent4(ours, 8), 0, 0x44))), served, passedMalformed},
		{"quote with a mangled total length", eth4(icmp4(3, 4, with(sent4(ours, 8), 2, 0, 0))), served, redirectedICMP},
		{"quote of 7 bytes", eth4(icmp4(3, 4, sent4(ours, 7))), served, passedMalformed},
		{"quote of the ports only", eth4(icmp4(3, 4, sent4(ours, 4))), served, passedMalformed},
		{"quote of the header only", eth4(icmp4(3, 4, sent4(ours, 0))), served, passedMalformed},
		{"quote of half a header", eth4(icmp4(3, 4, sent4(ours, 0)[:10])), served, passedMalformed},
		{"no quote", eth4(icmp4(3, 4, nil)), served, passedMalformed},
		{"half an ICMP header", eth4(ip4(layers.IPProtocolICMPv4, []byte{3, 4, 0, 0})), served, passedMalformed},
		{"ICMP longer than the frame", cut(eth4(icmp4(3, 4, sent4(ours, 20))), 8), served, passedMalformed},
		{"quote beyond the packet, in the padding", with(eth4(icmp4(3, 4, sent4(ours, 8))), 14+2, 0, 20+8+20+7), served, passedMalformed},
	}
	for _, typ := range []byte{0, 1, 2, 4, 5, 8, 9, 10, 13, 14, 35, 43, 44, 67, 255} {
		rows = append(rows, row{name: fmt.Sprintf("ICMP type %d", typ), frame: eth4(icmp4(typ, 0, sent4(ours, 8))), queue: served, want: passed})
	}
	return rows
}

func quote6Rows() []row {
	rows := []row{
		{"v6 packet too big", eth6(icmp6(2, 0, sent6(ours, 35))), served, redirectedICMP},
		{"v6 unreachable, 8 bytes quoted", eth6(icmp6(1, 4, sent6(ours, 8))), served, redirectedICMP},
		{"v6 time exceeded", eth6(icmp6(3, 0, sent6(ours, 20))), served, redirectedICMP},
		{"v6 parameter problem", eth6(icmp6(4, 1, sent6(ours, 20))), served, redirectedICMP},
		{"v6 ICMP about ours, no socket", eth6(icmp6(2, 0, sent6(ours, 20))), unserved, passedICMP},
		{"v6 ICMP about ours, service tag", eth6(icmp6(2, 0, sent6(ours, 20)), dot1AD), served, redirectedICMP},
		{"v6 quote with traffic class and flow label", eth6(icmp6(2, 0, with(sent6(ours, 8), 0, 0x6f, 0xff, 0xff, 0xff))), served, redirectedICMP},
		{"v6 quote from another port", eth6(icmp6(2, 0, sent6(other, 20))), served, passed},
		{"v6 quote to our port", eth6(icmp6(2, 0, ip6(protoTCP, tcp(80, ours, "x")))), served, passed},
		{"v6 quote of UDP", eth6(icmp6(1, 4, ip6(protoUDP, udp(ours, 80)))), served, passed},
		{"v6 quote of a fragment", eth6(icmp6(3, 1, ip6(layers.IPProtocolIPv6Fragment, extension(protoTCP, tcp(ours, 80, "x"))))), served, passed},
		{"v6 quote of v4", eth6(icmp6(2, 0, sent4(ours, 35))), served, passedMalformed},
		{"v6 quote of 7 bytes", eth6(icmp6(2, 0, sent6(ours, 7))), served, passedMalformed},
		{"v6 quote of the header only", eth6(icmp6(2, 0, sent6(ours, 0))), served, passedMalformed},
		{"v6 quote of half a header", eth6(icmp6(2, 0, sent6(ours, 0)[:20])), served, passedMalformed},
		{"v6 no quote", eth6(icmp6(2, 0, nil)), served, passedMalformed},
		{"v6 ICMP longer than the frame", cut(eth6(icmp6(2, 0, sent6(ours, 20))), 8), served, passedMalformed},
		{"v6 quote beyond the packet, in the padding", with(eth6(icmp6(2, 0, sent6(ours, 8))), 14+4, 0, 8+40+7), served, passedMalformed},
		{"ICMPv6 in v4", eth4(ip4(layers.IPProtocolICMPv6, icmp(2, 0, sent4(ours, 8)))), served, passed},
		{"ICMP in v6", eth6(ip6(layers.IPProtocolICMPv4, icmp(3, 4, sent6(ours, 8)))), served, passed},
	}
	for _, typ := range []byte{0, 5, 33, 34, 100, 127, 128, 129, 133, 134, 135, 136, 137, 255} {
		rows = append(rows, row{name: fmt.Sprintf("ICMPv6 type %d", typ), frame: eth6(icmp6(typ, 0, sent6(ours, 20))), queue: served, want: passed})
	}
	return rows
}

func kernelRows() []row {
	seg := tcp(80, ours, "x")
	return []row{
		{"ARP", arp(), served, passed},
		{"v4 UDP to our port", eth4(ip4(protoUDP, udp(80, ours))), served, passed},
		{"v4 UDP, no socket", eth4(ip4(protoUDP, udp(80, ours))), unserved, passed},
		{"v6 UDP to our port", eth6(ip6(protoUDP, udp(80, ours))), served, passed},
		{"v4 SCTP", eth4(ip4(protoSCTP, seg)), served, passed},
		{"v4 protocol 0", eth4(ip4(0, seg)), served, passed},
		{"v4 protocol 255", eth4(ip4(255, seg)), served, passed},
		{"LLDP", ether(layers.EthernetTypeLinkLayerDiscovery, make([]byte, 40)), served, passed},
		{"MPLS", ether(layers.EthernetTypeMPLSUnicast, append([]byte{0, 1, 1, 64}, ip4(protoTCP, seg)...)), served, passed},
		{"802.3 length", ether(layers.EthernetType(46), make([]byte, 46)), served, passed},
		{"EtherType of v4 byte-swapped", with(eth4(ip4(protoTCP, seg)), 12, 0x00, 0x08), served, passed},
		{"EtherType only", ether(layers.EthernetTypeARP, nil), served, passed},
	}
}

// truncatedRows end one byte short of each header; PROG_RUN takes no frame below 14 bytes.
func truncatedRows() []row {
	seg4, seg6 := ip4(protoTCP, tcp(80, ours, "x")), ip6(protoTCP, tcp(80, ours, "x"))
	opts := eth4(ip4(protoTCP, tcp(80, ours, "x"), options(40)))
	return []row{
		{"ends behind Ethernet, v4", eth4(seg4)[:14], served, passedMalformed},
		{"ends behind Ethernet, v6", eth6(seg6)[:14], served, passedMalformed},
		{"ends in IPv4", eth4(seg4)[:14+19], served, passedMalformed},
		{"ends behind IPv4", eth4(seg4)[:14+20], served, passedMalformed},
		{"ends in IP options", opts[:14+59], served, passedMalformed},
		{"ends behind IP options", opts[:14+60], served, passedMalformed},
		{"ends in IPv6", eth6(seg6)[:14+39], served, passedMalformed},
		{"ends behind IPv6", eth6(seg6)[:14+40], served, passedMalformed},
		{"ends behind the ports", eth4(seg4)[:14+20+4], served, passedMalformed},
		{"ends in TCP, v4", eth4(seg4)[:14+20+19], served, passedMalformed},
		{"ends in TCP, v6", eth6(seg6)[:14+40+19], served, passedMalformed},
		{"ends behind TCP, payload missing", eth4(seg4)[:14+20+20], served, passedMalformed},
		{"ends in TCP, no socket", eth4(seg4)[:14+20+19], unserved, passedMalformed},
		{"ends in ICMP", eth4(icmp4(3, 4, sent4(ours, 8)))[:14+20+7], served, passedMalformed},
		{"ends in ICMPv6", eth6(icmp6(2, 0, sent6(ours, 8)))[:14+40+7], served, passedMalformed},
		{"ends in UDP", eth4(ip4(protoUDP, udp(80, ours)))[:14+20+4], served, passed},
	}
}
