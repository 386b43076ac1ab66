package netem

import (
	"bytes"
	"encoding/binary"
	"testing"

	"golang.org/x/sys/unix"
)

// note appends a control message.
func note(b []byte, level, kind uint32, body []byte) []byte {
	order := binary.NativeEndian
	b = order.AppendUint64(b, uint64(noteHeader+len(body)))
	b = order.AppendUint32(b, level)
	b = order.AppendUint32(b, kind)
	b = append(b, body...)
	return append(b, make([]byte, -len(b)&7)...)
}

func TestNotes(t *testing.T) {
	order := binary.NativeEndian
	stamp := order.AppendUint64(order.AppendUint64(nil, 7), 9)
	aux := make([]byte, auxLen)
	order.PutUint16(aux[auxTCI:], 0x2005)
	order.PutUint16(aux[auxTCI+2:], 0x8100)
	tagged := bytes.Clone(aux)
	order.PutUint32(tagged, unix.TP_STATUS_VLAN_VALID)
	time := note(nil, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, stamp)
	for _, c := range []struct {
		name string
		text []byte
		came int64
		tag  uint32
	}{
		{"both", note(time, unix.SOL_PACKET, unix.PACKET_AUXDATA, tagged), 7e9 + 9, 0x81002005},
		{"no tag", note(time, unix.SOL_PACKET, unix.PACKET_AUXDATA, aux), 7e9 + 9, 0},
		{"the other order", append(note(nil, unix.SOL_PACKET, unix.PACKET_AUXDATA, tagged), time...), 7e9 + 9, 0x81002005},
		{"the time alone", time, 7e9 + 9, 0},
		{"others", note(nil, 1, 99, stamp), 0, 0},
		{"cut", time[:20], 0, 0},
		{"nothing", nil, 0, 0},
		{"a length of 0", make([]byte, 40), 0, 0},
	} {
		var n notes
		copy(n[:], c.text)
		if came, tag := n.read(len(c.text)); came != c.came || tag != c.tag {
			t.Errorf("%s: %d and %#x, want %d and %#x", c.name, came, tag, c.came, c.tag)
		}
	}
}

func TestInsertTag(t *testing.T) {
	plain := tcpFrame(0x10, 5)
	copy(plain, "abcdefghijkl")
	frame := append(make([]byte, tagLen), plain...)
	insertTag(frame, 0x81000005)
	if !bytes.Equal(frame, tagged(plain)) {
		t.Errorf("%x, want %x", frame, tagged(plain))
	}
}

func FuzzNotes(f *testing.F) {
	f.Add(note(nil, unix.SOL_SOCKET, unix.SCM_TIMESTAMPNS, make([]byte, 16)), 32)
	f.Fuzz(func(t *testing.T, text []byte, length int) {
		var n notes
		copy(n[:], text)
		n.read(max(length, 0))
	})
}
