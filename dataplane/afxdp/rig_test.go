package afxdp

import (
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

// newRegion makes a region that goes away after the sockets on it.
func newRegion(t testing.TB, frames int) *umem.Region {
	t.Helper()
	r, err := umem.Map(umem.Config{Frames: frames})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}

// onWire completes cfg for the near end of the wire.
func onWire(w *porttest.Wire, cfg Config) Config {
	cfg.Ifindex, cfg.Ifname = w.Near.Index, "near0"
	return cfg
}

// tryOpen opens a socket at the near end of the wire.
func tryOpen(t testing.TB, w *porttest.Wire, cfg Config) (s *Socket, err error) {
	t.Helper()
	err = w.Near.Try(func() (err error) {
		s, err = Open(t.Context(), onWire(w, cfg))
		return err
	})
	return s, err
}

func mustOpen(t testing.TB, w *porttest.Wire, cfg Config) *Socket {
	t.Helper()
	s, err := tryOpen(t, w, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// steer puts the socket into the map that a redirect program reads.
func steer(t testing.TB, m *ebpf.Map, s *Socket) {
	t.Helper()
	if err := m.Put(uint32(s.Caps().Queue), uint32(s.FD())); err != nil {
		t.Fatal(err)
	}
}

// conformance opens a rig over a veth pair with the XDP program attached as mode says.
func conformance(mode link.XDPAttachFlags) porttest.Open {
	return func(t testing.TB, shape porttest.Shape) *porttest.Rig {
		w := porttest.NewWire(t, porttest.WireConfig{})
		m := w.Near.Redirect(t, mode)
		r := newRegion(t, shape.Frames)
		s := mustOpen(t, w, Config{
			Region: r, Mode: ModeCopy, GenericProgram: mode == link.XDPGenericMode,
			TxRing: shape.TxRing, RxRing: shape.RxRing, FillRing: shape.FillRing, CompletionRing: shape.Completion,
		})
		steer(t, m, s)
		return porttest.WireRig(t, w, s, r)
	}
}

// sendOne publishes one frame of size bytes from frame f and rings the doorbell.
func sendOne(s *Socket, r *umem.Region, f umem.Frame, size int) dataplane.Kick {
	porttest.PutFrame(r.Bytes(f), uint32(f), size)
	s.Tx([]umem.Desc{{Addr: r.Addr(f), Len: uint32(size)}})
	return s.Kick()
}

// reapAll takes what completed, for as long as something is missing and d lasts.
func reapAll(s *Socket, want int, d time.Duration) []uint64 {
	var all []uint64
	buf := make([]uint64, 64)
	for end := time.Now().Add(d); len(all) < want && time.Now().Before(end); {
		n := s.Reap(buf)
		all = append(all, buf[:n]...)
		if n == 0 {
			time.Sleep(100 * time.Microsecond)
		}
	}
	return all
}
