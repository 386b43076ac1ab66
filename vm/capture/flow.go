package capture

import (
	"crypto/sha256"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
)

// maxAhead bounds, in bytes, how far beyond the amount of data seen so far a segment may begin,
// and so what a damaged file can make Read allocate.
const maxAhead = 16 << 20

// Range is a part of the stream, in bytes from its beginning.
type Range struct {
	Offset int64
	Length int64
}

// Flow is what the sender of one connection put on the wire.
type Flow struct {
	Source string // the sender's address
	Port   uint16 // the sender's port

	Tags map[uint16]int // frames of the sender by the VLAN ID of their outer 802.1Q tag
	Bare int            // frames of the sender without one

	Segments      int     // segments with payload, probes not counted
	Retransmitted int64   // payload bytes that had left before
	Resent        int     // segments that carried at least one such byte
	Differing     []Range // per segment that carried other bytes than had left before: from the first to the last such byte
	BadChecksums  int     // segments of the sender whose TCP checksum is wrong, with or without payload, but for probes
	Probes        int     // single bytes right before the first unacknowledged one: asking, not resending
	BadProbes     int     // of these, with a wrong TCP checksum: a canary poisons some
	Stray         int     // segments outside the range that can be followed
	Reset         bool    // either side sent RST

	iss     uint32
	stream  []byte // every byte as it left first; holes are zero
	written []bool // which of them have left
	highest int64  // end of the highest range that left
	kept    int64  // how many bytes have left at least once
	end     int64  // where the FIN says the stream ends, -1 until it is seen
	una     int64  // what the peer acknowledged, -1 until it has
}

// Complete reports whether every byte up to the sender's FIN left at least once.
func (f *Flow) Complete() bool {
	if f.end < 0 || f.end > int64(len(f.stream)) {
		return false
	}
	for _, seen := range f.written[:f.end] {
		if !seen {
			return false
		}
	}
	return true
}

// Length is the length in bytes of the stream up to the FIN, or up to the last byte seen when
// there is none.
func (f *Flow) Length() int64 {
	if f.end >= 0 && f.end <= int64(len(f.stream)) {
		return f.end
	}
	return int64(len(f.stream))
}

// SHA256 hashes the stream, each byte as it left for the first time.
func (f *Flow) SHA256() [sha256.Size]byte {
	return sha256.Sum256(f.stream[:f.Length()])
}

// offset unwraps a sequence number into a position in the stream, the one nearest to the highest
// position seen. The SYN takes the number before position 0
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.4).
func (f *Flow) offset(seq uint32) int64 {
	return f.highest + int64(int32(seq-(f.iss+1)-uint32(f.highest)))
}

// tagged counts a frame of the sender by its outer tag.
func (f *Flow) tagged(packet gopacket.Packet) {
	tag, ok := packet.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q)
	if !ok {
		f.Bare++
		return
	}
	if f.Tags == nil {
		f.Tags = map[uint16]int{}
	}
	f.Tags[tag.VLANIdentifier]++
}

func (f *Flow) sent(segment *layers.TCP) {
	if segment.RST {
		f.Reset = true
		return
	}
	if segment.SYN {
		return
	}
	at := f.offset(segment.Seq)
	if n := int64(len(segment.Payload)); n > 0 {
		f.payload(at, segment.Payload)
		at += n
	}
	if segment.FIN {
		f.end = at
	}
}

func (f *Flow) answered(segment *layers.TCP) {
	f.Reset = f.Reset || segment.RST
	if segment.ACK && !segment.RST {
		f.una = max(f.una, f.offset(segment.Ack))
	}
}

func (f *Flow) payload(at int64, payload []byte) {
	if len(payload) == 1 && at == f.una-1 {
		f.Probes++
		return
	}
	if at < 0 || at > f.kept+maxAhead {
		f.Stray++
		return
	}
	f.Segments++
	f.reach(at + int64(len(payload)))
	resent := f.store(at, payload)
	f.kept += int64(len(payload)) - resent
	f.Retransmitted += resent
	if resent > 0 {
		f.Resent++
	}
}

// reach makes the stream at least n bytes long.
func (f *Flow) reach(n int64) {
	f.highest = max(f.highest, n)
	if more := n - int64(len(f.stream)); more > 0 {
		f.stream = append(f.stream, make([]byte, more)...)
		f.written = append(f.written, make([]bool, more)...)
	}
}

// store keeps the bytes that leave for the first time, compares the others with what left before
// and returns how many those are.
func (f *Flow) store(at int64, payload []byte) (resent int64) {
	first, last := int64(-1), int64(-1)
	for i, b := range payload {
		position := at + int64(i)
		if !f.written[position] {
			f.written[position], f.stream[position] = true, b
			continue
		}
		resent++
		if b == f.stream[position] {
			continue
		}
		if first < 0 {
			first = position
		}
		last = position
	}
	if first >= 0 {
		f.Differing = append(f.Differing, Range{Offset: first, Length: last + 1 - first})
	}
	return resent
}
