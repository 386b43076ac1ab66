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

// sumWords adds b as little-endian 64-bit words with end-around carry: 2^64-1 is a multiple of 2^16-1, so that the
// result folds to the sum of the 16-bit words. Each block of 64 bytes is a chain of carries of its own, because one
// chain through the whole of b would be bound by its latency.
func sumWords(b []byte) uint64 {
	var s, carries uint64
	for len(b) >= 64 {
		w := b[:64:64]
		p, c := bits.Add64(binary.LittleEndian.Uint64(w[0:]), binary.LittleEndian.Uint64(w[8:]), 0)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[16:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[24:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[32:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[40:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[48:]), c)
		p, c = bits.Add64(p, binary.LittleEndian.Uint64(w[56:]), c)
		s, c = bits.Add64(s, p, c)
		carries += c
		b = b[64:]
	}
	for len(b) >= 8 {
		var c uint64
		s, c = bits.Add64(s, binary.LittleEndian.Uint64(b), 0)
		carries += c
		b = b[8:]
	}
	s, c := bits.Add64(s, carries+sumRest(b), 0)
	return s + c
}

// sumRest is sumWords for less than 8 bytes.
func sumRest(b []byte) (s uint64) {
	if len(b) >= 4 {
		s, b = uint64(binary.LittleEndian.Uint32(b)), b[4:]
	}
	if len(b) >= 2 {
		s, b = s+uint64(binary.LittleEndian.Uint16(b)), b[2:]
	}
	if len(b) > 0 {
		s += uint64(b[0])
	}
	return s
}

// pseudoSum is the folded sum of the pseudo-header for length bytes of protocol proto. The words of IPv4's and IPv6's
// are the same but for the addresses, and an IPv4 address in mapped form adds 0xffff, which is zero.
// https://www.rfc-editor.org/rfc/rfc9293#section-3.1-6.18.1, https://www.rfc-editor.org/rfc/rfc8200#section-8.1
func pseudoSum(src, dst *[16]byte, proto uint8, length int) uint32 {
	return uint32(Fold(addrSum(src) + addrSum(dst) + uint64(proto) + uint64(length)))
}

func addrSum(a *[16]byte) uint64 {
	hi, lo := binary.BigEndian.Uint64(a[:8]), binary.BigEndian.Uint64(a[8:])
	return hi>>32 + hi&0xffffffff + lo>>32 + lo&0xffffffff
}

// Complete does what a checksum request asks of a device: it sums packet from start on, the seed in the checksum's
// place included, and stores the complement offset bytes behind start. False, and nothing happened, where that is not
// inside the packet.
func Complete(packet []byte, start, offset int) bool {
	if start < 0 || offset < 0 || start+offset+2 > len(packet) {
		return false
	}
	binary.BigEndian.PutUint16(packet[start+offset:], ^uint16(Sum(packet[start:], 0)))
	return true
}
