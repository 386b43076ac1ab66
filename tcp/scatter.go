package tcp

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// The scatter-gather layout (XDP_USE_SG): a packet is a descriptor for its headers and one for each range of
// payload, which is sent from where its writer put it, whatever it begins at. Headers get a fresh piece of a frame for
// each transmission, so that none is written to while the kernel reads it. Nothing is copied, a frame carries
// several segments, and a segment may lie over several frames.

// metadataRoom is MetadataLen up to a cache line.
const metadataRoom = 64

// PayloadOffset is where payload begins in a frame: behind room for headers, or, where packets have several
// descriptors, at its first byte. But where the region was registered with TX metadata, the kernel wants room for it in front
// of every descriptor, whether there is a request or not (xp_aligned_validate_desc in net/xdp/xsk_queue.h).
func PayloadOffset(maxSegs int, metadata bool) int {
	switch {
	case maxSegs <= 1:
		return Headroom
	case metadata:
		return metadataRoom
	}
	return 0
}

// MaxDescs is the most descriptors that the engine makes of a packet: for headers, and for each range of payload.
const MaxDescs = 1 + maxSpans

func (c *Conn) scattered() bool { return c.cfg.MaxSegs > 1 }

// MaxParts is the most ranges of payload in a packet of so many descriptors; 0 in the linear layout.
func MaxParts(maxSegs int) int { return min(max(maxSegs-1, 0), maxSpans) }

// SegmentRoom is the payload bytes that a packet of so many descriptors over frames of chunk bytes carries in any case.
func SegmentRoom(maxSegs, chunk int) int {
	if n := MaxParts(maxSegs); n > 0 {
		return max(n-1, 1) * (chunk - metadataRoom) // it may begin anywhere in the first
	}
	return chunk - Headroom
}

// slotsPerCommit is how many segments a commit of a whole frame may begin.
func (c *Conn) slotsPerCommit() int {
	if !c.scattered() {
		return 1
	}
	return 1 + (c.pool.Region().ChunkSize()+c.mss-1)/c.mss
}

// gather is Queue of the scatter-gather layout: the last segment, if it was never sent, is filled up, and what is
// left is cut into full ones. The frame has a hold for each segment that refers to it; the first is the commit's.
func (c *Conn) gather(f umem.Frame, off, n int) bool {
	k := min(n, c.lastRoom())
	if segments := (n - k + c.mss - 1) / c.mss; segments > c.q.room() {
		return false
	}
	c.sndEnd = c.sndEnd.Add(n)
	for held := true; n > 0; held = false {
		if !held {
			c.pool.Hold(f)
		}
		if k == 0 {
			k = min(n, c.mss)
			i := c.q.take()
			c.q.slots[i].seq = c.sndEnd.Add(-n)
			c.q.push(i)
		}
		s := &c.q.slots[c.q.last]
		s.spans[s.nspans] = span{frame: f, off: uint32(off), length: uint32(k)}
		s.nspans++
		s.length += uint32(k)
		off, n, k = off+k, n-k, 0
	}
	return true
}

// lastRoom is the bytes that the last segment may still take.
func (c *Conn) lastRoom() int {
	if c.q.fresh == none {
		return 0
	}
	s := &c.q.slots[c.q.last]
	if s.has(slotFIN|slotDemoted) || int(s.nspans) >= MaxParts(c.cfg.MaxSegs) {
		return 0
	}
	return max(0, c.mss-int(s.length))
}

// headerPiece is where the headers of a packet go: its end.
func (c *Conn) headerPiece() (umem.Frame, int, bool) {
	f, off, ok := c.pool.Carve(Headroom, controlFrames)
	if !ok {
		c.stats.NoFrame++
		return umem.NoFrame, 0, false
	}
	return f, off + Headroom, true
}

// scatter makes the payload of slot s descriptors of their own.
func (c *Conn) scatter(s *slot, tx *Tx) {
	tx.Len -= s.length
	tx.Parts = int(s.nspans)
	for k, p := range s.spans[:s.nspans] {
		c.pool.Submit(p.frame)
		tx.Rest[k] = Part{Addr: c.pool.Region().Addr(p.frame) + uint64(p.off), Len: p.length, Frame: p.frame}
	}
}

// apart gives the last n bytes of a packet a descriptor of their own: a probe has the layout that payload has, so that what it proves
// holds for payload.
func (c *Conn) apart(tx *Tx, n int) {
	c.pool.Submit(tx.Frame)
	tx.Len -= uint32(n)
	tx.Parts, tx.Rest[0] = 1, Part{Addr: tx.Addr + uint64(tx.Len), Len: uint32(n), Frame: tx.Frame}
}

// spansSum sums the payload range by range; one that begins at an odd byte of the segment is swapped
// (https://www.rfc-editor.org/rfc/rfc1071#section-2, B).
func (c *Conn) spansSum(s *slot) uint32 {
	sum, odd := uint32(0), false
	for _, p := range s.spans[:s.nspans] {
		part := wire.Sum(c.spanBytes(s, p), 0)
		if odd {
			part = wire.SumSwap(part)
		}
		sum += part
		odd = odd != (p.length&1 == 1)
	}
	return uint32(wire.Fold(sum))
}
