package tcp

import "github.com/xsend/xsend/internal/wire"

// sackBlock is a block that the peer reported, and the segments that lie wholly in it:
// all of them, from first to last, are marked.
type sackBlock struct {
	from, to    Seq
	first, last Ref
}

// sackBlocks are those of the last ACK that had any. The next ACK repeats or extends
// them, so that only what is new has to be walked over.
type sackBlocks struct {
	block [wire.MaxSACKBlocks]sackBlock
	n     int
}

// insert keeps the blocks in order of sequence.
func (b *sackBlocks) insert(from, to Seq) {
	i := b.n
	for ; i > 0 && from.Before(b.block[i-1].from); i-- {
		b.block[i] = b.block[i-1]
	}
	b.block[i] = sackBlock{from: from, to: to}
	b.n++
}

// receiveSACK marks what the peer says that it holds beyond its cumulative ACK
// (https://www.rfc-editor.org/rfc/rfc2018#section-4). SACKed is not ACKed: nothing is given back.
func (c *Conn) receiveSACK(now Time, seg *wire.Segment, ev *ackEvent) {
	var blocks sackBlocks
	sack := seg.Options.SACK[:min(seg.Options.NumSACK, wire.MaxSACKBlocks)]
	c.receiveDSACK(sack, ev)
	c.rack.noteDSACK(ev.dsack, c.sndUna, c.sndNxt)
	for _, b := range sack {
		from, to := Seq(b.Start), Seq(b.End)
		switch {
		case !from.Before(to) || c.sndNxt.Before(to) || from.Before(c.sndUna):
		default:
			blocks.insert(from, to)
		}
	}
	for k := range blocks.n {
		c.sackRange(now, &blocks.block[k], ev)
	}
	if blocks.n > 0 {
		c.rack.blocks = blocks
	}
}

// receiveDSACK looks for a duplicate reported by the first block: it is below the
// cumulative ACK, or inside the second block
// (https://www.rfc-editor.org/rfc/rfc2883#section-4). More duplicates than we sent again are the network's own
// and say nothing about us.
func (c *Conn) receiveDSACK(sack []wire.SACKBlock, ev *ackEvent) {
	if len(sack) == 0 {
		return
	}
	from, to := Seq(sack[0].Start), Seq(sack[0].End)
	below := to.AtMost(c.sndUna)
	inside := len(sack) > 1 && Seq(sack[1].Start).AtMost(from) && to.AtMost(Seq(sack[1].End))
	if !from.Before(to) || from.Before(c.sndUna-Seq(c.maxSndWnd)) || c.sndNxt.Before(to) || !below && !inside {
		return
	}
	if to == c.asked && to.Sub(from) == len(probeByte) {
		return // that is what a probe's answer looks like
	}
	c.stats.DSACKs++
	if c.stats.DSACKs > c.stats.Retransmits {
		return
	}
	ev.dsack, ev.dsackEnd = true, to
	c.undo.duplicated(from, (to.Sub(from)+c.mss-1)/c.mss)
}

// sackRange marks the segments that lie wholly in the block.
func (c *Conn) sackRange(now Time, b *sackBlock, ev *ackEvent) {
	i := c.slotNear(b.from)
	for ; i != none && i != c.q.fresh && c.q.slots[i].seq.Before(b.from); i = c.q.slots[i].next {
	}
	for i != none && i != c.q.fresh && c.q.slots[i].end().AtMost(b.to) {
		if b.first == (Ref{}) {
			b.first = c.q.ref(i)
		}
		if c.q.slots[i].has(slotSACKed) {
			i = c.runEnd(i)
		} else {
			c.markSACKed(now, i, ev)
		}
		b.last = c.q.ref(i)
		i = c.q.slots[i].next
	}
}

// markSACKed notes that slot i was delivered.
func (c *Conn) markSACKed(now Time, i int32, ev *ackEvent) {
	s := &c.q.slots[i]
	c.leaveFlight(i)
	c.dropTail(s)
	s.flags |= slotSACKed
	c.rack.sacked++
	ev.delivered += s.seqLen()
	ev.sample(now, s)
	c.rack.delivered(now, s, ev.echo)
	c.rate.arrived(now, s, &ev.rate)
	ev.original = ev.original || c.original(s)
}

// slotNear is the slot from which it is nearest to the segment that begins at seq, or
// would: the first of the queue, or one at the edge of a block that is known, moved
// back so that it does not lie behind seq.
func (c *Conn) slotNear(seq Seq) int32 {
	best, distance := c.q.head, 0
	if best != none {
		distance = seq.Sub(c.q.slots[best].seq)
	}
	for k := range c.rack.blocks.n {
		b := &c.rack.blocks.block[k]
		for _, r := range [...]Ref{b.first, b.last} {
			i := c.q.at(r)
			if i == none {
				continue
			}
			if d := seq.Sub(c.q.slots[i].seq); max(d, -d) < distance {
				best, distance = i, max(d, -d)
			}
		}
	}
	for best != none && seq.Before(c.q.slots[best].seq) {
		best = c.q.slots[best].prev
	}
	if best == none {
		return c.q.head
	}
	return best
}

// runEnd is the last segment of the known block that slot i, SACKed, lies in; i itself
// where no block is known.
func (c *Conn) runEnd(i int32) int32 {
	seq := c.q.slots[i].seq
	for k := range c.rack.blocks.n {
		b := &c.rack.blocks.block[k]
		if j := c.q.at(b.last); j != none && b.from.AtMost(seq) && seq.Before(c.q.slots[j].seq) {
			return j
		}
	}
	return i
}
