package asavie

import (
	"testing"

	"github.com/cilium/ebpf/link"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

// The table on a real driver, as in package afxdp.
func TestConformanceNIC(t *testing.T) {
	for _, mode := range []afxdp.Mode{afxdp.ModeZeroCopy, afxdp.ModeCopy} {
		t.Run(mode.String(), func(t *testing.T) {
			porttest.NICWire(t) // skips
			porttest.Run(t, func(t testing.TB, shape porttest.Shape) *porttest.Rig {
				w := porttest.NICWire(t)
				m := w.Near.Redirect(t, link.XDPDriverMode)
				w.Near.Carrier(t)
				s := mustOpen(t, w, Config{
					Frames: shape.Frames, ChunkSize: umem.MaxChunk, Mode: mode,
					TxRing: shape.TxRing, RxRing: shape.RxRing, FillRing: shape.FillRing, CompletionRing: shape.Completion,
				})
				if s.Caps().ZeroCopy != (mode == afxdp.ModeZeroCopy) {
					t.Fatalf("asked for %v, active: %+v", mode, s.Caps())
				}
				if err := m.Put(uint32(0), uint32(s.FD())); err != nil {
					t.Fatal(err)
				}
				w.Near.Carrier(t)
				w.Far.Carrier(t)
				return porttest.WireRig(t, w, s, s.Region())
			})
		})
	}
}
