package simnet

import "encoding/binary"

// Pattern is an endless stream of bytes that any part of can be made, or compared,
// by its offset alone: what a writer promises at commit is Pattern and offset.
type Pattern uint64

// word is the eight bytes from 8*i on: splitmix64, as in Steele, Lea, Flood: Fast
// splittable pseudorandom number generators (2014).
func (p Pattern) word(i uint64) uint64 {
	z := uint64(p) + (i+1)*0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// at is the byte at offset off.
func (p Pattern) at(off uint64) byte { return byte(p.word(off>>3) >> (off & 7 * 8)) }

// Fill writes the stream from offset off on into b.
func (p Pattern) Fill(b []byte, off uint64) {
	for ; len(b) > 0 && off&7 != 0; b, off = b[1:], off+1 {
		b[0] = p.at(off)
	}
	for ; len(b) >= 8; b, off = b[8:], off+8 {
		binary.LittleEndian.PutUint64(b, p.word(off>>3))
	}
	for i := range b {
		b[i] = p.at(off + uint64(i))
	}
}

// Wrong is the number of bytes in b that are not those of the stream from offset off on.
func (p Pattern) Wrong(b []byte, off uint64) (n int) {
	lead := min(int(-off&7), len(b))
	n = p.wrongBytes(b[:lead], off)
	b, off = b[lead:], off+uint64(lead)
	for ; len(b) >= 8; b, off = b[8:], off+8 {
		if binary.LittleEndian.Uint64(b) != p.word(off>>3) {
			n += p.wrongBytes(b[:8], off)
		}
	}
	return n + p.wrongBytes(b, off)
}

func (p Pattern) wrongBytes(b []byte, off uint64) (n int) {
	for i := range b {
		if b[i] != p.at(off+uint64(i)) {
			n++
		}
	}
	return n
}

// firstWrong is where in b the first wrong byte is.
func (p Pattern) firstWrong(b []byte, off uint64) (i int64) {
	for p.Wrong(b[i:i+1], off+uint64(i)) == 0 {
		i++
	}
	return i
}
