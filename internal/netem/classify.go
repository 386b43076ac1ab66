package netem

import "encoding/binary"

const (
	etherLen = 14
	tagLen   = 4 // 802.1Q

	etherTypeIPv4 = 0x0800
	etherTypeARP  = 0x0806
	etherTypeVLAN = 0x8100
	etherTypeIPv6 = 0x86dd

	protocolHopByHop = 0 // how multicast listener reports start
	protocolTCP      = 6
	protocolICMPv6   = 58

	ipv4Len, ipv6Len, tcpLen = 20, 40, 20

	flagSYN = 0x02
)

// kind says whether a packet is numbered.
type kind uint8

const (
	exempt  kind = iota // keeps the path itself alive: never numbered
	bare                // a TCP segment without payload: numbered where Impairment.All says so
	payload             // everything else
)

// packet is what a wire knows of a frame: its kind, where its IP header is, and where what the transport's checksum
// covers begins and ends.
type packet struct {
	kind       kind
	start, end int
	ip         int // where the IP header begins; 0 where none can be read
}

// classify looks at a frame. What it can't read is payload like any other.
func classify(frame []byte) packet {
	p := packet{kind: payload, start: min(etherLen, len(frame)), end: len(frame)}
	if len(frame) < etherLen {
		return p
	}
	etherType := binary.BigEndian.Uint16(frame[etherLen-2:])
	if etherType == etherTypeVLAN && len(frame) >= etherLen+tagLen {
		p.start += tagLen
		etherType = binary.BigEndian.Uint16(frame[p.start-2:])
	}
	switch etherType {
	case etherTypeARP:
		p.kind = exempt
	case etherTypeIPv4:
		p.ipv4(frame)
	case etherTypeIPv6:
		p.ipv6(frame)
	}
	return p
}

func (p *packet) ipv4(frame []byte) {
	b := frame[p.start:]
	if len(b) < ipv4Len {
		return
	}
	header, total := int(b[0]&0xf)*4, int(binary.BigEndian.Uint16(b[2:]))
	if header < ipv4Len || total < header || total > len(b) {
		return
	}
	p.ip = p.start
	later := binary.BigEndian.Uint16(b[6:])&0x1fff != 0 // a fragment other than the first has no TCP header
	p.start, p.end = p.start+header, p.start+total
	if b[9] == protocolTCP && !later {
		p.tcp(frame)
	}
}

func (p *packet) ipv6(frame []byte) {
	b := frame[p.start:]
	if len(b) < ipv6Len {
		return
	}
	total := ipv6Len + int(binary.BigEndian.Uint16(b[4:]))
	if total > len(b) {
		return
	}
	p.ip = p.start
	p.start, p.end = p.start+ipv6Len, p.start+total
	switch b[6] {
	case protocolTCP:
		p.tcp(frame)
	case protocolICMPv6, protocolHopByHop:
		p.kind = exempt
	}
}

func (p *packet) tcp(frame []byte) {
	b := frame[p.start:p.end]
	if len(b) < tcpLen {
		return
	}
	header := int(b[12]>>4) * 4
	switch {
	case b[13]&flagSYN != 0:
		p.kind = exempt
	case header == len(b):
		p.kind = bare
	}
}
