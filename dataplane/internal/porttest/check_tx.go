package porttest

import (
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/umem"
)

func checkCaps(b *bench) {
	c := b.Port.Caps()
	if c.Binding == "" || c.MaxSegs < 1 {
		b.Errorf("caps without binding or segments: %+v", c)
	}
	for name, n := range map[string][2]int{
		"TX": {c.TxRing, b.shape.TxRing}, "RX": {c.RxRing, b.shape.RxRing},
		"fill": {c.FillRing, b.shape.FillRing}, "completion": {c.Completion, b.shape.Completion},
	} {
		if n[0] != n[1] {
			b.Errorf("%s ring of %d entries, asked for %d", name, n[0], n[1])
		}
	}
	if again := b.Port.Caps(); again != c {
		b.Errorf("caps changed: %+v, then %+v", c, again)
	}
}

func checkIdle(b *bench) {
	p := b.Port
	if k := p.Kick(); k != dataplane.KickIdle {
		b.Errorf("kick with nothing to send: %v, want idle", k)
	}
	if n := p.TxUnsent(); n != 0 {
		b.Errorf("%d unsent before anything was submitted", n)
	}
	if n := p.Reap(b.buf[:]); n != 0 {
		b.Errorf("%d completions before anything was submitted", n)
	}
	if n := p.Rx(make([]umem.Desc, 8)); n != 0 {
		b.Errorf("%d received before anything was sent", n)
	}
	if p.Corrupt() {
		b.Error("corrupt from the start")
	}
	if got := [3]int{p.TxRoom(0), p.TxRoom(b.shape.TxRing), p.TxRoom(b.shape.TxRing + 1)}; got != [3]int{0, b.shape.TxRing, b.shape.TxRing} {
		b.Errorf("TX room of an empty ring for 0, all and more: %v", got)
	}
}

// checkTx sends every frame of the region several times round, in batches of odd
// sizes: each arrives once, in order, right, and completes once.
func checkTx(b *bench) {
	total, sent, seen := uint32(3*b.shape.Frames), uint32(0), uint32(0)
	progress := time.Now()
	for batch := 1; seen < total; batch = batch%61 + 1 {
		if next := b.txBatch(sent, total, batch); next != sent {
			sent, progress = next, time.Now()
		}
		b.push()
		b.reap()
		for ; seen+64 < sent || seen < sent && sent == total; seen++ {
			if got := b.arrived(); got != seen {
				b.Fatalf("frame %d arrived, want %d", got, seen)
			}
		}
		if time.Since(progress) > patience {
			b.Fatalf("%d of %d frames sent, and it goes no further: %d descriptors did not come back", sent, total, b.outstanding())
		}
	}
	b.drain()
	b.nothingArrived()
}

// txBatch submits up to n test frames from number sent on, as far as there is room
// and their frames came back from the last time. It returns the next number.
func (b *bench) txBatch(sent, total uint32, n int) uint32 {
	for range b.Port.TxRoom(n) {
		f := umem.Frame(sent % uint32(b.shape.Frames))
		if sent == total || b.out[b.Region.Addr(f)] > 0 {
			break
		}
		b.tx(f, sent, sizeOf(sent))
		sent++
	}
	return sent
}

func checkTxRoom(b *bench) {
	n := b.shape.TxRing
	for i := range n {
		if room := b.Port.TxRoom(n); room != n-i && b.Port.TxUnsent() == i {
			b.Fatalf("room for %d after %d of %d", room, i, n)
		}
		b.tx(umem.Frame(i), uint32(i), MinFrame)
	}
	b.drain()
	if room := b.Port.TxRoom(n); room != n {
		b.Errorf("room for %d after everything completed, want %d", room, n)
	}
	for i := range n {
		if got := b.arrived(); int(got) != i {
			b.Fatalf("frame %d arrived, want %d", got, i)
		}
	}
}

// checkClones submits one frame three times: it comes back three times.
func checkClones(b *bench) {
	b.tx(7, 70, 600)
	addr := b.Region.Addr(7)
	b.Port.Tx([]umem.Desc{{Addr: addr, Len: 600}, {Addr: addr, Len: 600}})
	b.out[addr] += 2
	b.drain()
	for range 3 {
		if got := b.arrived(); got != 70 {
			b.Fatalf("frame %d arrived, want 70", got)
		}
	}
	b.nothingArrived()
}

// checkCompletionFull leaves completions where they are until the kernel cannot
// send any more: nothing is lost, and it goes on after Reap.
func checkCompletionFull(b *bench) {
	n, sent := b.shape.Completion, uint32(0)
	for range 3 * n {
		if b.Port.TxRoom(1) == 0 {
			b.kick()
			if b.Port.TxRoom(1) == 0 {
				break
			}
		}
		b.tx(umem.Frame(sent), sent, MinFrame)
		sent++
	}
	b.kick()
	if unsent := b.Port.TxUnsent(); int(sent)-unsent > n {
		b.Fatalf("%d descriptors were taken with a completion ring of %d", int(sent)-unsent, n)
	} else if unsent == 0 {
		b.Fatalf("all %d descriptors were taken with a completion ring of %d", sent, n)
	}
	b.drain()
	for i := range sent {
		if got := b.arrived(); got != i {
			b.Fatalf("frame %d arrived, want %d", got, i)
		}
	}
}

// checkOversize sends a frame that no interface of this MTU takes, between two
// good ones: it completes like any other, and does not arrive.
func checkOversize(b *bench) {
	b.tx(0, 0, 100)
	b.tx(1, 1, min(b.Region.ChunkSize(), b.MTU+200))
	b.tx(2, 2, 100)
	b.drain()
	for _, want := range []uint32{0, 2} {
		if got := b.arrived(); got != want {
			b.Fatalf("frame %d arrived, want %d", got, want)
		}
	}
	b.nothingArrived()
}

// checkPeerDown sends where nobody listens: it completes, and is lost.
func checkPeerDown(b *bench) {
	if b.FarUp == nil {
		b.Skip("the rig's far end has no interface to set down")
	}
	b.FarUp(false)
	b.tx(0, 0, 100)
	b.drain()
	b.FarUp(true)
	for end := time.Now().Add(patience); ; { // the first frames after that may be lost too
		b.tx(1, 1, 100)
		b.drain()
		buf := make([]byte, 2048)
		if n := b.Next(buf, 10*time.Millisecond); n > 0 {
			if seq, err := CheckFrame(buf[:n]); seq != 1 || err != nil {
				b.Fatalf("frame %d (%v) arrived, want 1", seq, err)
			}
			return
		}
		if time.Now().After(end) {
			b.Fatal("nothing arrives after the peer is up again")
		}
	}
}

// checkDownUp sets the port's own interface down: what is on the TX ring stays
// there, and leaves when it is up again.
func checkDownUp(b *bench) {
	if b.Up == nil {
		b.Skip("the rig's port has no interface to set down")
	}
	b.Up(false)
	const n = 10
	for i := range n {
		b.tx(umem.Frame(i), uint32(i), 200)
	}
	for range 3 {
		if k := b.Port.Kick(); k != dataplane.KickDown {
			b.Fatalf("kick with the interface down: %v, want down", k)
		}
	}
	if got := b.Port.TxUnsent(); got != n || b.reap() != 0 {
		b.Fatalf("%d of %d unsent while the interface is down", got, n)
	}
	b.Up(true)
	b.drain()
}

func checkAllocs(b *bench) {
	descs := []umem.Desc{{Addr: b.Region.Addr(0), Len: 100}, {Addr: b.Region.Addr(1), Len: 100}}
	PutFrame(b.Region.Bytes(0), 0, 100)
	PutFrame(b.Region.Bytes(1), 0, 100)
	rx := make([]umem.Desc, 4)
	addrs := []uint64{b.Region.Addr(umem.Frame(b.shape.Frames - 1))}
	p := b.Port
	n := 0
	allocs := testing.AllocsPerRun(200, func() {
		if p.TxRoom(len(descs)) == len(descs) {
			p.Tx(descs)
		}
		p.Kick()
		p.TxUnsent()
		n += p.Reap(b.buf[:])
		if p.FillRoom(1) == 1 {
			p.Fill(addrs)
		}
		p.Rx(rx)
		p.Wait(0)
		p.Wake()
		p.Corrupt()
		p.Caps()
	})
	if allocs != 0 {
		b.Errorf("%v allocations in each pass, want 0", allocs)
	}
	if n == 0 {
		b.Error("nothing was sent while allocations were counted")
	}
}

func checkClose(b *bench) {
	if err := b.Port.Close(); err != nil {
		b.Error(err)
	}
	b.Port.Wake() // a writer that is late
	if err := b.Port.Close(); err != nil {
		b.Errorf("closed again: %v", err)
	}
}
