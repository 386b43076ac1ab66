package netem

import (
	"encoding/binary"
	"testing"
)

func ether(etherType uint16, rest ...byte) []byte {
	b := make([]byte, etherLen, 64)
	binary.BigEndian.PutUint16(b[12:], etherType)
	return append(b, rest...)
}

func ipv4Header(protocol byte, length int) []byte {
	b := make([]byte, ipv4Len)
	b[0], b[9] = 0x45, protocol
	binary.BigEndian.PutUint16(b[2:], uint16(ipv4Len+length))
	return b
}

func ipv6Header(next byte, length int) []byte {
	b := make([]byte, ipv6Len)
	b[0], b[6] = 0x60, next
	binary.BigEndian.PutUint16(b[4:], uint16(length))
	return b
}

func tcpSegment(flags byte, length int) []byte {
	b := make([]byte, tcpLen+length)
	b[12], b[13] = tcpLen/4<<4, flags
	return b
}

func tcpFrame(flags byte, length int) []byte {
	s := tcpSegment(flags, length)
	return ether(etherTypeIPv4, append(ipv4Header(protocolTCP, len(s)), s...)...)
}

func udpFrame(length int) []byte {
	return ether(etherTypeIPv4, append(ipv4Header(17, 8+length), make([]byte, 8+length-4)...)...)
}

func arpFrame() []byte { return ether(etherTypeARP, make([]byte, 46)...) }

func with(b []byte, at int, v byte) []byte {
	b[at] = v
	return b
}

func TestClassify(t *testing.T) {
	seg := func(flags byte, length int) []byte { return tcpSegment(flags, length) }
	v6 := func(next byte, rest []byte) []byte {
		return ether(etherTypeIPv6, append(ipv6Header(next, len(rest)), rest...)...)
	}
	for _, c := range []struct {
		name       string
		frame      []byte
		kind       kind
		start, end int
	}{
		{"data", tcpFrame(0x10, 5), payload, 34, 59},
		{"pure ACK", tcpFrame(0x10, 0), bare, 34, 54},
		{"FIN alone", tcpFrame(0x11, 0), bare, 34, 54},
		{"FIN with data", tcpFrame(0x11, 1), payload, 34, 55},
		{"SYN", tcpFrame(0x02, 0), exempt, 34, 54},
		{"SYN-ACK", tcpFrame(0x12, 0), exempt, 34, 54},
		{"SYN with data", tcpFrame(0x02, 9), exempt, 34, 63},
		{"padded ACK", append(tcpFrame(0x10, 0), 0, 0, 0, 0, 0, 0), bare, 34, 54},
		{"ACK with options", with(tcpFrame(0x10, 12), 46, 8<<4), bare, 34, 66},
		{"UDP", append(udpFrame(4), 0, 0, 0, 0), payload, 34, 46},
		{"ARP", arpFrame(), exempt, 14, 60},
		{"IPv6 data", v6(protocolTCP, seg(0x10, 7)), payload, 54, 81},
		{"IPv6 ACK", v6(protocolTCP, seg(0x10, 0)), bare, 54, 74},
		{"IPv6 SYN", v6(protocolTCP, seg(0x02, 0)), exempt, 54, 74},
		{"ND", v6(protocolICMPv6, make([]byte, 24)), exempt, 54, 78},
		{"MLD", v6(protocolHopByHop, make([]byte, 24)), exempt, 54, 78},
		{"tagged ACK", tagged(tcpFrame(0x10, 0)), bare, 38, 58},
		{"tagged ARP", tagged(arpFrame()), exempt, 18, 64},
		{"second fragment", with(tcpFrame(0x10, 0), 21, 1), payload, 34, 54},
		{"length beyond the frame", tcpFrame(0x10, 0)[:50], payload, 14, 50},
		{"TCP cut", ether(etherTypeIPv4, append(ipv4Header(protocolTCP, 10), make([]byte, 10)...)...), payload, 34, 44},
		{"IPv4 cut", ether(etherTypeIPv4, 0x45), payload, 14, 15},
		{"IPv6 cut", ether(etherTypeIPv6, 0x60), payload, 14, 15},
		{"unknown", ether(0x88b5, 1, 2), payload, 14, 16},
		{"short", []byte{1, 2, 3}, payload, 3, 3},
		{"empty", nil, payload, 0, 0},
	} {
		got := classify(c.frame)
		if got.kind != c.kind || got.start != c.start || got.end != c.end {
			t.Errorf("%s: %+v, want %v from %d to %d", c.name, got, c.kind, c.start, c.end)
		}
		if read := c.start > etherLen+tagLen; (got.ip > 0) != read || read && c.frame[got.ip]>>4 != 4 && c.frame[got.ip]>>4 != 6 {
			t.Errorf("%s: the IP header is at %d", c.name, got.ip)
		}
	}
}

func tagged(frame []byte) []byte {
	b := append([]byte(nil), frame[:12]...)
	b = append(b, 0x81, 0, 0, 5)
	return append(b, frame[12:]...)
}

// FuzzLine offers any frame to a line that does everything: it must neither panic nor lose count.
func FuzzLine(f *testing.F) {
	f.Add(tcpFrame(0x10, 5))
	f.Add(tagged(arpFrame()))
	f.Add(udpFrame(4))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, frame []byte) {
		l := newLine(Impairment{Corrupt: 100, Duplicate: 100, Reorder: 50, Rate: 1000, Mark: 1, All: true}, 1)
		l.offer(0, frame)
		l.offer(0, frame)
		p := classify(frame)
		if p.start < 0 || p.start > p.end || p.end > len(frame) {
			t.Fatalf("%+v of %d bytes", p, len(frame))
		}
		for {
			at, ok := l.next()
			if !ok {
				break
			}
			got := l.take(at)
			if len(got) != len(frame) {
				t.Fatalf("%d bytes became %d", len(frame), len(got))
			}
			l.release(got)
		}
		if c := l.count; c.Sent != c.Packets+c.Duplicated {
			t.Fatalf("%+v", c)
		}
	})
}
