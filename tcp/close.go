package tcp

// finSent moves on when our FIN leaves for the first time.
func (c *Conn) finSent() {
	switch c.state {
	case Established:
		c.state = FinWait1
	case CloseWait:
		c.state = LastAck
	}
}

// finAcked moves on when the peer has ACKed our FIN, and so everything.
func (c *Conn) finAcked(now Time) {
	c.finDone = true
	switch c.state {
	case FinWait1:
		c.state = FinWait2
	case Closing:
		c.enterTimeWait(now)
	case LastAck:
		c.die(nil)
	}
}

// receiveFIN is the peer's FIN, https://www.rfc-editor.org/rfc/rfc9293#section-3.10.7.4 (eighth).
func (c *Conn) receiveFIN(now Time) {
	c.rcvNxt = c.rcvNxt.Add(1)
	c.peerFIN = true
	switch c.state {
	case Established:
		c.state = CloseWait
	case FinWait1: // our FIN is not ACKed yet: receiveAck came first
		c.state = Closing
	case FinWait2:
		c.enterTimeWait(now)
	}
}

// enterTimeWait waits for old duplicates to die; a FIN that comes again is ACKed
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.6.1).
func (c *Conn) enterTimeWait(now Time) {
	c.state = TimeWait
	c.timers.init()
	c.timers.timeWait = now + c.cfg.TimeWait
}
