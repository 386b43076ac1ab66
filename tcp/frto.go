package tcp

// frtoStep is where https://www.rfc-editor.org/rfc/rfc5682#section-3.1 (with SACK) stands after a timeout: was it
// the network that lost everything, or the answer that took long?
type frtoStep uint8

const (
	frtoOff  frtoStep = iota
	frtoSent          // step 1: the first segment was sent again, and nothing else
	frtoNew           // step 2b: its ACK came; new segments ask what became of the rest
)

// original reports that slot s was sent before the last timeout, and never again.
func (c *Conn) original(s *slot) bool {
	return s.xmits == 1 && !s.has(slotReneged) && s.end().AtMost(c.recovery.point)
}

// frto is called with each ACK after a timeout. True: the timeout was spurious.
func (c *Conn) frto(ev *ackEvent) bool {
	r := &c.recovery
	switch {
	case r.frto == frtoOff:
	case r.frto == frtoNew && ev.original: // step 3b: what was never sent again arrived
		return true
	case r.frto == frtoNew: // step 3a
		r.frto = frtoOff
	case ev.acked > 0 && c.sndUna.Before(r.point) && c.freshFits(): // step 2b
		r.frto = frtoNew
	default: // step 2a and 2c, or nothing to ask with
		r.frto = frtoOff
	}
	return false
}
