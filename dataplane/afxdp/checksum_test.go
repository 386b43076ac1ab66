package afxdp

import (
	"encoding/binary"
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

const sumAt = 14 + 16 // of the field, in a test frame; the sum begins behind the Ethernet header

// sendSummed sends a test frame of size bytes whose metadata asks for a checksum.
func sendSummed(s *Socket, r *umem.Region, size int) dataplane.Kick {
	frame := r.Bytes(0)
	clear(frame[:MetadataLen])
	binary.NativeEndian.PutUint64(frame, unix.XDP_TXMD_FLAGS_CHECKSUM)
	binary.NativeEndian.PutUint16(frame[8:], 14)
	binary.NativeEndian.PutUint16(frame[10:], sumAt-14)
	packet := porttest.PutFrame(frame[MetadataLen:], 1, size)
	clear(packet[sumAt : sumAt+2]) // the seed
	s.Tx([]umem.Desc{{Addr: r.Addr(0) + MetadataLen, Len: uint32(size), Options: unix.XDP_TX_METADATA}})
	return s.Kick()
}

// onesSum is the ones' complement sum of b, https://www.rfc-editor.org/rfc/rfc1071.
func onesSum(b []byte) uint16 {
	var sum uint32
	for i := 0; i+1 < len(b); i += 2 {
		sum += uint32(binary.BigEndian.Uint16(b[i:]))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return uint16(sum)
}

// veth claims to compute checksums and leaves the field as it is: with the software
// checksum the kernel has to fill it in all the same. The control is without it.
func TestTxSoftwareChecksum(t *testing.T) {
	for _, software := range []bool{true, false} {
		w, r := porttest.NewWire(t, porttest.WireConfig{}), newRegion(t, 16)
		s := mustOpen(t, w, Config{Region: r, TxMetadataLen: MetadataLen, TxSoftwareChecksum: software})
		peer, buf := w.Far.NewPeer(t), make([]byte, 4096)
		if k := sendSummed(s, r, 200); k != dataplane.KickOK {
			t.Fatalf("software %v: kick %v", software, k)
		}
		n := peer.Next(buf, 5*time.Second)
		if n != 200 {
			t.Fatalf("software %v: %d bytes arrived", software, n)
		}
		if summed := onesSum(buf[14:n]) == 0xffff; summed != software {
			t.Errorf("software %v: field %x, the sum is right: %v", software, buf[sumAt:sumAt+2], summed)
		}
		if got := onesSum(r.Bytes(0)[MetadataLen+sumAt : MetadataLen+sumAt+2]); got != 0 {
			t.Errorf("software %v: the kernel wrote %#x into our frame", software, got)
		}
	}
}

func TestTxSoftwareChecksumRefused(t *testing.T) {
	r := newRegion(t, 16)
	if _, err := Open(t.Context(), Config{Region: r, Ifindex: 1, TxSoftwareChecksum: true}); !errors.Is(err, ErrConfig) {
		t.Errorf("without metadata: %v, want ErrConfig", err)
	}
	cfg := Config{Region: r, Ifindex: 1, TxMetadataLen: MetadataLen, TxSoftwareChecksum: true, Mode: ModeZeroCopy}
	if _, err := Open(t.Context(), cfg); !errors.Is(err, ErrConfig) {
		t.Errorf("in zero-copy: %v, want ErrConfig", err)
	}
	if !(Config{TxSoftwareChecksum: true}).copyOnly() || (Config{}).copyOnly() {
		t.Error("auto would try zero-copy with it, or never")
	}
}
