package pattern

import (
	"encoding/binary"
)

// At writes the pattern's bytes from that offset on.
func At(b []byte, offset int64) {
	word := uint64(offset) / 8
	if skip := int(offset % 8); skip != 0 {
		first := wordAt(word)
		n := copy(b, first[skip:])
		b, word = b[n:], word+1
	}
	state := word * step
	for ; len(b) >= 8; b = b[8:] {
		state += step
		binary.LittleEndian.PutUint64(b, mix(state))
		word++
	}
	tail := wordAt(word)
	copy(b, tail[:])
}

const step = 0x9e3779b97f4a7c15

func wordAt(i uint64) [8]byte {
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], mix((i+1)*step))
	return w
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// Stream is the pattern as something to compare with: it never ends.
type Stream struct{}

// ReadAt fills b with the pattern's bytes from that offset on. It never fails.
func (Stream) ReadAt(b []byte, offset int64) (int, error) {
	At(b, offset)
	return len(b), nil
}
