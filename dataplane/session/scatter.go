package session

import (
	"fmt"

	"github.com/xsend/xsend/umem"
)

// ScatterGather says whether a packet may have several descriptors.
type ScatterGather uint8

// The settings. SGAuto is on only where a packet does not fit into a frame: each descriptor more costs a page and a copy
// in copy mode, and a place on the TX ring in zero-copy mode.
const (
	SGAuto ScatterGather = iota
	SGOff
	SGOn
)

var sgNames = [...]string{"auto", "off", "on"}

// String is the name that ParseScatterGather takes.
func (g ScatterGather) String() string { return sgNames[min(int(g), len(sgNames)-1)] }

// ParseScatterGather reads "auto", "off" or "on".
func ParseScatterGather(name string) (ScatterGather, error) {
	for i, n := range sgNames {
		if n == name {
			return ScatterGather(i), nil
		}
	}
	return SGAuto, fmt.Errorf("%w: --sg %q: must be auto, off or on", ErrConfig, name)
}

// chooseLayout decides whether packets have several descriptors: as asked, or where a packet is larger than a frame.
func (s *Session) chooseLayout() error {
	c := &s.cfg
	switch {
	case c.SG == SGOff || c.SG == SGAuto && (c.Binding == BindingAsavie || s.link.MTU <= largestMTU(umem.MaxChunk)):
		return nil
	case c.Binding == BindingAsavie:
		return fmt.Errorf("%w: --sg on: github.com/asavie/xdp cannot bind with XDP_USE_SG: use --binding native", ErrConfig)
	}
	s.sg = true
	if most := scatteredMTU(umem.MaxChunk); s.link.MTU > most {
		return fmt.Errorf("%w: %s has an MTU of %d bytes, a packet over frames of %d carries %d: %s",
			ErrMTU, s.link.Name, s.link.MTU, umem.MaxChunk, most, s.mtuRemedy())
	}
	return nil
}

// scatteredMTU is the bytes of IP packet that go out over frames of chunk bytes.
func scatteredMTU(chunk int) int { return min(9216, 3*(chunk-64)+leastHeader) }

// advertMSS is the MSS that what is received may have: an RX frame holds one packet. 0 = what the MTU allows.
func (s *Session) advertMSS(is4 bool) int {
	if !s.sg {
		return 0
	}
	headers := leastHeader
	if !is4 {
		headers += 20
	}
	return s.cfg.Chunk - xdpHeadroom - etherMost - headers
}
