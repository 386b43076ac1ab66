package netem

import "encoding/binary"

// ceMask is the code point "congestion experienced", both bits, as IPv4 has it in its second byte
// (https://www.rfc-editor.org/rfc/rfc3168#section-5). In IPv6 it stands half a byte higher.
const ceMask = 3

// mark says in a frame that it met congestion, if its transport can be told so: if not, the frame stays as it is.
func (p packet) mark(frame []byte) bool {
	if p.ip == 0 {
		return false
	}
	b, mask := frame[p.ip:], byte(ceMask)
	if b[0]>>4 == 6 {
		mask <<= 4
	}
	if b[1]&mask == 0 {
		return false
	}
	added := mask &^ b[1]
	b[1] |= mask
	if mask == ceMask {
		addToChecksum(b[10:], uint32(added))
	}
	return true
}

// addToChecksum follows a header of which one word grew (https://www.rfc-editor.org/rfc/rfc1624#section-3).
func addToChecksum(b []byte, n uint32) {
	sum := uint32(^binary.BigEndian.Uint16(b)) + n
	binary.BigEndian.PutUint16(b, ^uint16(sum+sum>>16))
}
