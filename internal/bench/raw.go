package bench

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/umem"
)

const (
	rawFrames = 2048
	rawBatch  = 256
	rawRing   = 2048
	etherLen  = 14
	// etherType is one for experiments (IEEE 802): no protocol of the receiver's takes it, so that it drops
	// the frame with the least work.
	etherType = 0x88b5
	headerLen = 52 // IPv4, TCP and timestamps: what of the MTU would not be payload
)

// RawReport is what went through the socket. Its JSON names are stable.
type RawReport struct {
	Frames          uint64  `json:"frames"` // completed, each as many descriptors as it takes
	FramesPerSecond float64 `json:"frames_per_second"`
	Payload         uint64  `json:"payload"` // bytes that the frames would carry
	BitsPerSecond   float64 `json:"bits_per_second"`
}

// rawSender sends the same frames again and again, the one freed last first.
type rawSender struct {
	port   *afxdp.Socket
	region *umem.Region
	parts  []uint32 // what of a packet is in each of its frames, bytes
	free   []umem.Frame
	descs  [rawBatch]umem.Desc
	addrs  [rawBatch]uint64
	done   uint64
}

// RunRaw sends frames of the interface's MTU through an AF_XDP socket on its queue 0 for that long.
func RunRaw(ctx context.Context, name string, seconds float64) (r RawReport, err error) {
	link, err := hw.Lookup(name)
	if err != nil {
		return r, err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	s := &rawSender{parts: partsOf(etherLen+link.MTU, chunkFor(link.MTU))}
	s.region, err = umem.Map(umem.Config{Frames: rawFrames, ChunkSize: chunkFor(link.MTU)})
	if err != nil {
		return r, err
	}
	defer s.region.Close()
	s.port, err = afxdp.Open(ctx, afxdp.Config{
		Ifindex: link.Index, Ifname: name, Region: s.region, Mode: afxdp.ModeCopy, SG: len(s.parts) > 1,
		TxRing: rawRing, RxRing: rawRing, FillRing: rawRing, CompletionRing: rawRing,
	})
	if err != nil {
		return r, err
	}
	defer s.port.Close()
	s.fill([6]byte(link.MAC))
	start := time.Now()
	if err := s.send(start.Add(time.Duration(seconds * float64(time.Second)))); err != nil {
		return r, err
	}
	passed := time.Since(start).Seconds()
	packets := s.done / uint64(len(s.parts))
	r = RawReport{Frames: packets, FramesPerSecond: float64(packets) / passed, Payload: packets * uint64(link.MTU-headerLen)}
	r.BitsPerSecond = float64(r.Payload) * 8 / passed
	return r, nil
}

func chunkFor(mtu int) int {
	if etherLen+mtu > umem.MinChunk {
		return umem.MaxChunk
	}
	return umem.MinChunk
}

// partsOf cuts a packet into as few frames as can be, as equal as can be.
func partsOf(length, chunk int) (parts []uint32) {
	for n := (length + chunk - 1) / chunk; n > 0; n-- {
		k := (length + n - 1) / n
		parts = append(parts, uint32(k))
		length -= k
	}
	return parts
}

// fill writes the same header into every frame. The destination is nobody's address: a receiver that is not
// promiscuous drops the frame at once.
func (s *rawSender) fill(src [6]byte) {
	for f := range umem.Frame(rawFrames) {
		b := s.region.Bytes(f)
		copy(b, []byte{0x02, 0, 0, 0, 0, 0xfe})
		copy(b[6:], src[:])
		b[12], b[13] = etherType>>8, etherType&0xff
		s.free = append(s.free, f)
	}
}

func (s *rawSender) send(until time.Time) error {
	for time.Now().Before(until) {
		n := s.port.Reap(s.addrs[:])
		for _, a := range s.addrs[:n] {
			f, ok := s.region.FrameAt(a)
			if !ok {
				return fmt.Errorf("address %#x was completed, which is not of the region", a)
			}
			s.free = append(s.free, f)
		}
		s.done += uint64(n)
		s.submit()
		if k := s.port.Kick(); k == dataplane.KickDead || k == dataplane.KickDown {
			return fmt.Errorf("the socket stopped sending: %v", k)
		}
	}
	return nil
}

// submit puts as many packets on the ring as there are frames for and as it takes.
func (s *rawSender) submit() {
	k := len(s.parts)
	n := s.port.TxRoom(min(rawBatch, len(s.free))) / k * k
	for i := range n {
		f := s.free[len(s.free)-1-i]
		s.descs[i] = umem.Desc{Addr: s.region.Addr(f), Len: s.parts[i%k]}
		if i%k < k-1 {
			s.descs[i].Options = unix.XDP_PKT_CONTD
		}
	}
	s.free = s.free[:len(s.free)-n]
	s.port.Tx(s.descs[:n])
}
