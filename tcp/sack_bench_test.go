package tcp

import (
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// benchFlight is a connection with n full segments out, and a way to answer them.
type benchFlight struct {
	c    *Conn
	pool *umem.Pool
	now  Time
	held []Tx
	seg  wire.Segment
}

func newBenchFlight(tb testing.TB, n int, keep bool) *benchFlight {
	tb.Helper()
	return newBenchFlightWith(tb, Cubic, n, keep)
}

func newBenchFlightWith(tb testing.TB, cc Congestion, n int, keep bool) *benchFlight {
	tb.Helper()
	pool, err := umem.NewPool(testRegion(tb, n+128), 0, n+128, 64)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := New(Config{Flow: testFlow, MTU: 1500, SendSlots: n + 64 + 4*(max(testSegs, 1)-1), InitialCwnd: 2 * n, Congestion: cc, MaxSegs: testSegs}, pool)
	if err != nil {
		tb.Fatal(err)
	}
	b := &benchFlight{c: c, pool: pool, now: Second}
	_ = c.Connect(b.now)
	b.transmit(false)
	b.seg = wire.Segment{Ack: 1, Flags: wire.FlagSYN | wire.FlagACK, Window: 65535}
	b.seg.Options = wire.Options{HasMSS: true, MSS: 1460, SACKPermitted: true, HasTS: true, HasWScale: true, WScale: 14}
	b.now += Millisecond
	c.Receive(b.now, &b.seg)
	b.seg = wire.Segment{Seq: 1, Ack: 1, Flags: wire.FlagACK, Window: 65535}
	b.seg.Options.HasTS = true
	c.Receive(b.now, &b.seg)
	for range n {
		b.write()
	}
	b.transmit(keep)
	if c.flightSize() != n*c.MSS() {
		tb.Fatalf("%d bytes out", c.flightSize())
	}
	return b
}

func (b *benchFlight) write() {
	f, ok := b.pool.Lend()
	if !ok {
		panic("no frame")
	}
	b.pool.Commit(f)
	b.c.Queue(f, payloadAt, b.c.MSS())
}

// transmit lets everything go that may; with keep the kernel completes none of it.
func (b *benchFlight) transmit(keep bool) (n int) {
	var txs [64]Tx
	for {
		k := b.c.Transmit(b.now, txs[:])
		for _, tx := range txs[:k] {
			if keep {
				b.held = append(b.held, tx)
				continue
			}
			b.complete(tx)
		}
		if n += k; k < len(txs) {
			return n
		}
	}
}

func (b *benchFlight) complete(tx Tx) {
	completeAll(b.pool, b.c, b.now, &tx)
}

func (b *benchFlight) ack(n int, blocks ...[2]int) {
	b.seg.Ack = uint32(1 + n*b.c.MSS())
	b.seg.Options.TSEcr = b.c.tsVal(b.now)
	b.seg.Options.NumSACK = len(blocks)
	for i, s := range blocks {
		b.seg.Options.SACK[i] = wire.SACKBlock{Start: uint32(1 + s[0]*b.c.MSS()), End: uint32(1 + s[1]*b.c.MSS())}
	}
	b.c.Receive(b.now, &b.seg)
	for _, f := range b.pool.Done() {
		b.pool.Abandon(f)
	}
	b.pool.Drain()
}

// The cost of one ACK while a window of 8192 segments is under repair.
func BenchmarkAckOneHole(b *testing.B) { // the first is lost, the block behind it grows
	const n = 8192
	w := newBenchFlight(b, n, false)
	k := 0
	for b.Loop() {
		if k++; k == n-1 {
			b.StopTimer()
			w, k = newBenchFlight(b, n, false), 1
			b.StartTimer()
		}
		w.ack(0, [2]int{1, 1 + k})
	}
}

func BenchmarkAckManyHoles(b *testing.B) { // every fourth is lost
	const n = 8192
	w := newBenchFlight(b, n, false)
	k := 0
	for b.Loop() {
		if k++; k == n/4-1 {
			b.StopTimer()
			w, k = newBenchFlight(b, n, false), 1
			b.StartTimer()
		}
		at := 4 * k
		blocks := [][2]int{{at + 1, at + 4}, {at - 3, at}, {at - 7, at - 4}}
		w.ack(0, blocks[:min(3, k)]...)
	}
}

func BenchmarkAckHalfLost(b *testing.B) { // the first half is lost, the second arrives one by one
	const n = 8192
	w := newBenchFlight(b, n, false)
	k := 0
	for b.Loop() {
		if k++; k == n/2 {
			b.StopTimer()
			w, k = newBenchFlight(b, n, false), 1
			b.StartTimer()
		}
		w.ack(0, [2]int{n / 2, n/2 + k})
	}
}

func BenchmarkAckHoleFilledBackwards(b *testing.B) { // a block that grows to the left
	const n = 8192
	w := newBenchFlight(b, n, false)
	k := 0
	for b.Loop() {
		if k++; k == n/2 {
			b.StopTimer()
			w, k = newBenchFlight(b, n, false), 1
			b.StartTimer()
		}
		w.ack(0, [2]int{n - k, n})
	}
}

// Transmit while the kernel holds all that is lost.
func BenchmarkTransmitAllHeld(b *testing.B) {
	const n = 8192
	w := newBenchFlight(b, n, true)
	w.now += Millisecond
	w.ack(0, [2]int{n - 3, n})
	var txs [64]Tx
	for b.Loop() {
		if w.c.Transmit(w.now, txs[:]) != 0 {
			b.Fatal("sent")
		}
	}
}
