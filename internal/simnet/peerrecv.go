package simnet

import (
	"slices"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// piece is bytes that arrived before those in front of them.
type piece struct {
	seq   uint32
	bytes []byte
	stamp uint64 // when, to report the most recent first
}

func (p *piece) end() uint32 { return p.seq + uint32(len(p.bytes)) }

// takeText is the seventh and eighth check: payload, then FIN.
func (c *PeerConn) takeText(seg *wire.Segment) {
	if seg.Len() == 0 {
		return
	}
	c.takeMark(seg)
	if c.random(c.cfg.Renege) {
		c.pieces = nil // https://www.rfc-editor.org/rfc/rfc2018#section-8 allows it
	}
	held := len(c.pieces) > 0
	seq, b := seg.Seq, seg.Payload
	end := seq + uint32(len(b))
	if before(seq, c.rcvNxt) {
		c.noteDuplicate(seq, later(seq, earlier(end, c.rcvNxt)))
		cut := min(c.rcvNxt-seq, uint32(len(b)))
		seq, b = seq+cut, b[cut:]
	}
	if before(c.rcvAdv, end) {
		b = b[:max(0, int32(c.rcvAdv-seq))]
	}
	if seg.Flags&wire.FlagFIN != 0 && seq+uint32(len(b)) == end {
		c.finSeq, c.sawFIN = end, true
	}
	inOrder := seq == c.rcvNxt && len(b) > 0
	if inOrder {
		c.deliver(b)
		c.joinPieces()
	} else if len(b) > 0 {
		c.keep(seq, b)
	}
	c.takeFIN()
	if c.muted || c.reset {
		return
	}
	c.acknowledge(inOrder && !held && !c.sawFIN)
}

func earlier(a, b uint32) uint32 {
	if before(a, b) {
		return a
	}
	return b
}

// acknowledge is https://www.rfc-editor.org/rfc/rfc5681#section-4.2: at once for what is out of order or
// fills a gap, every second segment or after a delay otherwise.
func (c *PeerConn) acknowledge(orderly bool) {
	c.unacked++
	if !orderly && !c.cfg.AckLazy || c.unacked >= c.cfg.AckEvery {
		c.ack()
		return
	}
	due := c.p.w.now + c.cfg.AckDelay
	if tick := c.cfg.AckTick; tick > 0 {
		due = (c.p.w.now/tick + 1) * tick
		c.p.Ticks++
	}
	c.timers[timerAck] = min(c.timers[timerAck], due)
}

// deliver takes bytes in order: compares them with the promise and gives them to
// the application.
func (c *PeerConn) deliver(b []byte) {
	cfg := c.cfg
	if n := c.promise.Wrong(b, uint64(c.received)); n > 0 {
		if c.wrong == 0 {
			c.firstWrong = c.received + c.promise.firstWrong(b, uint64(c.received))
		}
		c.wrong += int64(n)
	}
	c.rcvNxt += uint32(len(b))
	was := c.received
	c.received += int64(len(b))
	c.unread += len(b)
	crossed := func(at int64) bool { return at > 0 && was < at && at <= c.received }
	if crossed(cfg.StallAt) {
		c.stalled, c.resumeAt = true, tcp.Never
		if cfg.StallFor > 0 {
			c.resumeAt = c.p.w.now + cfg.StallFor
			c.timers[timerRead] = min(c.timers[timerRead], c.resumeAt)
		}
	}
	if cfg.ReadEvery == 0 && !c.stalled {
		c.unread = 0
	}
	if crossed(cfg.FinAt) {
		c.closing = true
	}
	c.muted = c.muted || crossed(cfg.SilentAt)
	if crossed(cfg.ResetAt) {
		c.put(wire.FlagRST|wire.FlagACK, c.sndNxt, nil, nil)
		c.drop()
	}
}

// read is the application reading.
func (c *PeerConn) read() {
	cfg := c.cfg
	if c.stalled {
		if c.p.w.now < c.resumeAt {
			if c.resumeAt != tcp.Never {
				c.timers[timerRead] = c.resumeAt
			}
			return
		}
		c.stalled = false
	}
	n := c.unread
	if cfg.ReadEvery > 0 {
		n = min(n, cfg.ReadSize)
		if !c.gotFIN || c.unread > n {
			c.timers[timerRead] = c.p.w.now + cfg.ReadEvery
		}
	}
	c.unread -= n
	// https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2: announced only where it is worth it.
	gain := int(c.rcvNxt+uint32(c.free())) - int(c.rcvAdv)
	if gain >= min(cfg.Buffer/2, c.cfg.MSS) && gain > 0 {
		c.p.Updates++
		c.ack()
	}
}

func (c *PeerConn) free() int { return max(0, c.cfg.Buffer-c.unread) }

// keep puts what is out of order between the pieces that are there; what was there
// first stays.
func (c *PeerConn) keep(seq uint32, b []byte) {
	c.stamp++
	all := c.turned[:0]
	for i := range c.pieces {
		p := &c.pieces[i]
		if len(b) > 0 && before(seq, p.seq) {
			n := min(uint32(len(b)), p.seq-seq)
			all = append(all, piece{seq, slices.Clone(b[:n]), c.stamp})
			seq, b = seq+n, b[n:]
		}
		if len(b) > 0 && before(seq, p.end()) {
			n := min(uint32(len(b)), p.end()-seq)
			c.noteDuplicate(seq, seq+n)
			seq, b = seq+n, b[n:]
			p.stamp = c.stamp
		}
		all = append(all, *p)
	}
	if len(b) > 0 {
		all = append(all, piece{seq, slices.Clone(b), c.stamp})
	}
	c.pieces, c.turned = all, c.pieces
}

// joinPieces delivers the pieces that are in order now.
func (c *PeerConn) joinPieces() {
	for len(c.pieces) > 0 && !before(c.rcvNxt, c.pieces[0].seq) {
		p := c.pieces[0]
		c.pieces = c.pieces[1:]
		if skip := c.rcvNxt - p.seq; skip < uint32(len(p.bytes)) {
			c.deliver(p.bytes[skip:])
		}
	}
}

func (c *PeerConn) takeFIN() {
	if !c.sawFIN || c.gotFIN || c.rcvNxt != c.finSeq {
		return
	}
	c.gotFIN = true
	c.rcvNxt++
	if !c.cfg.NoFIN && !c.closing {
		c.timers[timerClose] = c.p.w.now + c.cfg.FinDelay
	}
	c.settle()
}

// noteDuplicate remembers what came twice: the next ACK says so
// (https://www.rfc-editor.org/rfc/rfc2883#section-4).
func (c *PeerConn) noteDuplicate(from, to uint32) {
	if c.sack && !c.cfg.NoDSACK && before(from, to) {
		c.dsack = wire.SACKBlock{Start: from, End: to}
	}
}

// sackBlocks are the blocks of the next ACK: a duplicate first, then the block with
// what arrived last, then older ones (https://www.rfc-editor.org/rfc/rfc2018#section-4).
func (c *PeerConn) sackBlocks() []wire.SACKBlock {
	if !c.sack {
		return nil
	}
	type block struct {
		wire.SACKBlock
		stamp uint64
	}
	var all []block
	for i := range c.pieces {
		p := &c.pieces[i]
		if n := len(all); n > 0 && all[n-1].End == p.seq {
			all[n-1].End, all[n-1].stamp = p.end(), max(all[n-1].stamp, p.stamp)
			continue
		}
		all = append(all, block{wire.SACKBlock{Start: p.seq, End: p.end()}, p.stamp})
	}
	slices.SortStableFunc(all, func(a, b block) int { return int(b.stamp) - int(a.stamp) })
	var out []wire.SACKBlock
	if c.dsack != (wire.SACKBlock{}) {
		out = append(out, c.dsack)
		c.dsack = wire.SACKBlock{}
	}
	for _, b := range all {
		out = append(out, b.SACKBlock)
	}
	return out
}

func (c *PeerConn) random(p float64) bool { return chance(c.p.random, p) }
