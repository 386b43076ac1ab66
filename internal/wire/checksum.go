package wire

import (
	"encoding/binary"
	"math/bits"
)

// Sum returns the ones-complement sum (https://www.rfc-editor.org/rfc/rfc1071) of initial and of b, taken as
// big-endian 16-bit words; an odd last byte is padded with a zero behind it. initial is any earlier sum, folded or
// not. The result is folded (at most 0xffff), so that up to 65537 results can be added as plain uint32 before the
// next [Fold] or Sum. It is 0 only if every byte and initial are 0. A part that doesn't begin at an even offset of the
// summed whole goes through [SumSwap] first.
func Sum(b []byte, initial uint32) uint32 {
	// The sum of byte-swapped words is the byte-swapped sum (RFC 1071 section 2(B)): little-endian loads need no swap
	// per word on the machines we run on, and the one at the end makes the result the same on all.
	return uint32(Fold(uint64(initial) + uint64(bits.ReverseBytes16(Fold(sumWords(b))))))
}

// Fold reduces a sum to 16 bits by adding the carries back in. The checksum of a header is the complement of it.
func Fold[T uint32 | uint64](sum T) uint16 {
	s := uint64(sum)
	s = s>>32 + s&0xffffffff
	s = s>>32 + s&0xffffffff
	s = s>>16 + s&0xffff
	return uint16(s>>16 + s)
}

// SumSwap turns the sum of a part, computed as if the part began at an even offset, into what the part contributes
// at an odd offset (RFC 1071 section 2(B)).
func SumSwap(sum uint32) uint32 {
	return uint32(bits.ReverseBytes16(Fold(sum)))
}

// sumWords adds b as little-endian 64-bit words with end-around carry. 2^64-1 is a multiple of 2^16-1, so that the
// result folds to the sum of the 16-bit words. Two accumulators, because a single chain of carries is bound by its
// latency.
func sumWords(b []byte) uint64 {
	var s, t, c, d uint64
	for len(b) >= 128 {
		w := b[:128:128]
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[0:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[8:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[16:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[24:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[32:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[40:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[48:]), c)
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(w[56:]), c)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[64:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[72:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[80:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[88:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[96:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[104:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[112:]), d)
		t, d = bits.Add64(t, binary.LittleEndian.Uint64(w[120:]), d)
		b = b[128:]
	}
	s = endAround(s, t, c)
	return endAround(s, sumTail(b), d)
}

// sumTail is sumWords for less than 128 bytes.
func sumTail(b []byte) uint64 {
	var s, c uint64
	for len(b) >= 8 {
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), c)
		b = b[8:]
	}
	var last uint64
	for i := len(b) - 1; i >= 0; i-- {
		last = last<<8 | uint64(b[i])
	}
	return endAround(s, last, c)
}

// endAround adds with the carry going back in at the bottom, until none is left.
func endAround(a, b, carry uint64) uint64 {
	s, c := bits.Add64(a, b, carry)
	s, c = bits.Add64(s, 0, c)
	return s + c
}
