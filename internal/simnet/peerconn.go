package simnet

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// peerState is what is left of https://www.rfc-editor.org/rfc/rfc9293#section-3.3.2 for a receiver: who
// closed is told by gotFIN and finAcked.
type peerState uint8

const (
	peerSynReceived peerState = iota
	peerOpen
	peerTimeWait
	peerClosed
)

// PeerConn is one connection as the peer sees it.
type PeerConn struct {
	p       *Peer
	cfg     *PeerConfig
	flow    wire.Flow
	tmpl    wire.Template
	state   peerState
	promise Pattern

	// What was agreed upon.
	ts, sack, scaled   bool
	ecn                bool
	rcvShift, sndShift uint8
	sndMSS             int

	// Receiving.
	irs, rcvNxt  uint32
	rcvAdv       uint32 // the right edge that was announced
	tsRecent     uint32
	lastAck      uint32 // Last.ACK.sent
	unread       int
	pieces       []piece // out of order
	turned       []piece // memory for the next time
	stamp        uint64
	dsack        wire.SACKBlock
	finSeq       uint32
	sawFIN       bool
	unacked      int // segments since the last ACK
	received     int64
	wrong        int64
	firstWrong   int64
	gotFIN       bool
	muted, reset bool
	echo         bool     // a mark came, and the sender has not said yet that it slowed down
	resumeAt     tcp.Time // when a stalled reader goes on
	stalled      bool

	// Sending.
	iss, sndUna, sndNxt uint32
	sndMax              uint32 // the highest sndNxt ever: retransmission goes back
	end                 uint32 // behind the last byte that it sends
	sndWnd              uint32
	closing             bool // it will send no more
	finSent             bool
	finAcked            bool
	finFirst            bool // our FIN was sent before the other's arrived
	tries               int
	tell                bool   // a mark came back: the next new segment says that this was seen
	toldAt              uint32 // sndMax then

	timers [numTimers]tcp.Time
	wakeAt tcp.Time
}

// timerKind is what a connection waits for.
type timerKind int

const (
	timerAck    timerKind = iota // a delayed ACK
	timerRead                    // the application reads
	timerResend                  // retransmission
	timerClose                   // it says that it sends no more
	numTimers
)

// Received is the number of bytes of the stream that arrived in order.
func (c *PeerConn) Received() int64 { return c.received }

// Wrong is the number of those that were not what the writer had promised.
func (c *PeerConn) Wrong() int64 { return c.wrong }

// FirstWrong is the offset of the first wrong byte.
func (c *PeerConn) FirstWrong() int64 { return c.firstWrong }

// GotFIN reports that the whole stream arrived.
func (c *PeerConn) GotFIN() bool { return c.gotFIN }

// WasReset reports that a RST ended it.
func (c *PeerConn) WasReset() bool { return c.reset }

// Port is the sender's port.
func (c *PeerConn) Port() uint16 { return c.flow.RemotePort }

func before(a, b uint32) bool { return int32(a-b) < 0 }

func later(a, b uint32) uint32 {
	if before(a, b) {
		return b
	}
	return a
}

// receive is https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4.
func (c *PeerConn) receive(seg *wire.Segment) {
	switch {
	case c.muted, c.reset:
		return
	case c.state == peerTimeWait && seg.Len() > 0: // our last ACK was lost
		c.ack()
		return
	case c.state == peerTimeWait:
		return
	case c.state == peerClosed:
		if seg.Flags&wire.FlagRST == 0 {
			c.put(wire.FlagRST, seg.Ack, nil, nil)
		}
		return
	case seg.Flags&wire.FlagSYN != 0 && c.state == peerSynReceived && seg.Seq == c.irs:
		c.ecn = c.ecn && offered(seg)
		c.sendSYN()
		return
	}
	if !c.acceptable(seg) {
		return
	}
	switch {
	case seg.Flags&wire.FlagRST != 0:
		if seg.Seq == c.rcvNxt { // https://www.rfc-editor.org/rfc/rfc5961#section-3.2
			c.drop()
		} else {
			c.ack()
		}
		return
	case seg.Flags&wire.FlagSYN != 0:
		c.ack()
		return
	case seg.Flags&wire.FlagACK == 0:
		return
	}
	if c.takeAck(seg) {
		c.takeText(seg)
		c.push()
	}
	c.arm()
}

func (c *PeerConn) drop() {
	c.reset, c.state = true, peerClosed
	c.timers = [numTimers]tcp.Time{tcp.Never, tcp.Never, tcp.Never, tcp.Never}
}

// acceptable is the first check, and PAWS (https://www.rfc-editor.org/rfc/rfc7323#section-5.3).
func (c *PeerConn) acceptable(seg *wire.Segment) bool {
	rst := seg.Flags&wire.FlagRST != 0
	if c.ts && !rst {
		if !seg.Options.HasTS {
			return false
		}
		if int32(seg.Options.TSVal-c.tsRecent) < 0 {
			c.ack()
			return false
		}
	}
	n, wnd := seg.Len(), c.rcvAdv-c.rcvNxt
	first, last := seg.Seq-c.rcvNxt, seg.Seq+n-1-c.rcvNxt
	ok := false
	switch {
	case n == 0 && wnd == 0:
		ok = first == 0
	case n == 0:
		ok = first < wnd
	case wnd > 0:
		ok = first < wnd || last < wnd
	}
	// A zero window still takes ACKs and RSTs, and is announced again.
	if !ok {
		if !rst {
			c.noteDuplicate(seg.Seq, earlier(seg.Seq+n, c.rcvNxt))
			c.ack()
			if seg.Flags&wire.FlagACK != 0 && n == 0 {
				c.takeAck(seg)
			}
		}
		return false
	}
	if c.ts && !rst && !before(c.lastAck, seg.Seq) { // https://www.rfc-editor.org/rfc/rfc7323#section-4.3
		c.tsRecent = seg.Options.TSVal
	}
	return true
}

// takeAck is the fifth check. False: drop the segment.
func (c *PeerConn) takeAck(seg *wire.Segment) bool {
	if before(c.sndMax, seg.Ack) {
		c.ack()
		return false
	}
	if c.state == peerSynReceived {
		if before(seg.Ack, c.iss+1) {
			return false
		}
		c.state = peerOpen
		c.timers[timerResend] = tcp.Never
		if c.cfg.ReadEvery > 0 {
			c.timers[timerRead] = c.p.w.now + c.cfg.ReadEvery
		}
	}
	c.takeEcho(seg)
	c.sndWnd = uint32(seg.Window) << c.sndShift
	if before(c.sndUna, seg.Ack) {
		c.sndUna, c.tries = seg.Ack, 0
		c.sndNxt = later(c.sndNxt, c.sndUna)
		c.timers[timerResend] = tcp.Never
		if c.finSent && c.sndUna == c.end+1 {
			c.finAcked = true
			c.settle()
		}
	}
	return true
}

// settle ends the connection when both sides said everything and know it. Who said
// so first has to wait for what may come again.
func (c *PeerConn) settle() {
	switch {
	case !c.gotFIN || !c.finAcked:
	case c.finFirst:
		c.state = peerTimeWait
	default:
		c.state = peerClosed
	}
}

// arm makes sure that the earliest timer is called.
func (c *PeerConn) arm() {
	t := tcp.Never
	for _, at := range c.timers {
		t = min(t, at)
	}
	if t == tcp.Never || c.wakeAt > c.p.w.now && c.wakeAt <= t {
		return
	}
	c.wakeAt = t
	c.p.w.At(t, func() { c.wake(t) })
}

// wake fires what is due.
func (c *PeerConn) wake(t tcp.Time) {
	if c.wakeAt == t {
		c.wakeAt = 0
	}
	for kind, at := range c.timers {
		if at > c.p.w.now || c.state == peerClosed && !c.gotFIN {
			continue
		}
		c.timers[kind] = tcp.Never
		switch timerKind(kind) {
		case timerAck:
			c.ack()
		case timerRead:
			c.read()
		case timerResend:
			c.resend()
		case timerClose:
			c.closing = true
			c.push()
		}
	}
	c.arm()
}
