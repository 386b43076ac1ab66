package session

import (
	"fmt"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Bytes around the IP packet in a frame: the kernel leaves XDP_PACKET_HEADROOM before
// a received packet, and Ethernet comes with up to two VLAN tags; what is sent has
// its headers in tcp.Headroom and IP and TCP headers do not count against the rest.
const (
	xdpHeadroom = 256
	etherMost   = 14 + 8
	leastHeader = 40 // IPv4 and TCP: what of the MTU is not payload
)

// largestMTU is the bytes of IP packet that a frame can carry both ways.
func largestMTU(chunk int) int {
	return min(chunk-xdpHeadroom-etherMost, tcp.SegmentRoom(1, chunk)+leastHeader)
}

// chooseGeometry fixes chunk size, frames and queues.
func (s *Session) chooseGeometry() error {
	c := &s.cfg
	if err := s.chooseLayout(); err != nil {
		return err
	}
	if c.Chunk == 0 {
		c.Chunk = s.defaultChunk()
	}
	if c.Chunk < umem.MinChunk || c.Chunk > umem.MaxChunk || c.Chunk&(c.Chunk-1) != 0 {
		return fmt.Errorf("%w: chunk of %d bytes: must be %d or %d", ErrConfig, c.Chunk, umem.MinChunk, umem.MaxChunk)
	}
	if most := s.mostMTU(); s.link.MTU > most {
		return fmt.Errorf("%w: %s has an MTU of %d bytes, a frame of %d carries %d: %s", ErrMTU, s.link.Name, s.link.MTU, c.Chunk, most, s.mtuRemedy())
	}
	if c.Queues == 0 {
		c.Queues = s.link.RxQueues
	}
	if c.Queues > s.link.RxQueues {
		err := fmt.Errorf("%w: %d queues: %s has %d: choose up to that, or leave --queues out", ErrConfig, c.Queues, s.link.Name, s.link.RxQueues)
		if !s.giveUp("queues", err) {
			return err
		}
		c.Queues = s.link.RxQueues
	}
	if c.Queues < s.link.RxQueues && !c.Steer {
		c.Warn(fmt.Sprintf("%s has %d RX queues and %d get a socket: replies that arrive on the others are dropped", s.link.Name, s.link.RxQueues, c.Queues))
	}
	if c.Frames == 0 {
		c.Frames = DefaultFrames + c.Queues*(rxFrames+reserveFrames)
	}
	if err := s.checkTrapped(); err != nil {
		return err
	}
	return s.checkFrames()
}

// defaultChunk is the small one where copy mode is certain and the MTU fits. In
// zero-copy mode some drivers (igb) receive into a chunk in whole KiB behind its
// headroom, and cut what is longer. A trap goes by the page.
func (s *Session) defaultChunk() int {
	copies := s.cfg.Mode == afxdp.ModeCopy || believesChecksums(s.link.Kind)
	if !s.cfg.Trap && !s.sg && copies && s.link.MTU <= largestMTU(umem.MinChunk) {
		return umem.MinChunk
	}
	return umem.MaxChunk
}

// mostMTU is the bytes of IP packet that can be sent.
func (s *Session) mostMTU() int {
	if s.sg {
		return s.scatteredMTU(s.cfg.Chunk)
	}
	return largestMTU(s.cfg.Chunk)
}

func (s *Session) mtuRemedy() string {
	if s.cfg.SG == SGOff && s.cfg.Binding == BindingNative && s.link.MTU <= s.scatteredMTU(umem.MaxChunk) {
		return "leave --sg off out, so that a packet may have several descriptors"
	}
	most := largestMTU(umem.MaxChunk)
	if s.sg {
		most = s.scatteredMTU(umem.MaxChunk)
	}
	if s.cfg.Chunk < umem.MaxChunk && s.link.MTU <= most {
		return fmt.Sprintf("use a chunk of %d", umem.MaxChunk)
	}
	if copied := segsMTU(umem.MaxChunk, tcp.MaxDescs); s.fewSegs() != "" && s.link.MTU <= copied {
		return fmt.Sprintf("--mode copy carries %d", copied)
	}
	return fmt.Sprintf("--mtu %d sets it for the time of the run, \"ip link set dev %s mtu %d\" for good", most, s.link.Name, most)
}

// checkFrames says what a region must hold before any memory is mapped.
func (s *Session) checkFrames() error {
	// n streams have a share of 4T/(4n+1) of T frames each, and need two.
	n := s.senders()
	send := 2*((s.cfg.Writers+n-1)/n) + 1
	need := rxFrames + reserveFrames + send
	if s.perQueue() >= need {
		return nil
	}
	return fmt.Errorf("%w: %d frames for %d queues are %d each: %d on the fill ring + %d in reserve + %d to send from = %d are needed (%d in all)",
		umem.ErrTooSmall, s.cfg.Frames, s.cfg.Queues, s.perQueue(), rxFrames, reserveFrames, send, need, need*s.cfg.Queues)
}

// senders is the queues that can send, from 0: where the NIC has fewer TX than RX queues, the others have sockets for what is received
// only. A socket may be bound to them, and what it sends is never completed.
func (s *Session) senders() int {
	if s.link.TxQueues < 1 { // nobody says
		return s.cfg.Queues
	}
	return min(s.cfg.Queues, s.link.TxQueues)
}

// perQueue is the frames that each queue's pool has.
func (s *Session) perQueue() int { return s.cfg.Frames / s.cfg.Queues }
