package tcp

import "github.com/xsend/xsend/umem"

// Demotion moves the bytes of segments out of their frames, into an arena that no NIC reads. The frames lose the hold that the
// missing ACK was; what the kernel still reads it goes on reading, and it holds the frame until then. A demoted
// segment has the same place in the send queue, the same sum and the same ranges as before, but in blocks of the arena: it
// is ACKed, SACKed, cut and sent again like any other. Each of its transmissions is copied into frames of the engine's that
// are free when the kernel has completed them, so that nothing of it is kept between two.

const (
	// arenaOut is the most descriptors of demoted segments that a connection has with the kernel at a time. They
	// take frames that nobody else then has.
	arenaOut = 16
	// leastReserve is the reserve whose half has room for a packet of most descriptors: the other half is left to everything else.
	leastReserve = 2 * MaxDescs
)

// Demoting reports that there is something for Demote to do.
func (c *Conn) Demoting() bool { return c.hold.on && c.state != Closed && c.firstHeld() != none }

// Demote moves at least most bytes of payload into the arena, in whole segments from the first in the queue on, or all that
// there is, and returns how many. Where the arena is full the connection is reset, and Err a *HoldError.
func (c *Conn) Demote(now Time, most int) int {
	if !c.hold.on {
		return 0
	}
	n := 0
	for i := c.firstHeld(); i != none && n < most; i = c.firstHeld() {
		s := &c.q.slots[i]
		if !c.demote(s) {
			first, _ := c.cfg.Hold.limits()
			c.exceed(now, HoldArenaFull, first)
			return n
		}
		c.hold.last = c.q.ref(i)
		n += int(s.length)
	}
	return n
}

// firstHeld is the first segment whose payload is in frames: behind those that are demoted.
func (c *Conn) firstHeld() int32 {
	i := c.q.head
	if last := c.q.at(c.hold.last); last != none {
		i = last
	}
	for i != none && (c.q.slots[i].has(slotDemoted) || c.q.slots[i].nspans == 0) {
		i = c.q.slots[i].next
	}
	return i
}

// demote copies the payload of one segment, and gives its frames up. False, and nothing happened, where the arena is full.
func (c *Conn) demote(s *slot) bool {
	var spans [maxSpans]span
	n := uint8(0)
	for _, p := range s.spans[:s.nspans] {
		b := c.pool.Bytes(p.frame)[p.off : p.off+p.length]
		for len(b) > 0 {
			room, fresh, ok := c.openBlock()
			if !ok {
				for _, p := range spans[:n] {
					c.cfg.Arena.Drop(umem.Block(p.frame))
				}
				c.closeBlock()
				return false
			}
			k := copy(room, b)
			b = b[k:]
			if n > 0 && !fresh { // right behind the range before
				spans[n-1].length += uint32(k)
			} else {
				c.cfg.Arena.Hold(c.hold.open)
				spans[n] = span{frame: umem.Frame(c.hold.open), off: uint32(c.hold.filled), length: uint32(k)}
				n++
			}
			c.hold.filled += k
		}
	}
	for _, p := range s.spans[:s.nspans] {
		c.pool.Drop(p.frame)
	}
	c.dropTail(s)
	s.spans, s.nspans = spans, n
	s.flags |= slotDemoted
	c.hold.segments++
	c.hold.bytes += int(s.length)
	c.stats.BytesDemoted += uint64(s.length)
	return true
}

// openBlock is what is left of the block that is being filled; fresh where it was just begun.
func (c *Conn) openBlock() (room []byte, fresh, ok bool) {
	h := &c.hold
	if h.open == umem.NoBlock || h.filled == umem.BlockSize {
		b, ok := c.cfg.Arena.Alloc()
		if !ok {
			return nil, false, false
		}
		c.closeBlock()
		h.open, h.filled, fresh = b, 0, true
	}
	return c.cfg.Arena.Bytes(h.open)[h.filled:], fresh, true
}

// closeBlock gives up the hold that keeps a block for what is demoted next.
func (c *Conn) closeBlock() {
	if c.hold.open != umem.NoBlock {
		c.cfg.Arena.Drop(c.hold.open)
		c.hold.open, c.hold.filled = umem.NoBlock, 0
	}
}

// spanBytes is the payload of one range.
func (c *Conn) spanBytes(s *slot, p span) []byte {
	if s.has(slotDemoted) {
		return c.cfg.Arena.Bytes(umem.Block(p.frame))[p.off : p.off+p.length]
	}
	return c.pool.Bytes(p.frame)[p.off : p.off+p.length]
}

// holdSpan counts one more segment over the range p of s.
func (c *Conn) holdSpan(s *slot, p span) {
	if s.has(slotDemoted) {
		c.cfg.Arena.Hold(umem.Block(p.frame))
		return
	}
	c.pool.Hold(p.frame)
}

// cutDemoted notes that a demoted segment became two.
func (c *Conn) cutDemoted(s, r *slot) {
	if s.has(slotDemoted) {
		r.flags |= slotDemoted
		c.hold.segments++
	}
}

// dropSpans gives up what the segment holds.
func (c *Conn) dropSpans(s *slot) {
	if !s.has(slotDemoted) {
		for k := range s.nspans {
			c.pool.Drop(s.spans[k].frame)
		}
		return
	}
	for k := range s.nspans {
		c.cfg.Arena.Drop(umem.Block(s.spans[k].frame))
	}
	c.hold.segments--
	c.hold.bytes -= int(s.length)
	if c.state == Closed {
		c.stats.BytesDemotedAborted += uint64(s.length)
	} else {
		c.stats.BytesDemotedAcked += uint64(s.length)
	}
	if c.hold.segments == 0 {
		c.closeBlock()
	}
}

// copySpans copies the payload of s to dst.
func (c *Conn) copySpans(s *slot, dst []byte) {
	for _, p := range s.spans[:s.nspans] {
		dst = dst[copy(dst, c.spanBytes(s, p)):]
	}
}

// arenaFrame is packetFrame of a demoted segment: in the linear layout a frame with a copy of the payload, else where the
// headers go. It leaves frames to those that have nothing in the arena.
func (c *Conn) arenaFrame(s *slot) (umem.Frame, int, bool) {
	need := 1
	if c.scattered() {
		need += (int(s.length) + c.partRoom() - 1) / c.partRoom()
	}
	if c.hold.out+need > arenaOut || c.pool.Free()-need < max(controlFrames, c.pool.Reserve()/2) {
		c.stats.ArenaWaits++
		return umem.NoFrame, 0, false
	}
	if c.scattered() {
		return c.headerPiece()
	}
	f, _ := c.pool.Alloc() // one is free
	c.copySpans(s, c.pool.Bytes(f)[Headroom:])
	return f, Headroom, true
}

// partRoom is the payload that a frame of the engine's carries as a descriptor of its own.
func (c *Conn) partRoom() int { return c.pool.Region().ChunkSize() - metadataRoom }

// scatterArena is scatter of a demoted segment: its payload goes into frames of the engine's, filled up one after the other.
func (c *Conn) scatterArena(s *slot, tx *Tx) {
	tx.Len -= s.length
	tx.Parts = 0
	var b []byte // what is left of the frame at hand
	for _, p := range s.spans[:s.nspans] {
		for src := c.spanBytes(s, p); len(src) > 0; {
			if len(b) == 0 {
				f, _ := c.pool.Alloc() // arenaFrame counted them
				c.pool.Submit(f)
				b = c.pool.Bytes(f)[metadataRoom:]
				tx.Rest[tx.Parts] = Part{Addr: c.pool.Region().Addr(f) + metadataRoom, Frame: f}
				tx.Parts++
			}
			k := copy(b, src)
			src, b = src[k:], b[k:]
			tx.Rest[tx.Parts-1].Len += uint32(k)
		}
	}
}

// noteArena notes that tx carries a demoted segment.
func (c *Conn) noteArena(tx *Tx) {
	tx.Ref.arena = true
	c.hold.out += 1 + tx.Parts
	c.stats.ArenaSegments++
}
