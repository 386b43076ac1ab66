package tcp

import "github.com/xsend/xsend/internal/wire"

// Receive takes one segment from the peer, whose flow the caller matched and
// whose checksum it checked. now is when its batch arrived.
// https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7
func (c *Conn) Receive(now Time, seg *wire.Segment) {
	c.stats.SegmentsIn++
	switch c.state {
	case Closed:
		return
	case SynSent:
		c.receiveSynSent(now, seg)
		return
	}
	if !c.acceptable(now, seg) || seg.Flags&wire.FlagACK == 0 {
		return
	}
	c.heardPeer(now)
	if c.state == SynReceived && !c.completeOpen(now, seg) {
		return
	}
	if !c.receiveAck(now, seg) || c.state == Closed {
		return
	}
	c.answerCanary(now, seg)
	c.keepTimestamp(now, seg)
	c.receiveText(now, seg)
}

// acceptable is the checks of https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4, first to fourth, with those of
// https://www.rfc-editor.org/rfc/rfc7323#section-5.3 (PAWS) before and of RFC 5961 instead of the resets.
func (c *Conn) acceptable(now Time, seg *wire.Segment) bool {
	if seg.Flags&wire.FlagRST != 0 {
		c.receiveRST(now, seg)
		return false
	}
	if c.tsOK && !c.checkTimestamp(now, seg) {
		return false
	}
	if c.crossed(seg) {
		return true
	}
	if !c.inWindow(seg) {
		c.outOfWindow(now, seg)
		return false
	}
	if seg.Flags&wire.FlagSYN != 0 { // https://www.rfc-editor.org/rfc/rfc5961#section-4.2
		c.challengeACK(now)
		return false
	}
	return true
}

// keepTimestamp takes the timestamp to echo, and to judge by
// (https://www.rfc-editor.org/rfc/rfc7323#section-4.3). Only behind the check of the ACK,
// as in Linux: a blind segment that lies across rcvNxt would otherwise make PAWS refuse
// everything that the peer sends.
func (c *Conn) keepTimestamp(now Time, seg *wire.Segment) {
	if c.tsOK && Seq(seg.Seq).AtMost(c.rcvNxt) {
		c.tsRecent, c.tsStamp = seg.Options.TSVal, now
	}
}

// inWindow is the acceptability test of https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4. Our window is never zero.
func (c *Conn) inWindow(seg *wire.Segment) bool {
	first, end := Seq(seg.Seq), Seq(seg.Seq+seg.Len())
	right := c.rcvNxt.Add(int(c.rcvWnd))
	if seg.Len() == 0 {
		return c.rcvNxt.AtMost(first) && first.Before(right)
	}
	return first.Before(right) && c.rcvNxt.Before(end)
}

// outOfWindow answers what is not acceptable. Payload and FIN are mostly sent again because
// our ACK was lost; all else may be an attacker's, or another end's that takes our answer
// for the same. A FIN begins TIME-WAIT anew.
func (c *Conn) outOfWindow(now Time, seg *wire.Segment) {
	c.stats.OutOfWindow++
	if c.state == TimeWait && seg.Flags&wire.FlagFIN != 0 && Seq(seg.Seq+seg.Len()) == c.rcvNxt {
		c.timers.timeWait = now + c.cfg.TimeWait
	}
	if seg.Len() > 0 && seg.Flags&wire.FlagSYN == 0 {
		c.ackNow = true
		return
	}
	c.challengeACK(now)
}

// pawsExpiry is when tsRecent is too old to judge by
// (https://www.rfc-editor.org/rfc/rfc7323#section-5.5).
const pawsExpiry = 24 * 24 * 3600 * Second

// checkTimestamp is PAWS. A segment without the option is dropped, as RFC 7323
// section 3.2 asks once it was agreed upon.
func (c *Conn) checkTimestamp(now Time, seg *wire.Segment) bool {
	if !seg.Options.HasTS {
		c.stats.NoTimestamp++
		return false
	}
	if int32(seg.Options.TSVal-c.tsRecent) >= 0 || now-c.tsStamp > pawsExpiry {
		return true
	}
	c.stats.PAWS++
	if seg.Len() > 0 {
		c.ackNow = true
	}
	return false
}

// receiveRST is https://www.rfc-editor.org/rfc/rfc5961#section-3.2: only a RST that says exactly what we
// expect next ends the connection; one elsewhere in the window is challenged.
func (c *Conn) receiveRST(now Time, seg *wire.Segment) {
	if Seq(seg.Seq) != c.rcvNxt {
		if c.inWindow(seg) {
			c.challengeACK(now)
		}
		return
	}
	c.stats.ResetsIn++
	switch c.state {
	case SynReceived:
		c.die(ErrRefused)
	case TimeWait:
		c.die(nil)
	default:
		c.die(ErrReset)
	}
}

// challengeLimit bounds the ACKs sent in answer to segments that are not
// acceptable (https://www.rfc-editor.org/rfc/rfc5961#section-7).
type challengeLimit struct {
	since Time
	n     int
}

const (
	challengePeriod = Second
	challengeMax    = 10
)

func (l *challengeLimit) allow(now Time) bool {
	if now-l.since >= challengePeriod {
		l.since, l.n = now, 0
	}
	l.n++
	return l.n <= challengeMax
}

func (c *Conn) challengeACK(now Time) {
	if !c.challenge.allow(now) {
		c.stats.ChallengesLimited++
		return
	}
	c.stats.Challenges++
	c.ackNow = true
}

// receiveText ACKs and counts what the peer sends; nothing is delivered. What does
// not begin at rcvNxt is not kept: the peer sends it again.
func (c *Conn) receiveText(now Time, seg *wire.Segment) {
	if seg.Len() == 0 {
		return
	}
	c.ackNow = true
	c.receiveMark(seg)
	first := Seq(seg.Seq)
	if c.rcvNxt.Before(first) || !c.state.receiving() {
		return
	}
	fresh := seg.PayloadLen - c.rcvNxt.Sub(first)
	if fresh > 0 {
		n := min(fresh, int(c.rcvWnd))
		c.rcvNxt = c.rcvNxt.Add(n)
		c.stats.BytesReceived += uint64(n)
		if n < fresh {
			return // the FIN lies beyond the window
		}
	}
	if seg.Flags&wire.FlagFIN != 0 && c.rcvNxt == first.Add(seg.PayloadLen) {
		c.receiveFIN(now)
	}
}
