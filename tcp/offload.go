package tcp

import (
	"encoding/binary"

	"github.com/xsend/xsend/internal/wire"
)

// Checksum says who computes the checksums of what is sent.
type Checksum uint8

// Who does.
const (
	// ChecksumSoftware is the engine. The sum of a segment's payload is kept, so that
	// sending it again costs header arithmetic only.
	ChecksumSoftware Checksum = iota
	// ChecksumOffload is whoever takes the packet from the TX ring, device or kernel. Every
	// packet gets a request in front of it (Tx.Metadata), and no payload is read.
	ChecksumOffload
)

// MetadataLen is the size of struct xsk_tx_metadata (linux/if_xdp.h) that every kernel
// with TX metadata takes, in bytes. It ends where the packet begins.
const MetadataLen = 24

// txmdChecksum is XDP_TXMD_FLAGS_CHECKSUM.
const txmdChecksum = 1 << 1

// tcpChecksumAt is where the checksum lies in a TCP header
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.1).
const tcpChecksumAt = 16

// SetChecksum changes who computes the checksums from the next transmission on.
func (c *Conn) SetChecksum(k Checksum) { c.offload = k == ChecksumOffload }

// putHeaders writes the headers of n bytes of payload into the tail of b, and with
// checksum offload the request before them; sum is of use without it only. It returns the
// length of the headers.
func (c *Conn) putHeaders(b []byte, h *wire.Header, n int, sum uint32) int {
	if !c.offload {
		return c.tmpl.Put(b, h, n, sum)
	}
	hdr := c.tmpl.PutSeed(b, h, n)
	putRequest(b[:len(b)-hdr], c.tmpl.L2Len()+c.tmpl.L3Len())
	return hdr
}

// putRequest asks, in the last bytes of b, for the checksum of what lies from start on in the
// packet behind b. It is written anew for each transmission: a completion may put a
// timestamp over it
// (https://docs.kernel.org/networking/xsk-tx-metadata.html).
func putRequest(b []byte, start int) {
	m := b[len(b)-MetadataLen:]
	binary.NativeEndian.PutUint64(m, txmdChecksum)
	binary.NativeEndian.PutUint16(m[8:], uint16(start))
	binary.NativeEndian.PutUint16(m[10:], tcpChecksumAt)
	clear(m[12:MetadataLen])
}
