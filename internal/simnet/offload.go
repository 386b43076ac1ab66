package simnet

import (
	"encoding/binary"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// Of linux/if_xdp.h.
const (
	txMetadata   = 1 << 1 // XDP_TX_METADATA, an option of a descriptor
	metadataLen  = 24     // as registered
	txmdChecksum = 1 << 1 // XDP_TXMD_FLAGS_CHECKSUM
)

// request is what a struct xsk_tx_metadata asks for.
type request struct {
	flags         uint64
	start, offset int
}

func requestOf(metadata []byte) request {
	return request{
		flags: binary.NativeEndian.Uint64(metadata),
		start: int(binary.NativeEndian.Uint16(metadata[8:])), offset: int(binary.NativeEndian.Uint16(metadata[10:])),
	}
}

// legal is the kernel's check (xsk_skb_metadata): bad metadata would stop the queue for ever.
func (r request) legal(packet int) bool {
	return r.flags&^txmdChecksum == 0 && (r.flags == 0 || r.start+r.offset+2 <= packet)
}

// completed is the packet that leaves, whose first descriptor is d: with its checksum if that was asked for and the NIC
// listens.
func (k *Kernel) completed(d umem.Desc, packet []byte) []byte {
	if d.Options&txMetadata == 0 {
		return packet
	}
	r := requestOf(k.covered(d))
	k.stats.Asked++
	if r.flags&txmdChecksum != 0 && !k.cfg.Deaf {
		wire.Complete(packet, r.start, r.offset)
	}
	return packet
}
