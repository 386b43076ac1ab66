package tcp

import "github.com/xsend/xsend/umem"

// Tx is one packet that Transmit made: one descriptor, whose frame the pool
// counts as submitted already. The caller must put it on the TX ring.
type Tx struct {
	Addr  uint64 // UMEM address of the first header byte
	Len   uint32 // bytes
	Frame umem.Frame
	Ref   Ref  // to be handed to Completed when the kernel gives the frame back
	Again bool // a retransmission (or probe): bytes that were sent before
	// Metadata says that right before Addr there is a struct xsk_tx_metadata which asks
	// for the checksum: the descriptor needs XDP_TX_METADATA, or the packet leaves wrong.
	Metadata bool
	// Source is the writer's frame whose payload this packet carries, NoFrame for
	// control segments. It is Frame, or the frame that a split tail was copied from.
	Source umem.Frame
}

// Ref names a transmission's slot in the send queue, so that its completion finds
// the slot, or finds that the slot is gone. The zero Ref is of a control segment.
type Ref struct {
	slot int32 // index + 1
	gen  uint32
}
