package netem

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// headerSum is the sum over an IPv4 header, by another hand: all ones for a right one.
func headerSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i < ipv4Len; i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum&0xffff + sum>>16
	}
	return uint16(sum)
}

// codePoint is a UDP frame with a class byte, and over IPv4 a right checksum.
func codePoint(v6 bool, class byte, id uint16) []byte {
	if v6 {
		b := ether(etherTypeIPv6, append(ipv6Header(17, 100), make([]byte, 100)...)...)
		binary.BigEndian.PutUint32(b[etherLen:], 6<<28|uint32(class)<<20|0x12345)
		return b
	}
	b := ether(etherTypeIPv4, append(ipv4Header(17, 100), make([]byte, 100)...)...)
	ip := b[etherLen:]
	ip[1] = class
	binary.BigEndian.PutUint16(ip[4:], id)
	binary.BigEndian.PutUint16(ip[10:], ^headerSum(ip))
	return b
}

// TestMark: ECT(0), ECT(1) and CE become CE, the rest of the class stays, and so does everything else but the
// checksum, which holds; what can't be told is left alone.
func TestMark(t *testing.T) {
	for _, v6 := range []bool{false, true} {
		for _, class := range []byte{0, 1, 2, 3, 0xfc, 0xfd, 0xfe, 0xff, 0x2a} {
			for id := range 70_000 / 7 {
				frame := codePoint(v6, class, uint16(id*7))
				got := bytes.Clone(frame)
				can := class&3 != 0
				if classify(got).mark(got) != can {
					t.Fatalf("IPv6 %t, class %#x: marked %t", v6, class, !can)
				}
				want := frame
				if can {
					want = codePoint(v6, class|3, uint16(id*7))
				}
				if !v6 && headerSum(got[etherLen:]) != 0xffff {
					t.Fatalf("class %#x, ID %d: the checksum leaves %#x", class, id*7, headerSum(got[etherLen:]))
				}
				if !v6 { // zero is written in two ways
					copy(got[etherLen+10:], want[etherLen+10:etherLen+12])
				}
				if !bytes.Equal(got, want) {
					t.Fatalf("IPv6 %t, class %#x:\n% x\nwant\n% x", v6, class, got, want)
				}
				if v6 {
					break
				}
			}
		}
	}
	for name, frame := range map[string][]byte{"ARP": arpFrame(), "a tagged one": tagged(codePoint(false, 2, 1)), "cut short": codePoint(false, 2, 1)[:20], "nothing": nil} {
		if p := classify(frame); p.mark(frame) != (name == "a tagged one") {
			t.Errorf("%s", name)
		}
	}
}

// TestMarksWhereTheQueueIsLong: from so many packets on, and only what can be told.
func TestMarksWhereTheQueueIsLong(t *testing.T) {
	l := newLine(Impairment{Rate: 8_000_000, Queue: 60, Mark: 20}, 1)
	size := Time(len(codePoint(false, 2, 0))) * Time(time.Microsecond) // how long a packet takes
	for i := range 100 {
		class := byte(2 * (i % 2))
		l.offer(Time(i)*size/2, codePoint(false, class, uint16(i))) // twice as fast as they leave
	}
	marked := 0
	for {
		at, ok := l.next()
		if !ok {
			break
		}
		frame := l.take(at)
		i := int(binary.BigEndian.Uint16(frame[etherLen+4:]))
		class := frame[etherLen+1]
		switch {
		case class == ceMask && (i%2 == 0 || i < 38):
			t.Errorf("packet %d is marked", i)
		case class != ceMask && i%2 == 1 && i > 42:
			t.Errorf("packet %d is not marked", i)
		case class == ceMask:
			marked++
		}
	}
	if marked < 25 || l.count.Marked != uint64(marked) || l.count.QueueDropped != 0 {
		t.Errorf("%d marked; counted %+v", marked, l.count)
	}
	l.set(Impairment{Rate: 8_000_000, Queue: 50}, 1)
	for i := range 40 {
		l.offer(0, codePoint(false, 2, uint16(i)))
	}
	if l.count.Marked != 0 {
		t.Errorf("without Mark %d are marked", l.count.Marked)
	}
}
