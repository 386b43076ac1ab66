package simnet

import (
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// What changes about a path, and what stands on it and looks.

// SetMTU changes the largest IP packet that the path carries.
func (l *Link) SetMTU(mtu int) { l.cfg.MTU = mtu }

// SetRate changes the rate for what is sent from now on.
func (l *Link) SetRate(rate int) { l.cfg.Rate, l.changed = rate, true }

// SetDelay changes the way: what takes a shorter one overtakes what is under way.
func (l *Link) SetDelay(d tcp.Duration) {
	l.cfg.Delay, l.last, l.changed = d, 0, true
}

// Reroute loses what is under way and everything for the time of outage; then there is
// another way.
func (l *Link) Reroute(outage, delay tcp.Duration) {
	l.route++
	l.outage = max(l.outage, l.w.now+outage)
	l.SetDelay(delay)
}

// police reports that a packet is more than a policer lets through: a token bucket of
// Allow bytes that fills at the rate Police, as the time until which it is used up.
func (l *Link) police(n int) bool {
	if l.cfg.Police == 0 {
		return false
	}
	paid := max(l.paid, l.w.now) + takes(n, l.cfg.Police)
	if paid-l.w.now > takes(l.cfg.Allow, l.cfg.Police) {
		return true
	}
	l.paid = paid
	return false
}

// thin lets a pure ACK take the place of the one before it, as filters at the head of a
// slow uplink do (tc-cake(8), ack-filter): the later says it all, but for what it SACKs.
func (l *Link) thin(p *transit) {
	var now, was wire.Segment
	if l.cfg.Thin == 0 || !pureAck(p.frame, &now) {
		return
	}
	if old := l.pureAck; old != nil && !old.there && !old.gone && pureAck(old.frame, &was) &&
		was.Flow == now.Flow && !before(now.Ack, was.Ack) && chance(l.random, l.cfg.Thin) {
		old.gone = true
		l.stats.Thinned++
	}
	l.pureAck = p
}

func pureAck(frame []byte, seg *wire.Segment) bool {
	return wire.Parse(frame, true, seg) == nil && seg.Flags == wire.FlagACK && seg.PayloadLen == 0
}
