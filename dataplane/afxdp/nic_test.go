package afxdp

import (
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

// The table on a real driver, which has what veth has not: zero-copy, and in copy
// mode completions that come later than the doorbell returns.
func TestConformanceNIC(t *testing.T) {
	for _, mode := range []Mode{ModeZeroCopy, ModeCopy} {
		t.Run(mode.String(), func(t *testing.T) {
			porttest.NICWire(t) // skips
			porttest.Run(t, func(t testing.TB, shape porttest.Shape) *porttest.Rig {
				w := porttest.NICWire(t)
				m := w.Near.Redirect(t, link.XDPDriverMode)
				w.Near.Carrier(t)
				r := nicRegion(t, mode, shape.Frames)
				s := mustOpen(t, w, Config{
					Region: r, Mode: mode, Ifname: "near",
					TxRing: shape.TxRing, RxRing: shape.RxRing, FillRing: shape.FillRing, CompletionRing: shape.Completion,
				})
				if s.Caps().ZeroCopy != (mode == ModeZeroCopy) {
					t.Fatalf("asked for %v, active: %+v", mode, s.Caps())
				}
				steer(t, m, s)
				w.Near.Carrier(t)
				w.Far.Carrier(t)
				return porttest.WireRig(t, w, s, r)
			})
		})
	}
}

// nicRegion has chunks of a page for zero-copy: igb sizes its buffers in KiB, so
// that of a 2048-byte chunk, less the headroom of 256, it uses 1024 bytes, and a
// larger frame arrives cut.
func nicRegion(t testing.TB, mode Mode, frames int) *umem.Region {
	if mode != ModeZeroCopy {
		return newRegion(t, frames)
	}
	r, err := umem.Map(umem.Config{Frames: frames, ChunkSize: umem.MaxChunk})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return r
}
