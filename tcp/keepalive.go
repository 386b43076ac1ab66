package tcp

// keepState asks a peer that is silent whether it is still there
// (https://www.rfc-editor.org/rfc/rfc9293#section-3.8.4). Off unless Config.KeepAlive is set.
type keepState struct {
	heard  Time // when the peer was heard last
	probes int  // since then
	now    bool // Transmit is to send one
}

// startKeepAlive begins when the connection is open.
func (c *Conn) startKeepAlive(now Time) {
	c.keep = keepState{heard: now}
	if c.cfg.KeepAlive > 0 {
		c.timers.keep = now + c.cfg.KeepAlive
	}
}

// heardPeer notes that something acceptable arrived. The timer finds out by itself.
func (c *Conn) heardPeer(now Time) {
	c.keep.heard, c.keep.probes, c.keep.now = now, 0, false
}

// onKeepAlive looks whether the peer was heard meanwhile. While data is outstanding or a
// closed window is probed, those timers do the asking.
func (c *Conn) onKeepAlive(now Time) {
	k := &c.keep
	due := k.heard + c.cfg.KeepAlive
	switch {
	case !c.state.sending() && c.state != FinWait2:
		return
	case c.outstanding() || c.timers.persist != Never:
		c.timers.keep = now + c.cfg.KeepAlive
		return
	case now < due:
		c.timers.keep = due
		return
	case k.probes >= c.cfg.KeepProbes || k.probes > 0 && c.cfg.UserTimeout > 0 && now-k.heard >= c.cfg.UserTimeout:
		c.giveUp()
		return
	}
	k.probes++
	k.now = true
	c.timers.keep = c.patience(now+c.cfg.KeepInterval, k.heard)
}

// emitKeepAlive makes a probe: the same garbage byte below sndUna as asks for a window.
func (c *Conn) emitKeepAlive(now Time, tx *Tx) int {
	if !c.emitGarbage(now, tx) {
		return 0
	}
	c.keep.now = false
	c.stats.KeepAlives++
	tx.Why = WhyKeepAlive
	return 1
}
