package porttest

import (
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/umem"
)

// blastBatch is how many descriptors Blast submits at a time.
const blastBatch = 64

// Blast sends b.N frames of size bytes as fast as the port takes them, from frames
// of the region that it takes again as soon as they completed, the last first. It
// reports millions of packets and doorbells per packet.
func Blast(b *testing.B, p dataplane.Port, r *umem.Region, size int) {
	free := make([]uint64, r.Frames())
	for f := range free {
		PutFrame(r.Bytes(umem.Frame(f)), uint32(f), size)
		free[f] = r.Addr(umem.Frame(f))
	}
	var descs [blastBatch]umem.Desc
	kicks, sent, out := 0, 0, 0
	b.ResetTimer()
	for sent < b.N || out > 0 {
		n := p.TxRoom(min(len(free), len(descs), b.N-sent))
		for i, addr := range free[len(free)-n:] {
			descs[i] = umem.Desc{Addr: addr, Len: uint32(size)}
		}
		free = free[:len(free)-n]
		if n > 0 {
			p.Tx(descs[:n])
			sent, out = sent+n, out+n
		}
		switch p.Kick() {
		case dataplane.KickIdle:
		case dataplane.KickDead, dataplane.KickDown:
			b.Fatal("the port does not send")
		default:
			kicks++
		}
		done := p.Reap(free[len(free):cap(free)])
		free, out = free[:len(free)+done], out-done
	}
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds()/1e6, "Mpps")
	b.ReportMetric(float64(kicks)/float64(b.N), "kicks/packet")
	b.ReportMetric(0, "ns/op")
}
