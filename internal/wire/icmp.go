package wire

import "encoding/binary"

// Types of ICMP errors that concern TCP. Source Quench is not among them: TCP must ignore it
// (https://www.rfc-editor.org/rfc/rfc6633#section-4). Codes mean what their RFC says.
const (
	ICMPUnreachable      = 3  // RFC 792; code ICMPFragNeeded carries an MTU
	ICMPTimeExceeded     = 11 // RFC 792
	ICMPParameterProblem = 12 // RFC 792
	ICMPFragNeeded       = 4  // code of ICMPUnreachable, RFC 1191 section 4

	ICMPv6Unreachable      = 1 // RFC 4443 section 3.1
	ICMPv6PacketTooBig     = 2 // RFC 4443 section 3.2; carries an MTU
	ICMPv6TimeExceeded     = 3 // RFC 4443 section 3.3
	ICMPv6ParameterProblem = 4 // RFC 4443 section 3.4
)

const (
	icmpLen = 8
	quoteTo = 8 // TCP bytes that an error is sure to quote: ports and sequence number
)

// ICMPError is an ICMP error about a TCP segment that we are said to have sent. Anybody can write one: TCP checks
// that Seq lies within what is in flight before it believes the rest
// (https://www.rfc-editor.org/rfc/rfc5927#section-4.1).
type ICMPError struct {
	Flow Flow   // of the quoted segment, from our side: Local is its source
	Seq  uint32 // of the quoted segment
	MTU  uint32 // of the next hop, in bytes of IP packet; 0 if the message carries none or an old router sent 0
	From [16]byte
	Type uint8 // of the ICMP family that V6 names
	Code uint8
	V6   bool
}

// ParseICMP fills e from an Ethernet frame that carries an ICMPv4 or ICMPv6 error quoting a TCP segment; verify says
// whether to check the IPv4 header and ICMP checksums of the message. Nothing in the quote is verified, routers cut and
// change it. It returns ErrNotTCP for all other frames, and ErrShort, ErrHeader, ErrFragment or ErrChecksum for bad
// ones; then what e holds means nothing.
func ParseICMP(frame []byte, verify bool, e *ICMPError) error {
	var dst [16]byte
	p, err := ipBody(frame, protoICMP, protoICMPv6, verify, &e.From, &dst)
	if err != nil {
		return err
	}
	b := p.body
	if len(b) < icmpLen {
		return ErrShort
	}
	var pseudo uint32
	if p.v6 {
		pseudo = pseudoSum(&e.From, &dst, protoICMPv6, len(b))
	}
	if verify && Sum(b, pseudo) != 0xffff {
		return ErrChecksum
	}
	e.V6, e.Type, e.Code = p.v6, b[0], b[1]
	e.MTU = nextHopMTU(p.v6, b)
	return e.quote(b[icmpLen:])
}

// nextHopMTU reads the MTU from the messages that carry one.
func nextHopMTU(v6 bool, b []byte) uint32 {
	switch {
	case v6 && b[0] == ICMPv6PacketTooBig:
		return binary.BigEndian.Uint32(b[4:])
	case !v6 && b[0] == ICMPUnreachable && b[1] == ICMPFragNeeded:
		return uint32(binary.BigEndian.Uint16(b[6:]))
	}
	return 0
}

// quote takes flow and sequence number from the quoted packet, if the message is an error about TCP.
func (e *ICMPError) quote(b []byte) error {
	switch {
	case e.V6 && e.Type >= ICMPv6Unreachable && e.Type <= ICMPv6ParameterProblem:
		return e.quote6(b)
	case !e.V6 && (e.Type == ICMPUnreachable || e.Type == ICMPTimeExceeded || e.Type == ICMPParameterProblem):
		return e.quote4(b)
	}
	return ErrNotTCP
}

func (e *ICMPError) quote4(b []byte) error {
	if len(b) < ipv4Len {
		return ErrShort
	}
	ihl := int(b[0]&0xf) * 4
	if b[0]>>4 != 4 || ihl < ipv4Len {
		return ErrHeader
	}
	// The first fragment of a packet that a router cut still begins with the TCP header.
	if b[9] != protoTCP || binary.BigEndian.Uint16(b[6:])&ipv4OffsetMask != 0 {
		return ErrNotTCP
	}
	setMapped(&e.Flow.Local, b[12:16])
	setMapped(&e.Flow.Remote, b[16:20])
	return e.quoteTCP(b, ihl)
}

func (e *ICMPError) quote6(b []byte) error {
	if len(b) < ipv6Len {
		return ErrShort
	}
	if b[0]>>4 != 6 {
		return ErrHeader
	}
	if b[6] != protoTCP {
		return ErrNotTCP
	}
	copy(e.Flow.Local[:], b[8:24])
	copy(e.Flow.Remote[:], b[24:40])
	if isMapped(&e.Flow.Local) || isMapped(&e.Flow.Remote) {
		return ErrHeader
	}
	return e.quoteTCP(b, ipv6Len)
}

func (e *ICMPError) quoteTCP(b []byte, off int) error {
	if len(b) < off+quoteTo {
		return ErrShort
	}
	b = b[off:]
	e.Flow.LocalPort = binary.BigEndian.Uint16(b[0:])
	e.Flow.RemotePort = binary.BigEndian.Uint16(b[2:])
	e.Seq = binary.BigEndian.Uint32(b[4:])
	return nil
}
