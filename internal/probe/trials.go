package probe

import (
	"context"
	"encoding/binary"
	"errors"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/umem"
)

const (
	arrival  = time.Second            // how long a frame that has to arrive may take
	silence  = 100 * time.Millisecond // how long one that must not is waited for
	quirkRx  = 512                    // entries of the rings on the pair
	quirkLen = 100                    // bytes of a frame
	ethLen   = 14
)

// trial is a socket on the pair, with a region of 64 frames.
type trial struct {
	*pair
	region *umem.Region
	socket *afxdp.Socket
}

// tryOn opens a socket on the pair, runs f and closes it.
func (p *pair) tryOn(ctx context.Context, cfg afxdp.Config, f func(*trial) error) error {
	region, err := umem.Map(umem.Config{Frames: tryFrames, ChunkSize: umem.MaxChunk})
	if err != nil {
		return err
	}
	defer region.Close()
	s, err := p.open(ctx, region, cfg)
	if err != nil {
		return err
	}
	defer s.Close()
	return f(&trial{p, region, s})
}

func (p *pair) open(ctx context.Context, region *umem.Region, cfg afxdp.Config) (*afxdp.Socket, error) {
	cfg.Region, cfg.Ifindex, cfg.Ifname, cfg.Mode = region, p.near.Attrs().Index, nearName, afxdp.ModeCopy
	cfg.TxRing, cfg.RxRing, cfg.FillRing, cfg.CompletionRing = quirkRx, quirkRx, quirkRx, 2*quirkRx
	return afxdp.Open(ctx, cfg)
}

// put writes a frame of n bytes into frame f, behind the room for metadata, and returns its descriptor.
func (t *trial) put(f umem.Frame, n int) umem.Desc {
	b := t.region.Bytes(f)[afxdp.MetadataLen:][:n]
	clear(b)
	copy(b, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 1, etherType >> 8, etherType & 0xff})
	for i := ethLen; i < n; i++ {
		b[i] = byte(i)
	}
	return umem.Desc{Addr: t.region.Addr(f) + afxdp.MetadataLen, Len: uint32(n)}
}

// metadata asks for the checksum of a frame that put made, with flags and the seed of the field.
func (t *trial) metadata(d *umem.Desc, flags uint64, seed uint16) {
	f, _ := t.region.FrameAt(d.Addr)
	b := t.region.Bytes(f)
	clear(b[:afxdp.MetadataLen])
	binary.NativeEndian.PutUint64(b, flags)
	binary.NativeEndian.PutUint16(b[8:], ethLen)
	binary.NativeEndian.PutUint16(b[10:], sumOffset)
	binary.BigEndian.PutUint16(b[afxdp.MetadataLen+ethLen+sumOffset:], seed)
	d.Options |= unix.XDP_TX_METADATA
}

// sumOffset is where the checksum is, from where it begins to be summed.
const sumOffset = 16

// send submits descriptors and rings once.
func (t *trial) send(descs ...umem.Desc) {
	t.socket.Tx(descs)
	t.socket.Kick()
}

// lastErrno is the doorbell's last answer that was neither success nor EAGAIN.
func (t *trial) lastErrno() unix.Errno { return t.socket.Counters().Last }

// reap returns what completed, when it is so many or after d.
func (t *trial) reap(n int, d time.Duration) (addrs []uint64) {
	buf := make([]uint64, 2*quirkRx)
	for end := time.Now().Add(d); ; time.Sleep(100 * time.Microsecond) {
		addrs = append(addrs, buf[:t.socket.Reap(buf)]...)
		if len(addrs) >= n || time.Now().After(end) {
			return addrs
		}
	}
}

// summed reports whether the ones' complement sum of the packet behind the Ethernet header is right.
func summed(frame []byte) bool {
	if len(frame) < ethLen {
		return false
	}
	var sum uint32
	for b := frame[ethLen:]; len(b) > 1; b = b[2:] {
		sum += uint32(binary.BigEndian.Uint16(b))
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return sum == 0xffff
}

// sentAndSummed sends one frame whose metadata asks for a checksum, and sums what arrives.
func (t *trial) sentAndSummed(seed uint16) (bool, error) {
	d := t.put(1, quirkLen)
	t.metadata(&d, unix.XDP_TXMD_FLAGS_CHECKSUM, seed)
	t.send(d)
	got := t.receive(arrival)
	if len(got) != quirkLen {
		return false, errors.Join(errors.New("the frame did not arrive"), errnoOrNil(t.lastErrno()))
	}
	return summed(got), nil
}

func errnoOrNil(e unix.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}
