package wire

import "encoding/binary"

// DefaultTTL is the TTL or Hop Limit of a Path that names none.
const DefaultTTL = 64

// Path is what a frame needs below TCP.
type Path struct {
	SrcMAC, DstMAC [6]byte
	Tagged         bool   // with an 802.1Q tag
	VLAN           uint16 // where Tagged: its tag control information (priority, DEI, VLAN ID)
	DSCP           uint8  // 0 to 63; the upper six bits of TOS, or of the Traffic Class of IPv6
	TTL            uint8  // the Hop Limit of IPv6; 0 = DefaultTTL
}

// Template holds the headers of one connection, prebuilt, so that the work per segment is a copy and a few stores.
// The zero value is not usable: call Init. It is a plain value without pointers.
type Template struct {
	fixed  [etherLen + vlanLen + ipv6Len + tcpLen]byte // zero where Put stores
	l2, l3 uint8                                       // header lengths in bytes
	ipSum  uint32                                      // IPv4 header without length, ID and checksum
	pseudo uint32                                      // pseudo-header without the length
	ports  uint32
}

// Header is what differs from one segment of a connection to the next.
type Header struct {
	Seq, Ack uint32
	Options  []byte // encoded, a multiple of 4 bytes, at most MaxOptionLen
	Window   uint16 // as sent, already scaled
	ID       uint16 // Identification of IPv4, unused in IPv6; DF is always set, so any value does (RFC 6864 section 4)
	Flags    uint8
	ECN      uint8 // the lower two bits of TOS or Traffic Class: NotECT, ECT1, ECT0 or CE
}

// Init builds the headers of flow f on path p. It is called again whenever the path changes.
func (t *Template) Init(f Flow, p Path) {
	*t = Template{l2: etherLen, l3: ipv6Len}
	kind := uint16(etherIPv6)
	if f.Is4() {
		t.l3, kind = ipv4Len, etherIPv4
	}
	if p.Tagged {
		t.l2 += vlanLen
	}
	if p.TTL == 0 {
		p.TTL = DefaultTTL
	}
	t.ether(p, kind)
	ip := t.fixed[t.l2:]
	if f.Is4() {
		fillIPv4(ip, f, p)
		t.ipSum = Sum(ip[:ipv4Len], 0)
	} else {
		fillIPv6(ip, f, p)
	}
	tcp := ip[t.l3:]
	binary.BigEndian.PutUint16(tcp[0:], f.LocalPort)
	binary.BigEndian.PutUint16(tcp[2:], f.RemotePort)
	t.pseudo = pseudoSum(&f.Local, &f.Remote, protoTCP, 0)
	t.ports = Sum(tcp[:4], 0)
}

func (t *Template) ether(p Path, kind uint16) {
	b := t.fixed[:t.l2]
	copy(b, p.DstMAC[:])
	copy(b[6:], p.SrcMAC[:])
	binary.BigEndian.PutUint16(b[len(b)-2:], kind)
	if p.Tagged {
		binary.BigEndian.PutUint16(b[12:], etherVLAN)
		binary.BigEndian.PutUint16(b[14:], p.VLAN)
	}
}

func fillIPv4(b []byte, f Flow, p Path) {
	b[0], b[1], b[8], b[9] = 4<<4|ipv4Len/4, p.DSCP<<2, p.TTL, protoTCP
	binary.BigEndian.PutUint16(b[6:], ipv4DF)
	copy(b[12:], f.Local[12:])
	copy(b[16:], f.Remote[12:])
}

func fillIPv6(b []byte, f Flow, p Path) {
	binary.BigEndian.PutUint32(b, 6<<28|uint32(p.DSCP)<<22)
	b[6], b[7] = protoTCP, p.TTL
	copy(b[8:], f.Local[:])
	copy(b[24:], f.Remote[:])
}

// L2Len returns the length of the Ethernet header with its tag, in bytes.
func (t *Template) L2Len() int { return int(t.l2) }

// L3Len returns the length of the IP header, in bytes.
func (t *Template) L3Len() int { return int(t.l3) }

// HeaderLen returns the bytes before the TCP payload, given optLen bytes of TCP options (a multiple of 4).
func (t *Template) HeaderLen(optLen int) int { return int(t.l2) + int(t.l3) + tcpLen + optLen }

// Put writes the Ethernet, IP and TCP headers into the tail of buf, so that they end where buf ends and the payload
// begins, and returns their length, HeaderLen(len(h.Options)). payloadLen is in bytes; payloadSum is the payload's
// sum as Sum returns it, or any sum of such sums.
//
// It panics if buf is shorter than the headers, if h.Options is no multiple of 4 or longer than MaxOptionLen, or if
// the IP packet would be longer than 65535 bytes: all of them the caller's to rule out, none depends on the network.
func (t *Template) Put(buf []byte, h *Header, payloadLen int, payloadSum uint32) int {
	b := t.place(buf, h, payloadLen)
	tcp := b[int(t.l2)+int(t.l3):]
	sum := uint64(t.pseudo) + uint64(t.ports) + uint64(payloadSum) + uint64(len(tcp)+payloadLen) +
		h.sum() + uint64(Sum(tcp[tcpLen:], 0))
	binary.BigEndian.PutUint16(tcp[16:], ^Fold(sum))
	return len(b)
}

// PutSeed is Put for checksum offload: the TCP checksum field holds the folded, non-inverted sum of the pseudo-header,
// to which the device or the kernel adds everything from L2Len()+L3Len() on, and stores the complement 16 bytes behind
// that. The IPv4 header checksum is complete.
func (t *Template) PutSeed(buf []byte, h *Header, payloadLen int) (n int) {
	b := t.place(buf, h, payloadLen)
	tcp := b[int(t.l2)+int(t.l3):]
	binary.BigEndian.PutUint16(tcp[16:], Fold(uint64(t.pseudo)+uint64(len(tcp)+payloadLen)))
	return len(b)
}

// place writes everything but the TCP checksum and returns the headers.
func (t *Template) place(buf []byte, h *Header, payloadLen int) []byte {
	n := t.HeaderLen(len(h.Options))
	if len(h.Options)&3 != 0 || len(h.Options) > MaxOptionLen || payloadLen < 0 || n-int(t.l2)+payloadLen > 0xffff {
		panic("wire: Put with options that are no multiple of 4 bytes up to 40, or with a packet beyond 65535 bytes")
	}
	b := buf[len(buf)-n:]
	copy(b, t.fixed[:n-len(h.Options)])
	t.complete(b[t.l2:], h, n-int(t.l2)+payloadLen)
	tcp := b[int(t.l2)+int(t.l3):]
	h.store((*[tcpLen]byte)(tcp))
	copy(tcp[tcpLen:], h.Options)
	return b
}

// complete completes the IP header for a packet of total bytes.
func (t *Template) complete(ip []byte, h *Header, total int) {
	ecn := h.ECN & 3
	if t.l3 == ipv6Len {
		ip[1] |= ecn << 4
		binary.BigEndian.PutUint16(ip[4:], uint16(total-ipv6Len))
		return
	}
	binary.BigEndian.PutUint16(ip[2:], uint16(total))
	ip[1] |= ecn
	binary.BigEndian.PutUint16(ip[4:], h.ID)
	binary.BigEndian.PutUint16(ip[10:], ^Fold(t.ipSum+uint32(h.ID)+uint32(total)+uint32(ecn)))
}

// offsetFlags is the 16-bit word of data offset and control bits.
func (h *Header) offsetFlags() uint16 {
	return uint16(tcpLen+len(h.Options))<<10 | uint16(h.Flags)
}

func (h *Header) store(b *[tcpLen]byte) {
	binary.BigEndian.PutUint32(b[4:], h.Seq)
	binary.BigEndian.PutUint32(b[8:], h.Ack)
	binary.BigEndian.PutUint16(b[12:], h.offsetFlags())
	binary.BigEndian.PutUint16(b[14:], h.Window)
}

// sum is the unfolded sum of what store stores.
func (h *Header) sum() uint64 {
	return uint64(h.Seq) + uint64(h.Ack) + uint64(h.offsetFlags()) + uint64(h.Window)
}
