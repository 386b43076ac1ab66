package tcp

import "github.com/xsend/xsend/internal/wire"

// ecnState is https://www.rfc-editor.org/rfc/rfc3168: a router marks what it would have dropped, the receiver
// echoes the mark until the sender says that it has slowed down.
type ecnState struct {
	offer   bool // the last SYN says that we can
	agreed  bool // so said both ends
	capable bool // new data is marked as of a transport that can
	proved  bool // something so marked arrived

	// What we receive.
	echo bool // a mark came, and every segment says so until the peer's CWR

	// What we send.
	tell    bool // the window was reduced: the next new data says so
	guarded bool // and no echo reduces it again before something above point is ACKed
	point   Seq  // sndNxt then

	quiet bool // an ACK came without an echo since an echo last reduced the window
	rows  int  // such reductions in a row without
}

// ecnPatience is how many windows in a row may come back with an echo in every single ACK.
// Then it is not a router that says so, or no router that can be served that way.
const ecnPatience = 10

// ecnSetup are the flags of which a SYN that offers has both, and a SYN-ACK that accepts
// only the first: some hosts reflect what they don't know
// (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1).
const ecnSetup = wire.FlagECE | wire.FlagCWR

// synFlags are the flags of our SYN or SYN-ACK.
func (c *Conn) synFlags() uint8 {
	switch {
	case c.state == SynSent && c.ecn.offer:
		return wire.FlagSYN | ecnSetup
	case c.state == SynSent:
		return wire.FlagSYN
	case c.ecn.agreed:
		return wire.FlagSYN | wire.FlagACK | wire.FlagECE
	}
	return wire.FlagSYN | wire.FlagACK
}

// agreeECN is what the peer's SYN or SYN-ACK says to our offer.
func (c *Conn) agreeECN(flags uint8) {
	want := uint8(wire.FlagECE)
	if flags&wire.FlagACK == 0 {
		want = ecnSetup
	}
	e := &c.ecn
	e.agreed = e.offer && flags&ecnSetup == want
	e.capable = e.agreed
}

// withdrawECN takes the offer back, for good: a host that said once that it can't must not be
// marked as if it could (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1).
func (c *Conn) withdrawECN() { c.ecn.offer, c.ecn.agreed, c.ecn.capable = false, false, false }

// receiveMark takes what the peer's segment says about the way to us. The mark counts where
// there is payload: nothing else is ever sent as capable. A segment may end one echo and begin
// the next (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.3).
func (c *Conn) receiveMark(seg *wire.Segment) {
	if !c.ecn.agreed {
		return
	}
	if seg.Flags&wire.FlagCWR != 0 {
		c.ecn.echo = false
	}
	if seg.ECN == wire.CE && seg.PayloadLen > 0 {
		c.ecn.echo = true
		c.stats.CEs++
	}
}

// echoFlag is ECE in a segment with these flags, as long as a mark is to be echoed.
func (c *Conn) echoFlag(flags uint8) uint8 {
	if !c.ecn.echo || flags&(wire.FlagSYN|wire.FlagRST) != 0 {
		return 0
	}
	return wire.FlagECE
}

// mark says how slot s goes: new data as capable and, where we have slowed down, with word of it.
// Nothing else: a mark that is lost with a retransmission, a probe or an ACK, nobody would
// miss (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.4 and the two behind it).
func (c *Conn) mark(s *slot) (ecn, flags uint8) {
	if s.xmits > 0 || s.length == 0 {
		return wire.NotECT, 0
	}
	if c.ecn.capable {
		ecn = wire.ECT0
	}
	if c.ecn.tell {
		c.ecn.tell = false
		flags = wire.FlagCWR
	}
	return ecn, flags
}

// noteReduction is called when the window is reduced, whatever for
// (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2).
func (c *Conn) noteReduction() {
	e := &c.ecn
	e.tell = e.agreed
	e.guarded, e.point = true, c.sndNxt
}

// receiveEcho looks at the echo of an ACK. True: the window is to be reduced, which happens
// once in a window, as for a loss (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.2). What is above point
// includes the data that told of the last reduction: its ACK has no echo of earlier marks.
func (c *Conn) receiveEcho(ev *ackEvent) bool {
	e := &c.ecn
	if e.guarded && e.point.Before(c.sndUna) {
		e.guarded = false
	}
	if ev.rtt > 0 {
		e.proved = true
	}
	if !ev.echoes {
		e.quiet = true
		return false
	}
	return e.capable && !e.guarded && c.recovery.phase == phaseOpen && ev.prior > 0
}

// enterCWR slows down for a mark. Nothing is to be sent again, and nothing to be taken back.
func (c *Conn) enterCWR(now Time, delivered int) {
	c.stats.CWRReductions++
	c.undo.live = false
	c.cc.onCE(now, c.used(0))
	c.recovery = recoveryState{phase: phaseCWR, point: c.sndNxt,
		recoverFS: max(1, c.inFlight()+delivered), dupAcks: c.recovery.dupAcks}
	c.noteReduction()
	c.doubtEcho()
}

// doubtEcho counts windows that came back with nothing but echoes. Without marks to echo, nobody
// can go on: the network has to drop, as for anybody who can't, and echoes mean nothing more.
func (c *Conn) doubtEcho() {
	e := &c.ecn
	if e.rows++; e.quiet {
		e.rows = 0
	}
	e.quiet = false
	if e.rows >= ecnPatience {
		c.giveUpECN()
	}
}

// doubtMarks is a loss before anything that we marked as capable is known to have arrived: there
// are paths that drop it, and what is sent again goes without. Duplicate ACKs say that something
// arrived.
func (c *Conn) doubtMarks() {
	if c.ecn.capable && !c.ecn.proved && c.recovery.dupAcks == 0 {
		c.giveUpECN()
	}
}

// giveUpECN lets new data go without: that is every sender's right, at any time. What the peer
// sends is answered as agreed (https://www.rfc-editor.org/rfc/rfc3168#section-6.1.1).
func (c *Conn) giveUpECN() {
	c.ecn.capable = false
	c.stats.ECNGivenUp = true
}
