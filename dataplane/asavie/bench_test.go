package asavie

import (
	"fmt"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/internal/porttest"
	"github.com/xsend/xsend/umem"
)

// BenchmarkTx sends raw frames over a veth pair whose far end drops them in XDP,
// with the native port and with this one, in turn.
func BenchmarkTx(b *testing.B) {
	const frames = 2048
	for _, size := range []int{64, 1514} {
		b.Run(fmt.Sprintf("native/%d", size), func(b *testing.B) {
			w := porttest.NewWire(b, porttest.WireConfig{})
			w.Far.Drop(b)
			r, err := umem.Map(umem.Config{Frames: frames})
			if err != nil {
				b.Fatal(err)
			}
			defer r.Close()
			var p dataplane.Port
			w.Near.Do(b, func() (err error) {
				p, err = afxdp.Open(b.Context(), afxdp.Config{Ifindex: w.Near.Index, Region: r, Mode: afxdp.ModeCopy})
				return err
			})
			defer p.Close()
			porttest.Blast(b, p, r, size)
		})
		b.Run(fmt.Sprintf("asavie/%d", size), func(b *testing.B) {
			w := porttest.NewWire(b, porttest.WireConfig{})
			w.Far.Drop(b)
			s := mustOpen(b, w, Config{Frames: frames, Mode: afxdp.ModeCopy})
			porttest.Blast(b, s, s.Region(), size)
		})
	}
}
