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

// TooBig is a router's answer to a frame that its next link does not carry: "packet
// too big" with the MTU, quoting what an old router quotes (https://www.rfc-editor.org/rfc/rfc1191#section-4,
// https://www.rfc-editor.org/rfc/rfc4443#section-3.2). The frame must be untagged and without IP options.
func TooBig(frame []byte, mtu int) []byte {
	if frame[etherLen]>>4 == 6 {
		return tooBig6(frame, mtu)
	}
	const quoted = ipv4Len + 8
	b := make([]byte, etherLen+ipv4Len+icmpLen+quoted)
	answer(b, frame)
	ip, icmp := b[etherLen:], b[etherLen+ipv4Len:]
	ip[0], ip[8], ip[9] = 4<<4|ipv4Len/4, 64, 1
	binary.BigEndian.PutUint16(ip[2:], uint16(len(ip)))
	copy(ip[12:], []byte{192, 0, 2, 1}) // the router, https://www.rfc-editor.org/rfc/rfc5737
	copy(ip[16:20], frame[etherLen+12:])
	binary.BigEndian.PutUint16(ip[10:], ^wire.Fold(wire.Sum(ip[:ipv4Len], 0)))
	icmp[0], icmp[1] = wire.ICMPUnreachable, wire.ICMPFragNeeded
	binary.BigEndian.PutUint16(icmp[6:], uint16(mtu))
	copy(icmp[icmpLen:], frame[etherLen:])
	binary.BigEndian.PutUint16(icmp[2:], ^wire.Fold(wire.Sum(icmp, 0)))
	return b
}

func tooBig6(frame []byte, mtu int) []byte {
	const quoted = ipv6Len + 20
	b := make([]byte, etherLen+ipv6Len+icmpLen+quoted)
	answer(b, frame)
	ip, icmp := b[etherLen:], b[etherLen+ipv6Len:]
	ip[0], ip[6], ip[7] = 6<<4, 58, 64
	binary.BigEndian.PutUint16(ip[4:], uint16(len(icmp)))
	copy(ip[8:], []byte{0x20, 1, 0xd, 0xb8}) // the router, https://www.rfc-editor.org/rfc/rfc3849
	copy(ip[24:40], frame[etherLen+8:])
	icmp[0] = wire.ICMPv6PacketTooBig
	binary.BigEndian.PutUint32(icmp[4:], uint32(mtu))
	copy(icmp[icmpLen:], frame[etherLen:])
	pseudo := wire.Sum(ip[8:40], uint32(len(icmp))+58)
	binary.BigEndian.PutUint16(icmp[2:], ^wire.Fold(wire.Sum(icmp, pseudo)))
	return b
}

// answer writes the Ethernet header of an answer to frame.
func answer(b, frame []byte) {
	copy(b[0:6], frame[6:12])
	copy(b[6:12], frame[0:6])
	copy(b[12:14], frame[12:14])
}
