package porttest

import (
	"encoding/binary"
	"fmt"
)

// headLen is the Ethernet header, number and length of a test frame.
const headLen = etherLen + 8

// MinFrame and MaxFrame bound the size of a test frame: what Ethernet does not pad,
// and an MTU of 1500.
const (
	MinFrame = 60
	MaxFrame = etherLen + 1500
)

// PutFrame writes test frame number seq of size bytes: Ethernet header, number,
// length, and bytes that follow from the number. It returns frame[:size].
func PutFrame(frame []byte, seq uint32, size int) []byte {
	frame = frame[:size]
	for i := range 6 {
		frame[i] = 0xff
	}
	copy(frame[6:], []byte{2, 0, 0, 0, 0, 1})
	binary.BigEndian.PutUint16(frame[12:], EtherType)
	binary.BigEndian.PutUint32(frame[14:], seq)
	binary.BigEndian.PutUint32(frame[18:], uint32(size))
	x := seq*2654435761 + 1
	for i := headLen; i < size; i++ {
		x = x*1664525 + 1013904223
		frame[i] = byte(x >> 24)
	}
	return frame
}

// CheckFrame tells the number of a test frame, and whether every byte is right.
func CheckFrame(frame []byte) (seq uint32, err error) {
	if len(frame) < MinFrame {
		return 0, fmt.Errorf("%d bytes: not a test frame", len(frame))
	}
	seq = binary.BigEndian.Uint32(frame[14:])
	if n := binary.BigEndian.Uint32(frame[18:]); int(n) != len(frame) {
		return seq, fmt.Errorf("frame %d: %d bytes, sent with %d", seq, len(frame), n)
	}
	want := PutFrame(make([]byte, len(frame)), seq, len(frame))
	for i := range frame {
		if frame[i] != want[i] {
			return seq, fmt.Errorf("frame %d: byte %d of %d is %#x, sent as %#x", seq, i, len(frame), frame[i], want[i])
		}
	}
	return seq, nil
}
