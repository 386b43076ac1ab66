package simnet

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

const (
	peerFirstRTO = 300 * tcp.Millisecond
	peerFlight   = 4 // segments at a time
	peerTries    = 12
)

// window is what the next segment announces. The right edge never moves back
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6), unless the peer was told to misbehave.
func (c *PeerConn) window() uint16 {
	edge := c.rcvNxt + uint32(c.free())
	if c.random(c.cfg.Shrink) {
		edge = c.rcvNxt + uint32(c.p.random.IntN(int(edge-c.rcvNxt)+1))
	} else if before(edge, c.rcvAdv) {
		edge = c.rcvAdv
	} else if gain := edge - c.rcvAdv; int(gain) < min(c.cfg.Buffer/2, c.cfg.MSS) {
		edge = c.rcvAdv // https://www.rfc-editor.org/rfc/rfc9293#section-3.8.6.2.2
	}
	shift := c.rcvShift
	if c.state == peerSynReceived {
		shift = 0
	}
	field := min((edge-c.rcvNxt+1<<shift-1)>>shift, 65535)
	if before(c.rcvNxt+field<<shift, c.rcvAdv) {
		c.p.Shrunk++
	}
	c.rcvAdv = c.rcvNxt + field<<shift
	return uint16(field)
}

// ack says what arrived.
func (c *PeerConn) ack() {
	if c.state == peerSynReceived || c.muted {
		return
	}
	c.divide()
	opts := c.stamps()
	c.put(wire.FlagACK, c.sndNxt, wire.PutSACK(opts, c.sackBlocks()), nil)
}

// divide ACKs in parts what one ACK would cover, to see a sender count ACKs instead of
// bytes (Savage and others: TCP congestion control with a misbehaving receiver, 1999).
func (c *PeerConn) divide() {
	from, n, parts := c.lastAck, c.rcvNxt-c.lastAck, uint32(c.cfg.AckParts)
	for i := uint32(1); i < min(parts, n); i++ {
		ack := from + uint32(uint64(n)*uint64(i)/uint64(parts))
		window := min((c.rcvAdv-ack)>>c.rcvShift, 65535)
		c.p.Parts++
		c.emit(&wire.Header{Seq: c.sndNxt, Ack: ack, Flags: wire.FlagACK, Window: uint16(window), Options: c.stamps()}, nil)
	}
}

func (c *PeerConn) stamps() []byte {
	b := make([]byte, 0, wire.MaxOptionLen)
	if c.ts {
		b = wire.PutTimestamps(b, c.clock(), c.tsRecent)
	}
	return b
}

func (c *PeerConn) clock() uint32 { return uint32(c.p.w.now/tcp.Millisecond) + 77 }

// sendSYN answers the SYN: what we can do, and of what the other offered only that
// which both can.
func (c *PeerConn) sendSYN() {
	b := wire.PutMSS(make([]byte, 0, wire.MaxOptionLen), uint16(c.cfg.MSS))
	if c.sack {
		b = wire.PutSACKPermitted(b)
	}
	if c.ts {
		b = wire.PutTimestamps(b, c.clock(), c.tsRecent)
	}
	if c.scaled {
		b = wire.PutWScale(b, c.rcvShift)
	}
	flags := wire.FlagSYN | wire.FlagACK
	if c.ecn {
		flags |= wire.FlagECE
	}
	c.put(flags, c.iss, b, nil)
	c.restart()
	c.arm()
}

// restart sets the retransmission timer.
func (c *PeerConn) restart() {
	c.timers[timerResend] = c.p.w.now + peerFirstRTO<<min(c.tries, 6)
}

// put sends one segment.
func (c *PeerConn) put(flags uint8, seq uint32, opts, payload []byte) {
	c.send(&wire.Header{Seq: seq, Options: opts, Flags: flags}, payload)
}

// send completes a segment.
func (c *PeerConn) send(h *wire.Header, payload []byte) {
	flags := h.Flags
	h.Ack = c.rcvNxt
	if flags&wire.FlagRST == 0 {
		h.Window = c.window()
	}
	if flags&wire.FlagACK != 0 {
		c.lastAck = c.rcvNxt
		c.unacked = 0
		c.timers[timerAck] = tcp.Never
	} else {
		h.Ack = 0
	}
	c.emit(h, payload)
}

// emit sends a segment as it is.
func (c *PeerConn) emit(h *wire.Header, payload []byte) {
	h.Flags |= c.echoFlag(h.Flags)
	n := c.tmpl.HeaderLen(len(h.Options))
	frame := make([]byte, n+len(payload))
	copy(frame[n:], payload)
	c.tmpl.Put(frame[:n], h, len(payload), wire.Sum(payload, 0))
	c.p.w.note('p', uint64(h.Seq), uint64(h.Ack), uint64(h.Flags), uint64(h.Window))
	c.p.out.Send(frame)
}

// push sends its own bytes and its FIN, a few segments at a time.
func (c *PeerConn) push() {
	if c.state != peerOpen || c.muted {
		return
	}
	for before(c.sndNxt, c.end) {
		n := min(c.end-c.sndNxt, uint32(c.sndMSS), c.sndUna+c.sndWnd-c.sndNxt)
		if c.sndNxt-c.sndUna+n > uint32(peerFlight*c.sndMSS) || int32(n) <= 0 {
			break
		}
		payload := make([]byte, n)
		for i := range payload {
			payload[i] = 0x55
		}
		ecn, flags := c.marksNew()
		c.send(&wire.Header{Seq: c.sndNxt, Flags: wire.FlagACK | wire.FlagPSH | flags, ECN: ecn, Options: c.stamps()}, payload)
		c.sndNxt += n
	}
	if c.closing && c.sndNxt == c.end {
		c.put(wire.FlagFIN|wire.FlagACK, c.sndNxt, c.stamps(), nil)
		c.sndNxt++
		c.finSent, c.finFirst = true, c.finFirst || !c.gotFIN
	}
	c.sndMax = later(c.sndMax, c.sndNxt)
	if before(c.sndUna, c.sndNxt) && c.timers[timerResend] == tcp.Never {
		c.restart()
	}
}

// resend goes back to the first byte that was not ACKed.
func (c *PeerConn) resend() {
	if c.tries++; c.tries > peerTries || c.muted {
		return
	}
	if c.state == peerSynReceived {
		c.sendSYN()
		return
	}
	c.sndNxt = c.sndUna
	c.push()
}
