package simnet

import (
	"encoding/binary"

	"github.com/xsend/xsend/internal/wire"
)

const (
	etherLen = 14
	ipv4Len  = 20
	ipv6Len  = 40
	icmpLen  = 8
)

// ipAt is where the IP packet begins in a frame with at most one tag.
func ipAt(frame []byte) int {
	if binary.BigEndian.Uint16(frame[12:]) == 0x8100 {
		return etherLen + 4
	}
	return etherLen
}

// TooBig is a router's answer to a frame that its next link does not carry: "packet
// too big" with the MTU (https://www.rfc-editor.org/rfc/rfc1191#section-4,
// https://www.rfc-editor.org/rfc/rfc4443#section-3.2).
func TooBig(frame []byte, mtu int) []byte {
	if frame[ipAt(frame)]>>4 == 6 {
		return ICMPError(frame, wire.ICMPv6PacketTooBig, 0, uint32(mtu))
	}
	return ICMPError(frame, wire.ICMPUnreachable, wire.ICMPFragNeeded, uint32(mtu))
}

// ICMPError is an error about a frame, which must be without IP options: type, code, the
// word behind the checksum, and of the frame as much as an old router quotes.
func ICMPError(frame []byte, kind, code uint8, word uint32) []byte {
	at := ipAt(frame)
	b := make([]byte, at, at+ipv6Len+icmpLen+ipv6Len+20)
	copy(b[0:6], frame[6:12])
	copy(b[6:12], frame[0:6])
	copy(b[12:at], frame[12:at])
	if frame[at]>>4 == 6 {
		return icmp6(b, frame[at:], kind, code, word)
	}
	return icmp4(b, frame[at:], kind, code, word)
}

// icmp4 appends the error about packet behind the link header b.
func icmp4(b, packet []byte, kind, code uint8, word uint32) []byte {
	const quoted = ipv4Len + 8
	out := append(b, make([]byte, ipv4Len+icmpLen+quoted)...)
	ip := out[len(b):]
	icmp := ip[ipv4Len:]
	ip[0], ip[8], ip[9] = 4<<4|ipv4Len/4, 64, 1
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], []byte{192, 0, 2, 1}) // the router, https://www.rfc-editor.org/rfc/rfc5737
	copy(ip[16:20], packet[12:])
	binary.BigEndian.PutUint16(ip[10:], ^wire.Fold(wire.Sum(ip[:ipv4Len], 0)))
	icmp[0], icmp[1] = kind, code
	binary.BigEndian.PutUint32(icmp[4:], word)
	copy(icmp[icmpLen:], packet[:quoted])
	binary.BigEndian.PutUint16(icmp[2:], ^wire.Fold(wire.Sum(icmp, 0)))
	return out
}

func icmp6(b, packet []byte, kind, code uint8, word uint32) []byte {
	const quoted = ipv6Len + 20
	out := append(b, make([]byte, ipv6Len+icmpLen+quoted)...)
	ip := out[len(b):]
	icmp := ip[ipv6Len:]
	ip[0], ip[6], ip[7] = 6<<4, 58, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(icmp)))
	copy(ip[8:], []byte{0x20, 1, 0xd, 0xb8}) // the router, https://www.rfc-editor.org/rfc/rfc3849
	copy(ip[24:40], packet[8:])
	icmp[0], icmp[1] = kind, code
	binary.BigEndian.PutUint32(icmp[4:], word)
	copy(icmp[icmpLen:], packet[:quoted])
	pseudo := wire.Sum(ip[8:40], uint32(len(icmp))+58)
	binary.BigEndian.PutUint16(icmp[2:], ^wire.Fold(wire.Sum(icmp, pseudo)))
	return out
}
