package wire_test

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

var (
	flow4 = wire.FlowOf(netip.MustParseAddrPort("192.0.2.1:40000"), netip.MustParseAddrPort("198.51.100.7:5201"))
	flow6 = wire.FlowOf(netip.MustParseAddrPort("[2001:db8::1]:40000"), netip.MustParseAddrPort("[2001:db8:1::7]:5201"))
	macA  = [6]byte{2, 0, 0, 0, 0, 0xa}
	macB  = [6]byte{2, 0, 0, 0, 0, 0xb}
)

func BenchmarkSum(b *testing.B) {
	for _, n := range []int{20, 52, 536, 1448, 8948} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			buf := make([]byte, n)
			for i := range buf {
				buf[i] = byte(i * 7)
			}
			b.SetBytes(int64(n))
			var sink uint32
			for b.Loop() {
				sink = wire.Sum(buf, sink)
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	for name, f := range map[string]wire.Flow{"v4": flow4, "v6": flow6} {
		var t wire.Template
		t.Init(f, wire.Path{SrcMAC: macA, DstMAC: macB})
		var opts [wire.MaxOptionLen]byte
		h := wire.Header{Seq: 1, Ack: 2, Flags: wire.FlagACK, Window: 500, Options: wire.PutTimestamps(opts[:0], 1, 2)}
		buf := make([]byte, 128)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				h.Seq += 1448
				t.Put(buf, &h, 1448, 0x1234)
			}
		})
		b.Run(name+"/seed", func(b *testing.B) {
			for b.Loop() {
				h.Seq += 1448
				t.PutSeed(buf, &h, 1448)
			}
		})
	}
}

// BenchmarkParse parses what a sender receives all day: an ACK with timestamps, without and with SACK blocks.
func BenchmarkParse(b *testing.B) {
	for name, f := range map[string]wire.Flow{"v4": flow4, "v6": flow6} {
		for _, blocks := range []int{0, 3} {
			var t wire.Template
			t.Init(f, wire.Path{SrcMAC: macA, DstMAC: macB})
			opts := wire.PutSACK(wire.PutTimestamps(nil, 1, 2), make([]wire.SACKBlock, blocks))
			buf := make([]byte, 128)
			n := t.Put(buf, &wire.Header{Flags: wire.FlagACK, Options: opts}, 0, 0)
			frame := buf[128-n:]
			for _, verify := range []bool{false, true} {
				b.Run(name+"/sack="+strconv.Itoa(blocks)+"/verify="+strconv.FormatBool(verify), func(b *testing.B) {
					var s wire.Segment
					for b.Loop() {
						if wire.Parse(frame, verify, &s) != nil {
							b.Fatal("refused")
						}
					}
				})
			}
		}
	}
}
