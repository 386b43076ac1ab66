package tcp

import "github.com/xsend/xsend/internal/wire"

// Why says why a packet is sent, for those who watch; the engine itself never asks.
type Why uint8

// The reasons.
const (
	WhyNew       Why = iota // bytes that were never sent
	WhyLoss                 // RACK, or duplicate ACKs, say that it was lost; or the path carries less than it was
	WhyTimeout              // sent again after a retransmission timeout
	WhyTailProbe            // a tail loss probe, with new bytes or old ones
	WhyProbe                // does a closed window open?
	WhyKeepAlive            // is a silent peer still there?
	WhyCanary               // are the checksums computed that were left to others?
	WhySYN
	WhyACK
	WhyFIN
	WhyReset
	numWhy
)

// String is the reason in lower case.
func (w Why) String() string {
	return [...]string{"new", "loss", "timeout", "tail probe", "window probe", "keepalive", "canary", "syn", "ack", "fin", "reset", "unknown"}[min(w, numWhy)]
}

// whyOf is what the flags say of a packet without payload of the stream.
func whyOf(flags uint8) Why {
	switch {
	case flags&wire.FlagRST != 0:
		return WhyReset
	case flags&wire.FlagSYN != 0:
		return WhySYN
	case flags&wire.FlagFIN != 0:
		return WhyFIN
	}
	return WhyACK
}

// whyAgain is why what was marked lost is sent now.
func (c *Conn) whyAgain() Why {
	if c.recovery.phase == phaseLoss {
		return WhyTimeout
	}
	return WhyLoss
}
