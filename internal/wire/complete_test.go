package wire_test

import (
	"bytes"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// TestCompleteMakesTheSeedRight: what a device makes of a seed is what Put would have written, and parses; what lies
// outside of the packet changes nothing.
func TestCompleteMakesTheSeedRight(t *testing.T) {
	r := newRandom(3)
	for _, f := range []wire.Flow{flow4, flow6} {
		for _, tagged := range []bool{false, true} {
			var tmpl wire.Template
			tmpl.Init(f, wire.Path{SrcMAC: macA, DstMAC: macB, Tagged: tagged, VLAN: 9})
			for n := range 70 {
				b := append(make([]byte, 118), r.bytes(n)...)
				h := wire.Header{Seq: r.Uint32(), Ack: r.Uint32(), Flags: wire.FlagACK, Window: 9}
				want := bytes.Clone(b)
				hdr := tmpl.Put(want[:118], &h, n, wire.Sum(want[118:], 0))
				tmpl.PutSeed(b[:118], &h, n)
				pkt := b[118-hdr:]
				start := tmpl.L2Len() + tmpl.L3Len()
				for _, bad := range [][2]int{{-1, 16}, {start, len(pkt) - start - 1}, {len(pkt), 0}, {start, -1}} {
					if wire.Complete(pkt, bad[0], bad[1]) {
						t.Fatalf("a checksum at %v of %d bytes", bad, len(pkt))
					}
				}
				if !wire.Complete(pkt, start, 16) || !bytes.Equal(b, want) {
					t.Fatalf("%d bytes of payload, IPv4 %v, tagged %v:\n% x\n% x", n, f.Is4(), tagged, b, want)
				}
			}
		}
	}
}
