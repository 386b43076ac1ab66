package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// BenchmarkSegment is the engine's share of one full segment: commit, transmit,
// completion, and half of an ACK.
func BenchmarkSegment(b *testing.B) {
	r, err := umem.Map(umem.Config{Frames: 1024})
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	pool, err := umem.NewPool(r, 0, 1024, 64)
	if err != nil {
		b.Fatal(err)
	}
	c, err := New(Config{Flow: testFlow, MTU: 1500, SendSlots: 1024}, pool)
	if err != nil {
		b.Fatal(err)
	}
	now := Second
	_ = c.Connect(now)
	var txs [64]Tx
	drain := func() {
		for _, tx := range txs[:c.Transmit(now, txs[:])] {
			pool.Complete(tx.Addr)
			c.Completed(now, tx.Ref)
		}
	}
	drain()
	seg := wire.Segment{Ack: 1, Flags: wire.FlagSYN | wire.FlagACK, Window: 65535}
	seg.Options = wire.Options{HasMSS: true, MSS: 1460, SACKPermitted: true, HasTS: true, HasWScale: true, WScale: 7}
	c.Receive(now, &seg)
	drain()
	seg = wire.Segment{Seq: 1, Flags: wire.FlagACK, Window: 65535}
	seg.Options.HasTS = true
	b.SetBytes(mss)
	b.ReportAllocs()
	for b.Loop() {
		for range 2 {
			f, _ := pool.Lend()
			pool.Commit(f)
			c.Queue(f, payloadAt, c.MSS())
		}
		drain()
		now += 10 * Microsecond
		seg.Ack = uint32(c.sndNxt)
		c.Receive(now, &seg)
		for _, f := range pool.Done() {
			pool.Abandon(f)
		}
		pool.Drain()
	}
}
