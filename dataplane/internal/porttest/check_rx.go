package porttest

import (
	"time"

	"github.com/xsend/xsend/umem"
)

// fill gives frames first, first+1, ... to the port to receive into.
func (b *bench) fill(first umem.Frame, n int) {
	b.Helper()
	if room := b.Port.FillRoom(n); room != n {
		b.Fatalf("room for %d of %d on the fill ring", room, n)
	}
	addrs := make([]uint64, n)
	for i := range addrs {
		addrs[i] = b.Region.Addr(first + umem.Frame(i))
	}
	b.Port.Fill(addrs)
}

// receive waits for at least one frame and takes at most len(descs).
func (b *bench) receive(descs []umem.Desc) int {
	b.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if n := b.Port.Rx(descs); n > 0 {
			return n
		}
		b.Port.Wait(10 * time.Millisecond)
	}
	b.Fatal("nothing was received")
	return 0
}

// send has the peer send test frame seq.
func (b *bench) send(seq uint32, size int) {
	b.Helper()
	if err := b.Send(PutFrame(make([]byte, size), seq, size)); err != nil {
		b.Fatal(err)
	}
}

// checkRx receives many times more frames than there are to receive into: each
// once, in order, right, inside a frame that was given for it.
func checkRx(b *bench) {
	const first, lent = 100, 128
	b.fill(first, lent)
	held := map[umem.Frame]bool{} // received, not filled again
	descs := make([]umem.Desc, 48)
	for sent, seen := uint32(0), uint32(0); seen < 10*lent; {
		for ; sent < seen+64 && sent < 10*lent; sent++ {
			b.send(sent, sizeOf(sent))
		}
		clear(held)
		for _, d := range descs[:b.receive(descs)] {
			b.checkReceived(d, seen, first, lent, held)
			seen++
		}
		for f := range held {
			b.fill(f, 1)
		}
	}
	if b.Port.Corrupt() {
		b.Error("corrupt after receiving")
	}
}

func (b *bench) checkReceived(d umem.Desc, want uint32, first umem.Frame, lent int, held map[umem.Frame]bool) {
	b.Helper()
	f, ok := b.Region.FrameAt(d.Addr)
	if !ok || f < first || f >= first+umem.Frame(lent) {
		b.Fatalf("received at %#x, which is in no frame that was filled", d.Addr)
	}
	if held[f] {
		b.Fatalf("received into frame %d twice", f)
	}
	held[f] = true
	off := int(d.Addr - b.Region.Addr(f))
	if off+int(d.Len) > b.Region.ChunkSize() {
		b.Fatalf("received %d bytes at offset %d of a %d-byte chunk", d.Len, off, b.Region.ChunkSize())
	}
	if seq, err := CheckFrame(b.Region.Bytes(f)[off : off+int(d.Len)]); err != nil || seq != want {
		b.Fatalf("received frame %d (%v), want %d", seq, err, want)
	}
}

// numberAt is the number of the test frame at d; 0 where none is.
func (b *bench) numberAt(d umem.Desc) uint32 {
	f, ok := b.Region.FrameAt(d.Addr)
	if off := d.Addr - b.Region.Addr(f); ok && off+uint64(d.Len) <= uint64(b.Region.ChunkSize()) {
		seq, _ := CheckFrame(b.Region.Bytes(f)[off : off+uint64(d.Len)])
		return seq
	}
	return 0
}

// checkRxStarved sends with nothing to receive into. That is lost, or a NIC keeps
// it until there is; what comes after the fill is not lost.
func checkRxStarved(b *bench) {
	descs := make([]umem.Desc, 8)
	b.send(1, 100)
	if n := b.Port.Rx(descs); n != 0 {
		b.Fatalf("received %d frames into nothing", n)
	}
	b.fill(0, 4)
	b.send(2, 100)
	held := map[umem.Frame]bool{}
	b.receive(descs[:1])
	if b.numberAt(descs[0]) == 1 {
		b.checkReceived(descs[0], 1, 0, 4, held)
		b.receive(descs[:1])
	}
	b.checkReceived(descs[0], 2, 0, 4, held)
}

func checkFillRoom(b *bench) {
	n := b.shape.FillRing
	if room := b.Port.FillRoom(n + 5); room != n {
		b.Errorf("room for %d on an empty fill ring of %d", room, n)
	}
	b.fill(0, n-3)
	if room := b.Port.FillRoom(n); room != 3 {
		b.Errorf("room for %d after %d of %d", room, n-3, n)
	}
	b.fill(umem.Frame(n), 3)
	if room := b.Port.FillRoom(1); room != 0 {
		b.Errorf("room for %d on a full fill ring", room)
	}
}
