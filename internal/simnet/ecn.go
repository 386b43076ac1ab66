package simnet

import (
	"encoding/binary"

	"github.com/xsend/xsend/internal/wire"
)

// Explicit congestion notification (https://www.rfc-editor.org/rfc/rfc3168): what a queue does to packets, and a
// receiver to its segments.

// mark tells a packet of congestion if the queue is long, or by chance, and if its transport can be told.
func (l *Link) mark(frame []byte) {
	crowded := l.cfg.Mark > 0 && l.waiting >= l.cfg.Mark
	if (crowded || chance(l.random, l.cfg.MarkSome)) && setCE(frame) {
		l.stats.Marked++
		l.w.note('m', uint64(len(frame)))
	}
}

// setCE sets the code point "congestion experienced"; false where the packet's transport cannot be told.
func setCE(frame []byte) bool {
	ip := frame[ipAt(frame):]
	if ip[0]>>4 == 6 {
		if ip[1]&0x30 == 0 {
			return false
		}
		ip[1] |= 0x30
		return true
	}
	if ip[1]&3 == 0 {
		return false
	}
	ip[1] |= 3
	header := ip[:int(ip[0]&15)*4]
	header[10], header[11] = 0, 0
	binary.BigEndian.PutUint16(header[10:], ^wire.Fold(wire.Sum(header, 0)))
	return true
}

const ecnSetup = wire.FlagECE | wire.FlagCWR

// offered reports that a SYN offers ECN (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1).
func offered(seg *wire.Segment) bool { return seg.Flags&ecnSetup == ecnSetup }

// takeMark is the receiver's part: an echo in every ACK from the first mark until the sender says that it
// has slowed down (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3).
func (c *PeerConn) takeMark(seg *wire.Segment) {
	if !c.ecn {
		return
	}
	if seg.Flags&wire.FlagCWR != 0 {
		c.echo = false
		c.p.Told++
	}
	if seg.ECN == wire.CE && seg.PayloadLen > 0 {
		c.echo = true
		c.p.Marks++
	}
}

// takeEcho is the sender's part: it has no window to make smaller, but says that it did, once in a window.
func (c *PeerConn) takeEcho(seg *wire.Segment) {
	if c.ecn && seg.Flags&wire.FlagECE != 0 && (c.p.Echoes == 0 || before(c.toldAt, seg.Ack)) {
		c.tell, c.toldAt = true, c.sndMax
		c.p.Echoes++
	}
}

// marksNew is how a segment of its own goes: new data is marked as capable, and the first after an echo tells.
func (c *PeerConn) marksNew() (ecn, flags uint8) {
	if !c.ecn || c.sndNxt != c.sndMax {
		return wire.NotECT, 0
	}
	if c.tell {
		c.tell, flags = false, wire.FlagCWR
	}
	return wire.ECT0, flags
}

// echoFlag is what a segment with these flags says besides.
func (c *PeerConn) echoFlag(flags uint8) uint8 {
	if !c.ecn || flags&(wire.FlagSYN|wire.FlagRST) != 0 || !c.echo && !c.cfg.EchoAlways {
		return 0
	}
	return wire.FlagECE
}

// checkMark is what a sender must not do: mark as capable, or tell of a reduction in, anything but new
// data, or where the peer did not agree (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1 and up to 6.1.6).
func (s *Stream) checkMark(seg *wire.Segment, c *PeerConn) bool {
	end := seg.Seq + uint32(seg.PayloadLen)
	fresh := seg.PayloadLen > 0 && (!s.sentAny || !before(seg.Seq, s.sentTo))
	if seg.PayloadLen > 0 && (!s.sentAny || before(s.sentTo, end)) && seg.Flags&wire.FlagSYN == 0 {
		s.sentAny, s.sentTo = true, end
	}
	told := seg.Flags&wire.FlagCWR != 0 && seg.Flags&wire.FlagSYN == 0
	return seg.ECN == wire.NotECT && !told || fresh && seg.ECN != wire.CE && c != nil && c.ecn
}
