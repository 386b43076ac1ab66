package tcp

import "github.com/xsend/xsend/internal/wire"

// A canary finds out whether a checksum that is asked for (ChecksumOffload) is computed, and
// whether the peer looks at it. Before any payload flows it asks with probes of one garbage
// byte at sndUna-1, which a peer answers at once
// (https://www.rfc-editor.org/rfc/rfc1122#page-101, section 4.2.3.6), in turn with the right seed and with a
// poisoned one: good, poisoned, good, poisoned, good. A request that is carried out answers
// the good ones and none of the poisoned: those leave with a checksum that is as wrong as
// their seed. Until it is over all else leaves with the engine's own sums, so that a request
// that is dropped does not stop the handshake.

// Verdict is what a canary found out.
type Verdict uint8

// The verdicts.
const (
	CanaryOff       Verdict = iota // none was asked for
	CanaryUnderWay                 // or the connection ended before
	CanaryProved                   // every good probe was answered and no poisoned one
	CanaryUnchecked                // a poisoned one was answered: whoever is there does not check
	CanaryNoAnswer                 // good ones went unanswered, as the path loses packets or the peer does not answer probes
	CanaryDropped                  // probes with the engine's sum are answered and no good one: nobody computes what is asked for
)

// String is the name used in reports.
func (v Verdict) String() string {
	return [...]string{"off", "under way", "proved", "the link does not check", "no answer", "requests are dropped"}[min(int(v), 5)]
}

// Over reports that nothing more is to be found out.
func (v Verdict) Over() bool { return v != CanaryUnderWay }

// probeKind is what the checksum field of a probe holds.
type probeKind uint8

const (
	probeGood     probeKind = iota // the seed
	probePoisoned                  // another, so that what is made of it is wrong
	probeControl                   // the engine's own sum
)

// canaryProbes are those of one round, in order.
var canaryProbes = [...]probeKind{probeGood, probePoisoned, probeGood, probePoisoned, probeGood}

const (
	// canaryRounds is how often it is begun anew because a good probe was lost, and how
	// often the control is sent.
	canaryRounds = 3
	// canaryCopies of each poisoned probe leave together, and of each good one once one was
	// lost. A poisoned one that is lost looks like one that was refused: at 5 % of loss single
	// ones would prove, once in 400 times, what is not so. Good ones that are lost look like
	// requests that are dropped.
	canaryCopies = 3
	// canaryWait is the least that an answer is awaited, 4 round trips where those are
	// longer; canaryPause is the least between an answer, or its absence, and the next
	// probe, a round trip where that is longer: copies of the answer that the network made
	// must not answer the next one.
	canaryWait  = 100 * Millisecond
	canaryPause = 10 * Millisecond
	// poison is added, bit by bit, to the seed: neither zero of ones' complement becomes the other.
	poison = 0x5a5a
)

// canaryState is a canary under way. Its deadline is timers.canary.
type canaryState struct {
	verdict Verdict
	step    int  // in canaryProbes
	round   int  // from 0
	emit    int  // copies of the probe that Transmit is to send
	out     bool // a probe is out, and its answer awaited
	control bool // no good one was answered: are those with the engine's sum?
	there   bool // one was: the peer is there and answers
	heard   int  // good ones answered
	dsacks  bool // answers report the probe as a duplicate (https://www.rfc-editor.org/rfc/rfc2883#section-4.1): then others do not count
}

func (k *canaryState) busy() bool { return k.verdict == CanaryUnderWay }

// kind is that of the probe that is out, or next.
func (k *canaryState) kind() probeKind {
	if k.control {
		return probeControl
	}
	return canaryProbes[k.step]
}

// copies is how many of the next probe leave.
func (k *canaryState) copies() int {
	if k.kind() == probePoisoned || k.kind() == probeGood && k.round > 0 {
		return canaryCopies
	}
	return 1
}

// Canary is what the canary found out.
func (c *Conn) Canary() Verdict { return c.canary.verdict }

// startCanary begins when the connection is open. The first probe waits until our ACK of
// the handshake is there.
func (c *Conn) startCanary(now Time) {
	if c.cfg.Canary {
		c.canary = canaryState{verdict: CanaryUnderWay}
		c.pauseCanary(now)
	}
}

func (c *Conn) pauseCanary(now Time) {
	c.canary.out, c.canary.emit = false, 0
	c.timers.canary = now + max(canaryPause, c.rtt.srtt)
}

// onCanary is the canary's timer: it is time for the next probe, or the last one was not
// answered.
func (c *Conn) onCanary(now Time) {
	k := &c.canary
	switch {
	case !k.busy():
	case !k.out:
		k.emit = k.copies()
	case k.control || k.kind() == probeGood:
		c.lostCanary(now)
	default:
		k.step++
		c.pauseCanary(now)
	}
}

// dieCanary leaves the verdict open: the connection ended before there was one.
func (c *Conn) dieCanary() {
	if c.canary.busy() {
		c.canary = canaryState{verdict: CanaryUnderWay}
	}
}

// lostCanary is a probe without an answer that should have had one. Perhaps our ACK of the
// handshake was lost, and the peer answers nothing before it has that: it goes again.
func (c *Conn) lostCanary(now Time) {
	k := &c.canary
	k.round++
	switch {
	case k.there && k.heard == 0:
		c.endCanary(CanaryDropped)
		return
	case k.round < canaryRounds:
		k.step = 0
	case k.heard > 0 || k.control:
		c.endCanary(CanaryNoAnswer)
		return
	default:
		k.control, k.round = true, 0
	}
	c.ackNow = true
	c.pauseCanary(now)
}

// answerCanary looks whether a segment, which is acceptable, answers the probe that is out:
// it carries nothing and ACKs what the peer has, and in the way the peer's answers do.
func (c *Conn) answerCanary(now Time, seg *wire.Segment) {
	k := &c.canary
	if !k.out || seg.Len() > 0 || Seq(seg.Ack) != c.sndUna {
		return
	}
	dsack := c.reportsProbe(seg)
	if k.dsacks && !dsack {
		return
	}
	switch k.kind() {
	case probePoisoned:
		c.endCanary(CanaryUnchecked)
		return
	case probeControl: // good ones once more, to be sure that it was not the path
		k.control, k.there, k.step, k.round = false, true, 0, canaryRounds
		c.pauseCanary(now)
		return
	}
	k.dsacks = dsack
	k.heard++
	if k.step++; k.step == len(canaryProbes) {
		c.endCanary(CanaryProved)
		return
	}
	c.pauseCanary(now)
}

// reportsProbe reports that the segment says that the probe's byte arrived again.
func (c *Conn) reportsProbe(seg *wire.Segment) bool {
	o := &seg.Options
	return c.sackOK && o.NumSACK > 0 && Seq(o.SACK[0].End) == c.asked && o.SACK[0].End-o.SACK[0].Start == uint32(len(probeByte))
}

// endCanary lets payload go, with the checksums that were asked for unless they are
// not computed.
func (c *Conn) endCanary(v Verdict) {
	c.canary = canaryState{verdict: v}
	c.timers.canary = Never
	c.offload = c.cfg.Checksum == ChecksumOffload && v != CanaryDropped
}

// transmitCanary is Transmit while the canary is under way: ACKs, and its probes behind them.
func (c *Conn) transmitCanary(now Time, out []Tx) (n int) {
	if c.ackNow && len(out) > 0 && c.emitControl(now, &out[0], c.controlSeq(), wire.FlagACK, nil) {
		n++
	}
	return n + c.emitCanary(now, out[n:])
}

// emitCanary makes the copies of a probe that are due.
func (c *Conn) emitCanary(now Time, out []Tx) int {
	k, n := &c.canary, 0
	for k.emit > 0 && n < len(out) && c.emitCanaryProbe(now, &out[n]) {
		k.emit--
		k.out = true
		c.timers.canary = now + max(canaryWait, 4*c.rtt.srtt)
		n++
	}
	return n
}

func (c *Conn) emitCanaryProbe(now Time, tx *Tx) bool {
	kind, ack := c.canary.kind(), c.ackNow
	c.offload = kind != probeControl
	ok := c.emitGarbage(now, tx)
	c.offload, c.ackNow = false, ack // what may be dropped ACKs nothing
	if !ok {
		return false
	}
	if kind == probePoisoned {
		c.poison(tx)
	}
	c.stats.CanaryProbes++
	tx.Why = WhyCanary
	return true
}

// poison spoils the seed of a packet just made, which nobody else has yet.
func (c *Conn) poison(tx *Tx) {
	at := int(tx.Addr-c.pool.Region().Addr(tx.Frame)) + c.tmpl.L2Len() + c.tmpl.L3Len() + tcpChecksumAt
	b := c.pool.Bytes(tx.Frame)[at : at+2]
	b[0] ^= poison >> 8
	b[1] ^= poison & 0xff
}
