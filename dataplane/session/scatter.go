package session

import (
	"fmt"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/tcp"
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
	s.zeroCopySegs = c.segments(s.link.Index)
	switch {
	case c.SG == SGOff && s.offIsTooSmall() && s.giveUp("sg", fmt.Errorf("%w: %d bytes", ErrMTU, s.link.MTU)):
	case c.SG == SGOff || c.SG == SGAuto && (c.Binding == BindingAsavie || s.link.MTU <= largestMTU(umem.MaxChunk)):
		return nil
	case c.Binding == BindingAsavie:
		err := fmt.Errorf("%w: --sg on: github.com/asavie/xdp cannot bind with XDP_USE_SG: use --binding native", ErrConfig)
		if s.giveUp("sg", err) {
			return nil
		}
		return err
	}
	s.sg = true
	most := s.scatteredMTU(umem.MaxChunk)
	if s.link.MTU <= most {
		return nil
	}
	err := fmt.Errorf("%w: %s has an MTU of %d bytes, a packet %sover frames of %d carries %d: %s",
		ErrMTU, s.link.Name, s.link.MTU, s.fewSegs(), umem.MaxChunk, most, s.mtuRemedy())
	if s.link.MTU <= segsMTU(umem.MaxChunk, tcp.MaxDescs) && s.giveUp("mode", err) {
		s.copyInstead = true
		return nil
	}
	return err
}

// offIsTooSmall reports that packets of several descriptors would carry the MTU, and those of one do not.
func (s *Session) offIsTooSmall() bool {
	return s.cfg.Binding == BindingNative && s.link.MTU > largestMTU(umem.MaxChunk) && s.link.MTU <= segsMTU(umem.MaxChunk, tcp.MaxDescs)
}

// leastZeroCopySegs is the fewest descriptors of a packet with which a driver in zero-copy mode may be bound with XDP_USE_SG.
const leastZeroCopySegs = 2

// readSegments is the descriptors that the driver takes in a packet in zero-copy mode (xdp-zc-max-segs); as few as there may be where
// nobody can be asked. 0 is none: the kernel has a better reason to refuse than we.
func readSegments(index int) int {
	c, err := hw.ReadXDPClaims(index)
	switch {
	case err != nil:
		return leastZeroCopySegs
	case c.ZeroCopyMaxSegs < leastZeroCopySegs:
		return 0
	}
	return c.ZeroCopyMaxSegs
}

// scatteredMTU is the bytes of IP packet that go out over frames of chunk bytes, in the mode that was asked for.
func (s *Session) scatteredMTU(chunk int) int {
	if s.cfg.Mode == afxdp.ModeZeroCopy && !s.copyInstead && s.zeroCopySegs > 0 {
		return segsMTU(chunk, s.zeroCopySegs)
	}
	return segsMTU(chunk, tcp.MaxDescs)
}

// segsMTU is that of packets of so many descriptors.
func segsMTU(chunk, segs int) int { return min(tcp.MaxMTU, tcp.SegmentRoom(segs, chunk)+leastHeader) }

// fewSegs says of how many descriptors a packet is, where the driver is what limits it.
func (s *Session) fewSegs() string {
	if !s.sg || s.cfg.Mode != afxdp.ModeZeroCopy || s.zeroCopySegs == 0 || s.zeroCopySegs >= tcp.MaxDescs {
		return ""
	}
	return fmt.Sprintf("of %d descriptors, as many as the driver %s takes in zero-copy mode, ", s.zeroCopySegs, s.link.Driver)
}

// tooFewSegs reports that zero-copy mode is no choice: its packets have too few descriptors to carry the MTU.
func (s *Session) tooFewSegs() bool {
	return s.sg && s.zeroCopySegs > 0 && s.link.MTU > segsMTU(s.cfg.Chunk, s.zeroCopySegs)
}

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
