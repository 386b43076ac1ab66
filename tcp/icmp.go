package tcp

import "github.com/xsend/xsend/internal/wire"

// ICMP types and codes, https://www.rfc-editor.org/rfc/rfc792, https://www.rfc-editor.org/rfc/rfc4443.
const (
	icmp4Unreachable  = 3
	icmp4CodeProtocol = 2
	icmp4CodePort     = 3
	icmp4CodeFragNeed = 4
	icmp4CodeAdmin    = 13
	icmp6Unreachable  = 1
	icmp6CodeAdmin    = 1
	icmp6CodePort     = 4
	icmp6TooBig       = 2
)

// minPathMTU is the least that a router can make us believe.
const (
	minPathMTU4 = minMTU
	minPathMTU6 = 1280 // https://www.rfc-editor.org/rfc/rfc8200#section-5
)

// ReceiveICMP takes an ICMP error about a segment of this connection. Anybody can
// forge one: it counts only if it quotes a sequence number that is outstanding
// (https://www.rfc-editor.org/rfc/rfc5927#section-4.1). Outside the handshake only the path MTU is
// acted upon; all else is soft (https://www.rfc-editor.org/rfc/rfc5461#section-2.2).
func (c *Conn) ReceiveICMP(now Time, e *wire.ICMPError) {
	if c.state == Closed || Seq(e.Seq).Before(c.sndUna) || !Seq(e.Seq).Before(c.sndNxt) {
		c.stats.ICMPIgnored++
		return
	}
	switch {
	case tooBig(e):
		c.lowerMTU(now, e)
	case c.state == SynSent && hardError(e):
		c.die(ErrNoRoute)
	default:
		c.stats.ICMPSoft++
	}
}

func tooBig(e *wire.ICMPError) bool {
	if e.V6 {
		return e.Type == icmp6TooBig
	}
	return e.Type == icmp4Unreachable && e.Code == icmp4CodeFragNeed
}

// hardError is what ends a handshake: the host is there and does not want us.
func hardError(e *wire.ICMPError) bool {
	if e.V6 {
		return e.Type == icmp6Unreachable && (e.Code == icmp6CodeAdmin || e.Code == icmp6CodePort)
	}
	return e.Type == icmp4Unreachable &&
		(e.Code == icmp4CodeProtocol || e.Code == icmp4CodePort || e.Code == icmp4CodeAdmin)
}

// leastMTU is the least that we send packets for.
func (c *Conn) leastMTU() int {
	if c.cfg.Flow.Is4() {
		return minPathMTU4
	}
	return minPathMTU6
}

// lowerMTU believes a router that the path carries less than we send. The router of
// https://www.rfc-editor.org/rfc/rfc1191#section-5 that names no MTU gets the least; in IPv6 one that
// names less than the least is not believed.
func (c *Conn) lowerMTU(now Time, e *wire.ICMPError) {
	mtu := int(min(e.MTU, MaxMTU))
	if c.cfg.Flow.Is4() {
		mtu = max(mtu, minPathMTU4)
	}
	if mtu < c.leastMTU() || mtu >= c.mtu { // https://www.rfc-editor.org/rfc/rfc8201#section-4
		c.stats.ICMPIgnored++
		return
	}
	c.lowerPath(now, mtu)
}
