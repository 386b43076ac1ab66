package porttest

import (
	"slices"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/umem"
)

// memory is the simplest right port: slices, and a far end in the same goroutine.
// It is what the mutants break.
type memory struct {
	region *umem.Region
	shape  Shape
	tx     []umem.Desc
	done   []uint64
	fill   []uint64
	rx     []umem.Desc
	sent   []byte // test frames on their way to the far end, each after its length
	wake   chan struct{}
}

// newMemory makes the port and a rig without interfaces.
func newMemory(t testing.TB, shape Shape) (*memory, Rig) {
	t.Helper()
	r, err := umem.Map(umem.Config{Frames: shape.Frames})
	must(t, err)
	t.Cleanup(func() { _ = r.Close() })
	m := &memory{region: r, shape: shape, wake: make(chan struct{}, 1)}
	m.tx = make([]umem.Desc, 0, 2*shape.TxRing)
	m.done = make([]uint64, 0, 2*shape.Completion)
	m.fill = make([]uint64, 0, 2*shape.FillRing)
	m.sent = make([]byte, 0, 1<<20)
	return m, Rig{Region: r, MTU: 1500, Send: m.arrive, Next: m.next}
}

func (m *memory) Caps() dataplane.Caps {
	return dataplane.Caps{Binding: "memory", MaxSegs: 1, TxRing: m.shape.TxRing, RxRing: m.shape.RxRing,
		FillRing: m.shape.FillRing, Completion: m.shape.Completion}
}

func (m *memory) TxRoom(n int) int     { return min(n, m.shape.TxRing-len(m.tx)) }
func (m *memory) Tx(d []umem.Desc)     { m.tx = append(m.tx, d...) }
func (m *memory) TxUnsent() int        { return len(m.tx) }
func (m *memory) FillRoom(n int) int   { return min(n, m.shape.FillRing-len(m.fill)) }
func (m *memory) Fill(addrs []uint64)  { m.fill = append(m.fill, addrs...) }
func (m *memory) Corrupt() bool        { return false }
func (m *memory) Close() error         { return nil }
func (m *memory) Reap(a []uint64) int  { return take(&m.done, a) }
func (m *memory) Rx(d []umem.Desc) int { return take(&m.rx, d) }

// take moves what fits from the front of *from.
func take[T any](from *[]T, to []T) int {
	n := copy(to, *from)
	*from = slices.Delete(*from, 0, n)
	return n
}

func (m *memory) Kick() dataplane.Kick {
	if len(m.tx) == 0 {
		return dataplane.KickIdle
	}
	n := min(len(m.tx), m.shape.Completion-len(m.done))
	for _, d := range m.tx[:n] {
		f, _ := m.region.FrameAt(d.Addr)
		if int(d.Len) <= MaxFrame && len(m.sent)+2+int(d.Len) <= cap(m.sent) {
			m.sent = append(m.sent, byte(d.Len>>8), byte(d.Len))
			m.sent = append(m.sent, m.region.Bytes(f)[:d.Len]...)
		}
		m.done = append(m.done, d.Addr)
	}
	m.tx = slices.Delete(m.tx, 0, n)
	return dataplane.KickOK
}

// next is the far end's receiver.
func (m *memory) next(buf []byte, _ time.Duration) int {
	if len(m.sent) == 0 {
		return 0
	}
	size := int(m.sent[0])<<8 | int(m.sent[1])
	n := copy(buf, m.sent[2:2+size])
	m.sent = slices.Delete(m.sent, 0, 2+size)
	return n
}

// arrive is the far end's sender.
func (m *memory) arrive(frame []byte) error {
	if len(m.fill) == 0 || len(m.rx) == m.shape.RxRing {
		return nil // lost
	}
	const headroom = 256
	addr := m.fill[0] + headroom
	m.fill = slices.Delete(m.fill, 0, 1)
	f, _ := m.region.FrameAt(addr)
	copy(m.region.Bytes(f)[headroom:], frame)
	m.rx = append(m.rx, umem.Desc{Addr: addr, Len: uint32(len(frame))})
	m.Wake()
	return nil
}

func (m *memory) Wait(d time.Duration) {
	if d <= 0 {
		select {
		case <-m.wake:
		default:
		}
		return
	}
	timeout := time.NewTimer(d)
	defer timeout.Stop()
	select {
	case <-m.wake:
	case <-timeout.C:
	}
}

func (m *memory) Wake() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// The whole table on a port without sockets, so that it runs without root too.
func TestConformanceMemory(t *testing.T) {
	Run(t, func(t testing.TB, shape Shape) *Rig {
		m, rig := newMemory(t, shape)
		rig.Port = m
		return &rig
	})
}
