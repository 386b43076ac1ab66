package tcp

import (
	"math/rand/v2"
	"testing"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// scattered is a connection whose packets have several descriptors, and whose path carries
// packets larger than a frame.
func scattered(t *testing.T, mtu int) *harness {
	t.Helper()
	return established(t, func(c *Config, h *harness) {
		c.MaxSegs, c.MTU, c.InitialCwnd = 18, mtu, 64
		h.opts.MSS = uint16(mtu - 40)
	})
}

// commit writes n bytes from off of a frame on.
func (h *harness) commit(off, n int) umem.Frame {
	h.t.Helper()
	f := h.writeFrame(off, n)
	return f
}

// A segment lies over several frames, and each is held until its last byte is ACKed and every
// descriptor of it completed.
func TestScatterOneSegmentOverFrames(t *testing.T) {
	h := scattered(t, 5900)
	h.hold = true
	mss := h.c.MSS()
	var f [3]umem.Frame
	for k := range f {
		f[k] = h.commit(0, 2048)
	}
	h.transmit()
	s := h.want(1, mss, wire.FlagACK)
	if s.tx.Parts != 3 || s.tx.Rest[0].Frame != f[0] || s.tx.Rest[2].Frame != f[2] || int(s.tx.Rest[2].Len) != mss-4096 {
		t.Fatalf("%+v", s.tx)
	}
	s = h.want(1+mss, 3*2048-mss, wire.FlagACK)
	if s.tx.Parts != 1 || s.tx.Rest[0].Frame != f[2] || h.pool.InKernel(f[2]) != 2 || h.pool.InTCP(f[2]) != 2 || h.pool.InKernel(f[0]) != 1 {
		t.Fatalf("%+v, kernel %d, tcp %d", s.tx, h.pool.InKernel(f[2]), h.pool.InTCP(f[2]))
	}
	h.ack(mss)
	if h.pool.InTCP(f[0]) != 0 || h.pool.InTCP(f[2]) != 1 || h.done[f[0]] {
		t.Fatal("frames of an ACKed segment that the kernel holds")
	}
	h.complete()
	if !h.done[f[0]] || !h.done[f[1]] || h.done[f[2]] {
		t.Fatalf("back: %v", h.done)
	}
	h.ack(3 * 2048)
	if !h.done[f[2]] {
		t.Fatal("not back")
	}
}

// A frame carries several segments; a retransmission has headers of its own and touches
// nothing that the kernel may be reading.
func TestScatterSegmentsOfOneFrame(t *testing.T) {
	h := scattered(t, 576)
	mss := h.c.MSS()
	f := h.commit(0, 2048)
	h.transmit()
	var header [4]uint64
	for k := range header {
		n := min(mss, 2048-k*mss)
		s := h.want(1+k*mss, n, wire.FlagACK)
		header[k] = s.tx.Addr
		if p := s.tx.Rest[0]; s.tx.Parts != 1 || p.Frame != f || int(p.Addr-h.region.Addr(f)) != k*mss || k > 0 && header[k] == header[k-1] {
			t.Fatalf("%+v", s.tx)
		}
	}
	h.advance(Millisecond)
	h.ack(0, [2]int{mss, 2048})
	again := h.want(1, mss, wire.FlagACK)
	if again.tx.Rest[0].Addr != h.region.Addr(f) || h.c.Stats().Splits != 0 {
		t.Fatalf("%+v", again.tx)
	}
	h.ack(2048)
	if !h.done[f] {
		t.Fatal("not back")
	}
	if c, err := h.pool.Audit(); err != nil || c.Free != c.Total {
		t.Fatalf("%+v, %v", c, err)
	}
}

// Small commits fill up a segment that was not sent yet, as far as a packet has descriptors; what was sent
// is left alone.
func TestScatterJoins(t *testing.T) {
	h := scattered(t, 1500)
	for range 6 {
		h.commit(7, 101)
	}
	h.transmit()
	h.want(1, 404, wire.FlagACK)
	h.want(405, 202, wire.FlagACK)
	h.commit(0, 10)
	h.transmit()
	h.want(607, 10, wire.FlagACK)
	h.ack(616)
}

// The sum of ranges of any lengths from anywhere in their frames is that of the bytes in one piece
// (https://www.rfc-editor.org/rfc/rfc1071#section-2, B); the cuts are random.
func TestScatterSum(t *testing.T) {
	h := scattered(t, 1500)
	r := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var s slot
		var flat []byte
		for s.nspans = 0; int(s.nspans) < 1+r.IntN(maxSpans); s.nspans++ {
			n := 1 + r.IntN(600)
			p := span{frame: umem.Frame(r.IntN(16)), off: uint32(r.IntN(1024)), length: uint32(n)}
			b := h.pool.Bytes(p.frame)[p.off : p.off+p.length]
			b[r.IntN(n)] = byte(r.Uint32())
			s.spans[s.nspans] = p
			s.length += p.length
		}
		for _, p := range s.spans[:s.nspans] { // ranges may overlap: read them when all are written
			flat = append(flat, h.pool.Bytes(p.frame)[p.off:p.off+p.length]...)
		}
		if got, want := wire.Fold(h.c.spansSum(&s)), wire.Fold(wire.Sum(flat, 0)); got != want {
			t.Fatalf("%d ranges: %#x, flat %#x", s.nspans, got, want)
		}
	}
}

// Without a frame for headers nothing goes, and it goes when there is one.
func TestScatterWithoutAFrame(t *testing.T) {
	h := scattered(t, 1500)
	h.commit(0, 500)
	hoard := h.starve(controlFrames)
	h.transmit()
	h.wantNothing()
	if n := h.c.Stats().NoFrame; n != 1 {
		t.Errorf("%d times no frame", n)
	}
	for _, f := range hoard {
		h.pool.Return(f)
	}
	h.advance(Millisecond)
	h.want(1, 500, wire.FlagACK)
	h.ack(500)
}

// Packets that could not carry a full segment are refused.
func TestScatterRefused(t *testing.T) {
	h := newHarness(t, nil)
	for _, c := range []struct {
		mtu, segs int
		ok        bool
	}{{9000, 18, false}, {5900, 18, true}, {3000, 1, false}, {3000, 2, false}, {3000, 4, true}, {1500, 2, true}} {
		_, err := New(Config{Flow: testFlow, MTU: c.mtu, MaxSegs: c.segs}, h.pool)
		if (err == nil) != c.ok {
			t.Errorf("MTU %d, %d descriptors: %v", c.mtu, c.segs, err)
		}
	}
}

// A probe is laid out as payload is: what a canary proves holds for both.
func TestScatterProbe(t *testing.T) {
	h := scattered(t, 1500)
	h.hold = true
	var tx Tx
	if !h.c.emitGarbage(h.now, &tx) {
		t.Fatal("no probe")
	}
	if tx.Parts != 1 || tx.Rest[0].Len != 1 || tx.Rest[0].Frame != tx.Frame || h.pool.InKernel(tx.Frame) != 2 {
		t.Fatalf("%+v, kernel %d", tx, h.pool.InKernel(tx.Frame))
	}
	h.take(tx)
	h.complete()
	h.want(0, 1, wire.FlagACK)
	if c, _ := h.pool.Audit(); c.Free != c.Total {
		t.Fatalf("%+v", c)
	}
}

// Where payload begins, how many ranges a packet may have, and what a full segment needs of them.
func TestScatterNumbers(t *testing.T) {
	for _, c := range []struct {
		segs     int
		metadata bool
		offset   int
		parts    int
		room     int
	}{
		{0, false, 256, 0, 2048 - 256}, {1, false, 256, 0, 2048 - 256}, {1, true, 256, 0, 2048 - 256}, {2, false, 0, 1, 2048 - 64}, {2, true, 64, 1, 2048 - 64},
		{3, true, 64, 2, 2048 - 64}, {4, false, 0, 3, 2 * (2048 - 64)}, {5, false, 0, 4, 3 * (2048 - 64)}, {18, true, 64, 4, 3 * (2048 - 64)},
	} {
		if off, parts, room := PayloadOffset(c.segs, c.metadata), MaxParts(c.segs), SegmentRoom(c.segs, 2048); off != c.offset || parts != c.parts || room != c.room {
			t.Errorf("%+v: offset %d, %d parts, %d bytes", c, off, parts, room)
		}
	}
	if MaxDescs != 1+MaxParts(100) {
		t.Errorf("at most %d descriptors for %d parts", MaxDescs, MaxParts(100))
	}
}

// Room counts whole frames: each may begin a segment more than its bytes fill. Queue refuses what would need more
// segments than there are, and then nothing has happened.
func TestScatterRoom(t *testing.T) {
	h := scattered(t, 576)
	mss, slots := h.c.MSS(), h.c.q.room()
	most := 1 + (2048+mss-1)/mss
	if h.c.Room() != slots/most {
		t.Fatalf("room for %d commits with %d segments of %d bytes", h.c.Room(), slots, mss)
	}
	h.pathMTU(minMTU)
	f, _ := h.pool.Lend()
	for i := range h.region.WriterBytes(f) {
		h.region.WriterBytes(f)[i] = byte(i)
	}
	h.pool.Commit(f)
	for h.c.q.room() > 3 {
		h.c.q.nfree-- // somebody else has them
		slots--
	}
	taken := h.c.q.nfree
	if end := h.c.sndEnd; h.c.Queue(f, 0, 3*mss+1) || h.c.sndEnd != end || h.c.q.nfree != taken || h.pool.InTCP(f) != 1 {
		t.Fatal("four segments where there are three")
	}
	if !h.c.Queue(f, 0, 3*mss) || h.c.q.room() != 0 || h.pool.InTCP(f) != 3 {
		t.Fatalf("three segments: %d left, %d holds", h.c.q.room(), h.pool.InTCP(f))
	}
	for h.c.q.nfree < 256-3 {
		h.c.q.nfree++
	}
	h.out = nil
	h.transmit()
	h.wantData(0, 3*mss)
	h.ack(3 * mss)
}

// One descriptor in each packet, of a probe too, unless there may be more.
func TestScatterFromTwoOn(t *testing.T) {
	for _, segs := range []int{0, 1, 2} {
		h := established(t, func(c *Config, _ *harness) { c.MaxSegs = segs })
		h.writeFrame(PayloadOffset(segs, false), 100)
		h.transmit()
		s := h.want(1, 100, wire.FlagACK)
		var probe Tx
		if !h.c.emitGarbage(h.now, &probe) {
			t.Fatal("no probe")
		}
		if want := MaxParts(segs); s.tx.Parts != want || probe.Parts != want {
			t.Errorf("%d descriptors: %d parts of a segment, %d of a probe", segs, s.tx.Parts, probe.Parts)
		}
		h.take(probe)
		h.out = nil
		h.ack(100)
	}
}

// What fills up the last segment needs none of its own.
func TestScatterJoinsWithoutRoom(t *testing.T) {
	h := scattered(t, 576)
	mss := h.c.MSS()
	h.writeFrame(0, 10)
	taken := h.c.q.room() - 1
	h.c.q.nfree -= taken // somebody else has them
	h.writeFrame(0, mss) // fails the test where it is refused
	h.c.q.nfree += taken
	h.transmit()
	h.wantData(0, mss+10)
	h.ack(mss + 10)
}
