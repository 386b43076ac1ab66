package tcp

import (
	"slices"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// A segment that is ACKed in part and then has to be cut must not leave a piece in
// front that is ACKed already: with a window of one segment that piece would be sent
// for ever, and what the peer lacks never.
func TestCutAfterPartialAck(t *testing.T) {
	h := established(t, nil)
	h.write(2 * mss)
	h.wantData(0, 2*mss)
	h.ack(600)
	h.pathMTU(minMTU) // 524 bytes fit
	h.want(601, 524, wire.FlagACK)
	h.want(1125, mss-1124, wire.FlagACK)
	h.want(mss+1, 524, wire.FlagACK)
	h.want(mss+525, 524, wire.FlagACK)
	h.want(mss+1049, mss-1048, wire.FlagACK)
	h.wantTailProbe(mss+1048, mss-1048)
	h.advance(250 * Millisecond)
	h.want(601, 524, wire.FlagACK)
	h.ack(2 * mss)
	if len(h.done) != 2 {
		t.Fatalf("%d frames back", len(h.done))
	}
}

// gathered is a segment of spans of these lengths, each from a frame of its own, first
// byte at the headroom, in a queue of its own.
func gathered(h *harness, lengths ...int) int32 {
	h.t.Helper()
	i := h.c.q.take()
	s := &h.c.q.slots[i]
	s.seq = h.c.sndEnd
	for k, n := range lengths {
		f, _ := h.pool.Lend()
		b := h.region.WriterBytes(f)[payloadAt : payloadAt+n]
		for j := range b {
			b[j] = h.next
			h.next++
		}
		h.pool.Commit(f)
		s.spans[k] = span{frame: f, off: uint32(payloadAt), length: uint32(n)}
		s.length += uint32(n)
	}
	s.nspans = uint8(len(lengths))
	h.c.q.push(i)
	h.c.sndEnd = h.c.sndEnd.Add(int(s.length))
	return i
}

// A segment is cut at any byte: the parts together are what it was, each frame is held
// by as many parts as refer to it, and the bytes go out as they were.
func TestCutAnywhere(t *testing.T) {
	const total = 10 + 1 + 20 + 5
	for n := 1; n < total; n++ {
		h := established(t, func(_ *Config, h *harness) { h.wnd = 0 })
		i := gathered(h, 10, 1, 20, 5)
		frames := h.c.q.slots[i].spans
		if !h.c.cut(i, n) {
			t.Fatalf("cut at %d refused", n)
		}
		j := h.c.q.slots[i].next
		a, b := &h.c.q.slots[i], &h.c.q.slots[j]
		if a.seqLen() != n || b.seqLen() != total-n || b.seq != a.end() || b.end() != h.c.sndEnd {
			t.Fatalf("cut at %d: %+v and %+v", n, a, b)
		}
		for k, p := range frames {
			at := [...]int{0, 10, 11, 31}[k]
			want := 1
			if n > at && n < at+int(p.length) {
				want = 2
			}
			if h.pool.InTCP(p.frame) != want {
				t.Fatalf("cut at %d: frame %d is held %d times", n, k, h.pool.InTCP(p.frame))
			}
		}
		h.wnd = 65535
		h.ack(0)
		h.want(1, n, wire.FlagACK)
		h.want(1+n, total-n, wire.FlagACK)
		h.ack(n)
		h.ack(total)
		if len(h.done) != 4 || h.pool.Free() != h.pool.Len() {
			t.Fatalf("cut at %d: %d frames back, %d free", n, len(h.done), h.pool.Free())
		}
	}
}

// Nothing is cut at its ends, beyond them, or while the kernel holds it.
func TestCutRefused(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.wnd = 100; h.opts.HasWScale = false; h.hold = true })
	h.write(100)
	h.want(1, 100, wire.FlagACK)
	i := h.c.q.head
	h.c.q.slots[i].flags &^= slotFlight // as far as lists go it may be cut
	h.c.rack.flight.remove(h.c.q.slots, i)
	for _, n := range []int{-1, 0, 50, 100, 101} {
		if h.c.cut(i, n) {
			t.Errorf("cut at %d", n)
		}
	}
	h.held, h.hold = nil, false
	h.c.q.slots[i].out = 0
	for _, n := range []int{-1, 0, 100, 101} {
		if h.c.cut(i, n) {
			t.Errorf("cut at %d", n)
		}
	}
	if h.c.Stats().Cuts != 0 {
		t.Fatal("counted")
	}
}

// A lost segment that is cut stays in its place among the lost.
func TestCutLost(t *testing.T) {
	h := flightOf(t, 4, func(_ *Config, h *harness) { h.hold = true })
	h.ack(0, [2]int{3 * mss, 4 * mss})
	h.advance(Millisecond) // three are lost, and held
	l := &h.c.rack.lost
	if l.segments != 3 || l.bytes != 3*mss {
		t.Fatalf("%+v", l)
	}
	second := h.c.q.slots[l.oldest].newer
	h.c.q.slots[second].out = 0
	if !h.c.cut(second, 500) {
		t.Fatal("refused")
	}
	var got []int
	for i := l.oldest; i != none; i = h.c.q.slots[i].newer {
		got = append(got, h.c.q.slots[i].seqLen())
	}
	if l.bytes != 3*mss || !slices.Equal(got, []int{mss, 500, mss - 500, mss}) {
		t.Fatalf("%v, %d bytes", got, l.bytes)
	}
	if err := h.c.Audit(); err != nil {
		t.Fatal(err)
	}
	h.c.q.slots[second].out = 1
	h.ack(4 * mss)
	h.out = nil
}

// A piece that is cut off forgets the sum of the whole.
func TestCutForgetsTheSum(t *testing.T) {
	h := flightOf(t, 1, nil)
	h.advance(250 * Millisecond)
	h.want(1, mss, wire.FlagACK)
	h.pathMTU(1000)
	h.want(1, 1000-52, wire.FlagACK) // the harness checks each sum
	h.want(1+1000-52, mss-1000+52, wire.FlagACK)
	h.ack(mss)
}

// Where the last slot is taken the cut of the first segment is refused too.
func TestCutWithoutSlot(t *testing.T) {
	h := established(t, func(c *Config, h *harness) { c.SendSlots = cutReserve + 1; h.wnd = 0 })
	h.ack(0)
	h.writeFrame(Headroom, 100)
	for k := range cutReserve {
		if !h.c.cut(h.c.q.head, 99-k) {
			t.Fatalf("cut %d refused", k)
		}
	}
	if h.c.cut(h.c.q.head, 10) {
		t.Fatal("cut without a slot")
	}
	h.check()
}

// When the bytes of a piece arrived is as unknown as when those of the whole did.
func TestCutOfWhatWasReneged(t *testing.T) {
	h := established(t, func(_ *Config, h *harness) { h.wnd = 0 })
	i := gathered(h, 100)
	h.c.q.slots[i].flags |= slotReneged
	if !h.c.cut(i, 50) {
		t.Fatal("refused")
	}
	for _, i := range []int32{i, h.c.q.slots[i].next} {
		if !h.c.q.slots[i].has(slotReneged) {
			t.Errorf("segment %d forgets it", h.c.q.slots[i].seq)
		}
	}
	i = gathered(h, 100)
	if !h.c.cut(i, 50) || h.c.q.slots[h.c.q.slots[i].next].has(slotReneged) {
		t.Error("of one that was not reneged")
	}
}

// What an ACK left of the first segment may be just as long as the path carries.
func TestCutLeavesAWholeSegment(t *testing.T) {
	h := established(t, nil)
	h.write(mss)
	h.wantData(0, mss)
	h.ack(mss - 524)
	h.pathMTU(minMTU)
	h.want(mss-524+1, 524, wire.FlagACK)
	h.ack(mss)
}
