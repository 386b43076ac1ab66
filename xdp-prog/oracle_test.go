package xdpprog

import (
	"encoding/binary"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// verdictOf is what the program should do with a frame as far as it is about us, found
// with gopacket's decoders instead of the program's. passed stands for all that goes to the kernel.
func verdictOf(frame []byte, queue int) steerOutcome {
	switch packet, socket := ourPacket(frame), queue == served; {
	case packet == isTCP && socket:
		return redirectedTCP
	case packet == isTCP:
		return dropped
	case packet == isICMP && socket:
		return redirectedICMP
	case packet == isICMP:
		return passedICMP
	}
	return passed
}

type packetKind int

const (
	notOurs packetKind = iota
	isTCP
	isICMP
)

var deaf = gopacket.NilDecodeFeedback

func ourPacket(frame []byte) packetKind {
	var eth layers.Ethernet
	if eth.DecodeFromBytes(frame, deaf) != nil {
		return notOurs
	}
	typ, payload := eth.EthernetType, eth.Payload
	for range 2 {
		var tag layers.Dot1Q
		if (typ != dot1Q && typ != dot1AD) || tag.DecodeFromBytes(payload, deaf) != nil {
			break
		}
		typ, payload = tag.Type, tag.Payload
	}
	switch typ {
	case layers.EthernetTypeIPv4:
		return ourIP4(payload)
	case layers.EthernetTypeIPv6:
		return ourIP6(payload)
	}
	return notOurs
}

// cutShort notes that a length field promises more than there is.
type cutShort bool

func (c *cutShort) SetTruncated() { *c = true }

func ourIP4(b []byte) packetKind {
	var ip layers.IPv4
	var short cutShort
	// gopacket fails on odd IP options, which are not ours to judge; then Payload is set nevertheless.
	ip.DecodeFromBytes(b, &short)
	total := len(ip.Contents) + len(ip.Payload)
	if len(b) < 20 || ip.Version != 4 || ip.Payload == nil || int(binary.BigEndian.Uint16(b[2:])) != total {
		return notOurs
	}
	if ip.FragOffset != 0 || ip.Flags&layers.IPv4MoreFragments != 0 {
		return notOurs
	}
	switch ip.Protocol {
	case layers.IPProtocolTCP:
		return ourTCP(ip.Payload)
	case layers.IPProtocolICMPv4:
		return ourICMP4(ip.Payload)
	}
	return notOurs
}

func ourIP6(b []byte) packetKind {
	var ip layers.IPv6
	var short cutShort
	if ip.DecodeFromBytes(b, &short) != nil || bool(short) || ip.Version != 6 {
		return notOurs
	}
	switch ip.NextHeader {
	case layers.IPProtocolTCP:
		return ourTCP(ip.Payload)
	case layers.IPProtocolICMPv6:
		return ourICMP6(ip.Payload)
	}
	return notOurs
}

func ourTCP(b []byte) packetKind {
	var t layers.TCP
	// It fails on odd TCP options too; Contents is the header if that is whole.
	t.DecodeFromBytes(b, deaf)
	if t.DataOffset < 5 || len(t.Contents) != int(t.DataOffset)*4 || t.DstPort != ours {
		return notOurs
	}
	return isTCP
}

func ourICMP4(b []byte) packetKind {
	var m layers.ICMPv4
	var ip layers.IPv4
	if m.DecodeFromBytes(b, deaf) != nil {
		return notOurs
	}
	switch m.TypeCode.Type() {
	case layers.ICMPv4TypeDestinationUnreachable, layers.ICMPv4TypeTimeExceeded, layers.ICMPv4TypeParameterProblem:
	default:
		return notOurs
	}
	// Routers mangle the quoted total length: the header's own fields are enough.
	ip.DecodeFromBytes(m.Payload, deaf)
	header := int(ip.IHL) * 4
	if ip.Version != 4 || header < 20 || header > len(m.Payload) || ip.Protocol != layers.IPProtocolTCP || ip.FragOffset != 0 {
		return notOurs
	}
	return ourQuote(m.Payload[header:])
}

func ourICMP6(b []byte) packetKind {
	var m layers.ICMPv6
	var ip layers.IPv6
	if m.DecodeFromBytes(b, deaf) != nil || len(m.Payload) < 4 {
		return notOurs
	}
	if t := m.TypeCode.Type(); t < 1 || t > 4 {
		return notOurs
	}
	ip.DecodeFromBytes(m.Payload[4:], deaf)
	if ip.Version != 6 || ip.NextHeader != layers.IPProtocolTCP {
		return notOurs
	}
	return ourQuote(m.Payload[4+40:])
}

// ourQuote wants the 64 bits of TCP that every ICMP error quotes.
func ourQuote(b []byte) packetKind {
	if len(b) < 8 || binary.BigEndian.Uint16(b) != ours {
		return notOurs
	}
	return isICMP
}
