package tcp

import "github.com/xsend/xsend/internal/wire"

// receiveSACK marks what the peer says that it holds beyond its cumulative ACK
// (https://www.rfc-editor.org/rfc/rfc2018#section-4). SACKed is not ACKed: nothing is given back.
func (c *Conn) receiveSACK(now Time, seg *wire.Segment, ev *ackEvent) {
	for k := range min(seg.Options.NumSACK, len(seg.Options.SACK)) {
		b := seg.Options.SACK[k]
		from, to := Seq(b.Start), Seq(b.End)
		if !from.Before(to) || c.sndNxt.Before(to) {
			continue
		}
		if from.Before(c.sndUna) || from.Before(Seq(seg.Ack)) {
			c.stats.DSACKs++ // https://www.rfc-editor.org/rfc/rfc2883#section-4: a duplicate arrived
			continue
		}
		c.sackRange(now, from, to, ev)
	}
}

// sackRange marks the segments that lie wholly in the block.
func (c *Conn) sackRange(now Time, from, to Seq, ev *ackEvent) {
	i := c.q.head
	if h := c.q.at(c.rack.sackHint); h != none && c.q.slots[h].seq.AtMost(from) {
		i = h
	}
	for ; i != none && i != c.q.fresh; i = c.q.slots[i].next {
		s := &c.q.slots[i]
		if !s.seq.Before(to) {
			return
		}
		if s.has(slotSACKed) || s.seq.Before(from) || to.Before(s.end()) {
			continue
		}
		c.leaveFlight(i)
		c.dropTail(s)
		s.flags |= slotSACKed
		c.rack.sacked++
		ev.delivered += s.seqLen()
		ev.sample(now, s)
		c.rack.delivered(now, s, ev.echo)
		if h := c.q.at(c.rack.sackHint); h == none || c.q.slots[h].seq.Before(s.seq) {
			c.rack.sackHint = c.q.ref(i)
		}
	}
}
