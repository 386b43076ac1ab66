package wire

import "encoding/binary"

// TCP control bits. https://www.rfc-editor.org/rfc/rfc9293#section-3.1
const (
	FlagFIN uint8 = 1 << iota
	FlagSYN
	FlagRST
	FlagPSH
	FlagACK
	FlagURG
	FlagECE
	FlagCWR
)

// ECN code points. https://www.rfc-editor.org/rfc/rfc3168#section-5
const (
	NotECT uint8 = iota // not of a transport that can
	ECT1
	ECT0
	CE // congestion was experienced
)

// Segment is a TCP segment from the peer. Payload points into the frame that it was parsed from, and is valid as long
// as the frame is.
type Segment struct {
	Flow       Flow // Local is the packet's destination
	Seq, Ack   uint32
	Window     uint16 // as sent, not scaled
	Urgent     uint16 // meaningful with FlagURG
	Flags      uint8
	ECN        uint8 // the low two bits of TOS or Traffic Class, RFC 3168 section 5
	SrcMAC     [6]byte
	Options    Options
	PayloadLen int    // bytes; stays when a copy of the segment travels on without its payload
	Payload    []byte // PayloadLen bytes of the frame
}

// Len returns SEG.LEN, the sequence numbers that the segment takes: its payload, SYN and FIN.
// https://www.rfc-editor.org/rfc/rfc9293#section-3.3.1
func (s *Segment) Len() uint32 {
	return uint32(s.PayloadLen) + uint32(s.Flags>>1&1) + uint32(s.Flags&1)
}

// Parse fills s from an Ethernet frame that carries a TCP segment; verify says whether to check the IPv4 header and
// TCP checksums. Bytes behind the IP packet (Ethernet padding) are ignored. It returns ErrNotTCP, ErrShort, ErrHeader,
// ErrFragment or ErrChecksum, and then what s holds means nothing.
func Parse(frame []byte, verify bool, s *Segment) error {
	p, err := ipBody(frame, protoTCP, protoTCP, verify, &s.Flow.Remote, &s.Flow.Local)
	if err != nil {
		return err
	}
	b := p.body
	if len(b) < tcpLen {
		return ErrShort
	}
	off := int(b[12]>>4) * 4
	if off < tcpLen || off > len(b) {
		return ErrHeader
	}
	if verify && Sum(b, pseudoSum(&s.Flow.Remote, &s.Flow.Local, protoTCP, len(b))) != 0xffff {
		return ErrChecksum
	}
	s.SrcMAC = [6]byte(frame[6:12])
	s.ECN = p.tos & 3
	s.header((*[tcpLen]byte)(b))
	s.Options.parse(b[tcpLen:off])
	s.Payload = b[off:]
	s.PayloadLen = len(s.Payload)
	return nil
}

// header takes over the fixed part of the TCP header.
func (s *Segment) header(b *[tcpLen]byte) {
	s.Flow.RemotePort = binary.BigEndian.Uint16(b[0:])
	s.Flow.LocalPort = binary.BigEndian.Uint16(b[2:])
	s.Seq = binary.BigEndian.Uint32(b[4:])
	s.Ack = binary.BigEndian.Uint32(b[8:])
	s.Flags = b[13]
	s.Window = binary.BigEndian.Uint16(b[14:])
	s.Urgent = binary.BigEndian.Uint16(b[18:])
}
