package tcp

import "github.com/xsend/xsend/umem"

// Tx is one packet that Transmit made: one descriptor, or in the scatter-gather layout one for the headers and Parts
// that follow it. The pool counts their frames as submitted already. The caller must put them on the TX ring.
type Tx struct {
	Addr  uint64 // UMEM address of the first header byte
	Len   uint32 // bytes
	Frame umem.Frame
	Parts int // of Rest
	Rest  [maxSpans]Part
	Ref   Ref  // to be handed to Completed when the kernel gives the frame back
	Again bool // a retransmission (or probe): bytes that were sent before
	// Metadata says that right before Addr there is a struct xsk_tx_metadata which asks
	// for the checksum: the descriptor needs XDP_TX_METADATA, or the packet leaves wrong.
	Metadata bool
	// Source is the writer's frame whose payload this packet carries, NoFrame for
	// control segments. It is Frame, or the frame that a split tail was copied from.
	Source umem.Frame
	Offset uint32 // of the first payload byte in the stream, modulo 2^32; says nothing of a packet without payload of the stream
	Seq    uint32 // of the first byte of payload, or of the SYN or FIN
	Flags  uint8  // of TCP
	Why    Why
}

// Part is payload of a packet, in place.
type Part struct {
	Addr  uint64
	Len   uint32
	Frame umem.Frame
}

// Bytes is the length of the packet.
func (t *Tx) Bytes() int {
	n := int(t.Len)
	for _, r := range t.Rest[:t.Parts] {
		n += int(r.Len)
	}
	return n
}

// Ref names a transmission's slot in the send queue, so that its completion finds
// the slot, or finds that the slot is gone. The zero Ref is of a control segment.
type Ref struct {
	slot  int32 // index + 1
	gen   uint32
	arena bool // sent from the arena
}
