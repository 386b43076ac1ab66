package wire

import "encoding/binary"

// MaxOptionLen is the room for options in a TCP header, in bytes.
const MaxOptionLen = 40

// MaxWScale is the largest window shift; a larger one on the wire counts as this.
// https://www.rfc-editor.org/rfc/rfc7323#section-2.3
const MaxWScale = 14

// MaxSACKBlocks is the number of blocks that a header without other options has room for.
const MaxSACKBlocks = 4

// Option kinds. https://www.iana.org/assignments/tcp-parameters
const (
	optEOL           = 0
	optNOP           = 1
	optMSS           = 2
	optWScale        = 3
	optSACKPermitted = 4
	optSACK          = 5
	optTimestamps    = 8
)

// SACKBlock is the sequence range [Start, End) that the peer holds beyond its cumulative ACK.
// https://www.rfc-editor.org/rfc/rfc2018#section-3
type SACKBlock struct{ Start, End uint32 }

// Options are the options of one segment, as they were sent: whether one may appear on this segment is for TCP to
// decide. If one appears twice, the last counts.
type Options struct {
	TSVal, TSEcr  uint32 // RFC 7323 section 3.2; meaningful if HasTS
	MSS           uint16 // bytes; meaningful if HasMSS
	WScale        uint8  // at most MaxWScale; meaningful if HasWScale
	HasMSS        bool
	HasWScale     bool
	SACKPermitted bool
	HasTS         bool
	Malformed     bool // an option's length was impossible; what stood before it counts, the rest was not read
	NumSACK       int  // blocks used in SACK, 0 to MaxSACKBlocks
	SACK          [MaxSACKBlocks]SACKBlock
}

// alignedTimestamps is NOP, NOP, kind 8, length 10: the whole option field of nearly every segment.
// https://www.rfc-editor.org/rfc/rfc7323#appendix-A
const alignedTimestamps = optNOP<<24 | optNOP<<16 | optTimestamps<<8 | 10

// parse replaces o by what the option field b says. Unknown options, and known ones of a wrong length, are skipped
// by their length; a length below 2 or beyond the field ends the parsing, so that it neither loops nor over-reads.
// https://www.rfc-editor.org/rfc/rfc9293#section-3.1-10.12.1 (MUST-6, MUST-7)
func (o *Options) parse(b []byte) {
	*o = Options{}
	if len(b) == 12 && binary.BigEndian.Uint32(b) == alignedTimestamps {
		o.setTimestamps(b[4:])
		return
	}
	for len(b) > 0 {
		switch b[0] {
		case optEOL:
			return
		case optNOP:
			b = b[1:]
			continue
		}
		if len(b) < 2 || b[1] < 2 || int(b[1]) > len(b) {
			o.Malformed = true
			return
		}
		o.set(b[0], b[2:b[1]])
		b = b[b[1]:]
	}
}

// set takes over one option, given its kind and what follows the length byte.
func (o *Options) set(kind uint8, v []byte) {
	switch {
	case kind == optMSS && len(v) == 2:
		o.MSS, o.HasMSS = binary.BigEndian.Uint16(v), true
	case kind == optWScale && len(v) == 1:
		o.WScale, o.HasWScale = min(v[0], MaxWScale), true
	case kind == optSACKPermitted && len(v) == 0:
		o.SACKPermitted = true
	case kind == optTimestamps && len(v) == 8:
		o.setTimestamps(v)
	case kind == optSACK && len(v) > 0 && len(v)%8 == 0:
		o.setSACK(v)
	}
}

func (o *Options) setTimestamps(v []byte) {
	o.TSVal, o.TSEcr = binary.BigEndian.Uint32(v), binary.BigEndian.Uint32(v[4:])
	o.HasTS = true
}

func (o *Options) setSACK(v []byte) {
	o.NumSACK = min(len(v)/8, MaxSACKBlocks)
	for i := range o.NumSACK {
		o.SACK[i] = SACKBlock{binary.BigEndian.Uint32(v[8*i:]), binary.BigEndian.Uint32(v[8*i+4:])}
	}
}

// The encoders append one option, padded with NOPs in front to a multiple of 4 bytes, and return the longer slice, as
// append does: a slice of an array of MaxOptionLen bytes never grows beyond it.

// PutMSS appends the maximum segment size, in bytes of payload without options. Takes 4 bytes.
func PutMSS(b []byte, mss uint16) []byte {
	return append(b, optMSS, 4, byte(mss>>8), byte(mss))
}

// PutWScale appends the window shift, which is at most MaxWScale. Takes 4 bytes.
func PutWScale(b []byte, shift uint8) []byte {
	return append(b, optNOP, optWScale, 3, min(shift, MaxWScale))
}

// PutSACKPermitted appends SACK-permitted. Takes 4 bytes.
func PutSACKPermitted(b []byte) []byte {
	return append(b, optNOP, optNOP, optSACKPermitted, 2)
}

// PutTimestamps appends the timestamp's value and echo reply. Takes 12 bytes.
func PutTimestamps(b []byte, val, ecr uint32) []byte {
	b = binary.BigEndian.AppendUint32(b, alignedTimestamps)
	b = binary.BigEndian.AppendUint32(b, val)
	return binary.BigEndian.AppendUint32(b, ecr)
}

// PutSACK appends the first of blocks, as many as still fit into MaxOptionLen bytes behind what b already holds: 3
// behind timestamps, 4 alone. Takes 4 bytes and 8 per block, or none at all if there is no block to send.
func PutSACK(b []byte, blocks []SACKBlock) []byte {
	n := min(len(blocks), (MaxOptionLen-4-len(b))/8)
	if n <= 0 {
		return b
	}
	b = append(b, optNOP, optNOP, optSACK, byte(2+8*n))
	for _, s := range blocks[:n] {
		b = binary.BigEndian.AppendUint32(b, s.Start)
		b = binary.BigEndian.AppendUint32(b, s.End)
	}
	return b
}
