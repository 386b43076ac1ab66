package dataplane

import (
	"encoding/binary"

	"github.com/xsend/xsend/tcp"
)

// TxMetadata is the option of a descriptor that has a struct xsk_tx_metadata right before
// its address (XDP_TX_METADATA of linux/if_xdp.h). Of a packet of several descriptors the
// first bears it.
const TxMetadata = 1 << 1

// packetContinues is the option of a descriptor whose packet goes on in the next one (XDP_PKT_CONTD).
const packetContinues = 1 << 0

// options are those of the descriptor of a packet.
func options(tx *tcp.Tx) uint32 {
	if tx.Metadata {
		return TxMetadata
	}
	return 0
}

// checksumRequest is what the metadata that ends where before ends asks for: the checksum of
// what lies from start on, offset bytes behind start.
func checksumRequest(before []byte) (start, offset uint16) {
	m := before[len(before)-tcp.MetadataLen:]
	return binary.NativeEndian.Uint16(m[8:]), binary.NativeEndian.Uint16(m[10:])
}
