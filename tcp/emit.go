package tcp

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/umem"
)

// tsOptionLen is the timestamps option with its padding.
const tsOptionLen = 12

// emitSlot makes the packet of slot i. It moves the slot into the flight.
func (c *Conn) emitSlot(now Time, i int32, tx *Tx) bool {
	s := &c.q.slots[i]
	frame, off, ok := c.packetFrame(s)
	if !ok {
		c.timers.send = min(c.timers.send, now+frameRetry)
		return false
	}
	flags := uint8(wire.FlagACK)
	if s.next == none {
		flags |= wire.FlagPSH
	}
	if s.has(slotFIN) {
		flags |= wire.FlagFIN
	}
	if !c.offload && (!s.has(slotSummed) || c.cfg.Resum) {
		s.sum = c.payloadSum(s, frame, off)
		s.flags |= slotSummed
	}
	ecn, told := c.mark(s)
	c.put(tx, frame, off, int(s.length), &wire.Header{Seq: uint32(s.seq), Flags: flags | told, ECN: ecn, Options: c.options(now)}, s.sum)
	tx.Ref, tx.Again, tx.Source = c.q.ref(i), s.xmits > 0, umem.NoFrame
	tx.Offset = uint32(s.seq) - uint32(c.iss) - 1
	switch {
	case s.has(slotDemoted):
		if c.scattered() {
			c.scatterArena(s, tx)
		}
		c.noteArena(tx)
	case s.nspans > 0 && c.scattered():
		c.scatter(s, tx)
	case s.nspans > 0:
		tx.Source = s.spans[0].frame
	}
	if s.length > 0 {
		tx.Why = WhyNew
	}
	s.out += uint16(1 + tx.Parts)
	c.noteSent(now, i)
	return true
}

// payloadSum is the sum of what slot s sends: in one piece at off of frame, or where its writer put it.
func (c *Conn) payloadSum(s *slot, frame umem.Frame, off int) uint32 {
	if c.scattered() {
		return c.spansSum(s)
	}
	return wire.Sum(c.pool.Bytes(frame)[off:off+int(s.length)], 0)
}

// noteSent does the books of a slot just transmitted.
func (c *Conn) noteSent(now Time, i int32) {
	s := &c.q.slots[i]
	c.leaveFlight(i)
	flight := c.inFlight()
	c.rate.stamp(now, &s.rate, flight+s.seqLen(), flight == 0)
	if c.q.fresh == i {
		c.q.fresh = s.next
	}
	s.xmits = min(s.xmits+1, 1<<16-2)
	s.sent, c.lastSent = now, now
	if s.xmits == 1 {
		s.first = now
		c.stats.BytesSent += uint64(s.length)
		if s.has(slotFIN) {
			c.finSent()
		}
	}
	c.enterFlight(i)
	c.sndNxt = maxSeq(c.sndNxt, s.end())
	c.recovery.out += s.seqLen()
	c.pace.sent(now, int(s.length))
	c.timers.persist = Never
	if c.timers.rto == Never {
		c.lastProg = now // the wait begins
		c.armRTO(now)
	}
}

// controlFrames are left in the reserve by copies of payload, for ACKs, FINs and resets.
const controlFrames = 4

// packetFrame is the frame that slot s is sent from, and where its payload starts
// in it. Only a range that starts where a frame's payload starts has room for the
// headers before it; everything else is copied once, into a frame of the reserve.
func (c *Conn) packetFrame(s *slot) (umem.Frame, int, bool) {
	switch {
	case s.has(slotDemoted):
		return c.arenaFrame(s)
	case s.nspans > 0 && c.scattered():
		return c.headerPiece()
	case s.tail != umem.NoFrame:
		return s.tail, Headroom, true
	case s.nspans == 1 && s.spans[0].off == Headroom:
		return s.spans[0].frame, Headroom, true
	}
	if s.nspans > 0 && c.pool.Free() <= controlFrames {
		c.stats.NoFrame++
		return umem.NoFrame, 0, false
	}
	f, ok := c.pool.Alloc()
	if !ok {
		c.stats.NoFrame++
		return umem.NoFrame, 0, false
	}
	if s.nspans == 0 {
		return f, Headroom, true // FIN: a fresh frame each time, free at its completion
	}
	c.copyTail(s, f)
	return f, Headroom, true
}

// copyTail copies the payload of slot s into frame f, which the slot keeps.
func (c *Conn) copyTail(s *slot, f umem.Frame) {
	c.copySpans(s, c.pool.Bytes(f)[Headroom:])
	c.pool.Hold(f)
	s.tail = f
	c.stats.Splits++
}

// dropTail gives up the copy that slot s was sent from. Only what is in flight keeps
// one: copies that wait behind a hole, or for their turn to be sent again, would use
// up the frames that filling the hole needs.
func (c *Conn) dropTail(s *slot) {
	if s.tail != umem.NoFrame {
		c.pool.Drop(s.tail)
		s.tail = umem.NoFrame
	}
}

// put completes the headers, writes them, and fills in the descriptor.
func (c *Conn) put(tx *Tx, f umem.Frame, off, n int, h *wire.Header, sum uint32) {
	c.ipID++
	h.Window, h.ID = c.rcvWnd, c.ipID
	if h.Flags&wire.FlagACK != 0 {
		h.Ack = uint32(c.rcvNxt)
	}
	h.Flags |= c.echoFlag(h.Flags)
	hdr := c.putHeaders(c.pool.Bytes(f)[:off], h, n, sum)
	c.pool.Submit(f)
	*tx = Tx{Addr: c.pool.Region().Addr(f) + uint64(off-hdr), Len: uint32(hdr + n), Frame: f, Source: umem.NoFrame, Metadata: c.offload,
		Seq: h.Seq, Flags: h.Flags, Why: whyOf(h.Flags)}
	c.ackNow = c.ackNow && h.Flags&wire.FlagACK == 0
	c.stats.SegmentsOut++
}

// emitResets makes the reset, at the sequence number that a peer with everything expects
// next. The one that lacks something would only challenge it
// (https://www.rfc-editor.org/rfc/rfc5961#section-3.2): for that there is another before it, where the
// peer's ACKs stand.
func (c *Conn) emitResets(now Time, out []Tx) int {
	n, seq := 0, c.controlSeq()
	if !c.resetUna && c.sndUna != c.iss && c.sndUna != seq {
		if len(out) == 0 || !c.emitControl(now, &out[0], c.sndUna, wire.FlagRST|wire.FlagACK, nil) {
			return 0
		}
		c.resetUna = true
		n++
	}
	if n < len(out) && c.emitControl(now, &out[n], seq, wire.FlagRST|wire.FlagACK, nil) {
		c.sendRST = false
		n++
	}
	return n
}

// controlSeq is the sequence number of a segment without payload: sndNxt, or the edge of
// a window that shrank below it, beyond which the peer would read nothing.
func (c *Conn) controlSeq() Seq {
	edge := c.sndUna.Add(int(c.sndWnd))
	if c.sndUna != c.iss && edge.Before(c.sndNxt) {
		return edge
	}
	return c.sndNxt
}

// emitControl makes a packet without payload of ours; probe is payload that is not
// of the stream.
func (c *Conn) emitControl(now Time, tx *Tx, seq Seq, flags uint8, probe []byte) bool {
	return c.emit(now, tx, seq, flags, c.options(now), probe)
}

func (c *Conn) emit(now Time, tx *Tx, seq Seq, flags uint8, opts, probe []byte) bool {
	f, ok := c.pool.Alloc()
	if !ok {
		c.stats.NoFrame++
		c.timers.send = min(c.timers.send, now+frameRetry)
		return false
	}
	copy(c.pool.Bytes(f)[Headroom:], probe)
	c.put(tx, f, Headroom, len(probe), &wire.Header{Seq: uint32(seq), Flags: flags, Options: opts}, wire.Sum(probe, 0))
	if len(probe) > 0 && c.scattered() {
		c.apart(tx, len(probe))
	}
	return true
}

// emitSYN makes the SYN, or the SYN-ACK of a simultaneous open.
func (c *Conn) emitSYN(now Time, tx *Tx) int {
	if !c.emit(now, tx, c.iss, c.synFlags(), c.synOptions(now), nil) {
		return 0
	}
	tx.Again = c.synTries > 0
	c.sendSYN = false
	c.synTries++
	c.synSent = now
	c.sndNxt = c.iss.Add(1)
	c.timers.rto = c.patience(now+min(c.rtt.rto<<c.backoff, maxRTO), c.lastProg)
	return 1
}

// options are those of every segment after the handshake.
func (c *Conn) options(now Time) []byte {
	if !c.tsOK {
		return nil
	}
	return wire.PutTimestamps(c.optBuf[:0], c.tsVal(now), c.tsRecent)
}

// tsVal is our timestamp clock: milliseconds
// (https://www.rfc-editor.org/rfc/rfc7323#section-5.4 wants 1 ms to 1 s).
func (c *Conn) tsVal(now Time) uint32 { return uint32(now/Millisecond) + c.cfg.TSOffset }
