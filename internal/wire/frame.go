package wire

import "encoding/binary"

const (
	etherLen = 14
	vlanLen  = 4
	maxTags  = 2
	ipv4Len  = 20
	ipv6Len  = 40
	tcpLen   = 20

	etherIPv4 = 0x0800
	etherIPv6 = 0x86dd
	etherVLAN = 0x8100 // IEEE 802.1Q C-TAG
	etherQinQ = 0x88a8 // IEEE 802.1Q S-TAG

	protoICMP   = 1
	protoTCP    = 6
	protoICMPv6 = 58

	ipv4DF         = 0x4000
	ipv4FragMask   = 0x3fff // MF and the offset: what makes a packet a fragment
	ipv4OffsetMask = 0x1fff
)

// MaxHeaderLen is the most that Put writes before the payload, in bytes: Ethernet, one tag, IPv6, TCP with 40 bytes
// of options.
const MaxHeaderLen = etherLen + vlanLen + ipv6Len + tcpLen + MaxOptionLen

// packet is what the IP layer says about its body.
type packet struct {
	body []byte // exactly the IP payload, Ethernet padding trimmed
	tos  uint8
	v6   bool
}

// etherBody returns the EtherType behind up to two VLAN tags, and what follows it.
func etherBody(frame []byte) (uint16, []byte, error) {
	if len(frame) < etherLen {
		return 0, nil, ErrShort
	}
	kind, b := binary.BigEndian.Uint16(frame[12:]), frame[etherLen:]
	for range maxTags {
		if kind != etherVLAN && kind != etherQinQ {
			break
		}
		if len(b) < vlanLen {
			return 0, nil, ErrShort
		}
		kind, b = binary.BigEndian.Uint16(b[2:]), b[vlanLen:]
	}
	return kind, b, nil
}

// ipBody parses the IP header of a frame whose IP payload must be of protocol want4 (IPv4) or want6 (IPv6), and
// stores the addresses.
func ipBody(frame []byte, want4, want6 uint8, verify bool, src, dst *[16]byte) (packet, error) {
	kind, b, err := etherBody(frame)
	switch {
	case err != nil:
		return packet{}, err
	case kind == etherIPv4:
		return ipv4Body(b, want4, verify, src, dst)
	case kind == etherIPv6:
		return ipv6Body(b, want6, src, dst)
	}
	return packet{}, ErrNotTCP
}

func ipv4Body(b []byte, want uint8, verify bool, src, dst *[16]byte) (packet, error) {
	if len(b) < ipv4Len {
		return packet{}, ErrShort
	}
	ihl, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if b[0]>>4 != 4 || ihl < ipv4Len || total < ihl || total > len(b) {
		return packet{}, ErrHeader
	}
	// A datagram with a bad checksum is discarded whatever it claims to carry.
	// https://www.rfc-editor.org/rfc/rfc1122#section-3.2.1.2
	if verify && Sum(b[:ihl], 0) != 0xffff {
		return packet{}, ErrChecksum
	}
	if b[9] != want {
		return packet{}, ErrNotTCP
	}
	if binary.BigEndian.Uint16(b[6:])&ipv4FragMask != 0 {
		return packet{}, ErrFragment
	}
	setMapped(src, b[12:16])
	setMapped(dst, b[16:20])
	return packet{body: b[ihl:total], tos: b[1]}, nil
}

func ipv6Body(b []byte, want uint8, src, dst *[16]byte) (packet, error) {
	if len(b) < ipv6Len {
		return packet{}, ErrShort
	}
	total := ipv6Len + int(binary.BigEndian.Uint16(b[4:]))
	if b[0]>>4 != 6 || total > len(b) {
		return packet{}, ErrHeader
	}
	if b[6] != want {
		return packet{}, ErrNotTCP
	}
	copy(src[:], b[8:24])
	copy(dst[:], b[24:40])
	// On the wire nobody owns a mapped address; let in, it would pass for the IPv4 flow of the same name.
	if isMapped(src) || isMapped(dst) {
		return packet{}, ErrHeader
	}
	return packet{body: b[ipv6Len:total], tos: b[0]<<4 | b[1]>>4, v6: true}, nil
}
