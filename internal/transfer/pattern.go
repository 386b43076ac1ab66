package transfer

import (
	"context"
	"encoding/binary"
	"io"
	"math"
	"time"
)

// A pattern is a stream whose every byte follows from its offset, so that its SHA-256 can be had without
// sending it: word i of eight bytes, little-endian, is SplitMix64 of i, that is the (i+1)th number of that
// generator seeded with 0 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). All
// streams of a run send the same pattern.

// PatternAt writes the pattern's bytes from that offset on.
func PatternAt(b []byte, offset int64) {
	word := uint64(offset) / 8
	if skip := int(offset % 8); skip != 0 {
		first := patternWord(word)
		n := copy(b, first[skip:])
		b, word = b[n:], word+1
	}
	state := word * patternStep
	for ; len(b) >= 8; b = b[8:] {
		state += patternStep
		binary.LittleEndian.PutUint64(b, mix(state))
		word++
	}
	tail := patternWord(word)
	copy(b, tail[:])
}

const patternStep = 0x9e3779b97f4a7c15

func patternWord(i uint64) [8]byte {
	var w [8]byte
	binary.LittleEndian.PutUint64(w[:], mix((i+1)*patternStep))
	return w
}

func mix(z uint64) uint64 {
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// generator is the source of a pattern.
type generator struct {
	offset int64
	want   int64 // bytes; -1: until the deadline
	until  time.Time
	now    func() time.Time
}

func (g *generator) size() int64 { return g.want }

func (g *generator) fill(_ context.Context, into [][]byte) (int, error) {
	left := int64(math.MaxInt64)
	switch {
	case g.want >= 0:
		left = g.want - g.offset
	case !g.now().Before(g.until):
		return 0, io.EOF
	}
	filled := 0
	for _, b := range into {
		b = b[:min(int64(len(b)), left)]
		PatternAt(b, g.offset)
		filled, left, g.offset = filled+len(b), left-int64(len(b)), g.offset+int64(len(b))
	}
	if left == 0 {
		return filled, io.EOF
	}
	return filled, nil
}
