package session

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/umem"
)

const (
	zeroCopyWait = 3 * time.Second // binding takes some links down for half a second
	canaryBytes  = 60              // the least that Ethernet carries
	canaryType   = 0x88b5          // for experiments (IEEE 802): no host takes it
)

// errNotCompleted says that a driver bound in zero-copy mode sends nothing.
var errNotCompleted = errors.New("the driver bound in zero-copy mode and does not complete a frame")

// proven is the port of a queue just opened. A driver that bound in zero-copy mode must complete a frame first: some bind and then
// send nothing (igb with a generic program: every doorbell is EINVAL). Where anything will do, copy mode is taken instead.
func (s *Session) proven(ctx context.Context, q *queue, port dataplane.Port) (dataplane.Port, error) {
	if !port.Caps().ZeroCopy || q.poller != nil || s.copyInstead || q.index >= s.senders() {
		return port, nil
	}
	err := s.completes(ctx, port, q.region, s.canaryFrame(q))
	if err == nil {
		return port, nil
	}
	err = errors.Join(fmt.Errorf("%w: %s queue %d: %w", afxdp.ErrNoZeroCopy, s.link.Name, q.index, err), s.prog.UnregisterSocket(q.index), port.Close())
	switch {
	case s.cfg.Binding == BindingNative && s.cfg.Mode == afxdp.ModeAuto:
		s.cfg.Warn(fmt.Sprintf("%v: copy mode is used instead", err))
	case s.cfg.Binding != BindingNative || !s.giveUp("mode", err):
		return nil, fmt.Errorf("%w: use --mode copy", err)
	}
	s.copyInstead = true
	return s.openPort(ctx, q)
}

// canaryFrame is the last of the queue's share: nobody has it yet.
func (s *Session) canaryFrame(q *queue) umem.Frame {
	if s.cfg.Binding == BindingNative {
		return umem.Frame((q.index+1)*s.perQueue() - 1)
	}
	return umem.Frame(s.perQueue() - 1)
}

// completes sends a frame to the interface's own address, and waits for its completion.
func (s *Session) completes(ctx context.Context, port dataplane.Port, region *umem.Region, f umem.Frame) error {
	const at = 256 // behind all that a kernel may want in front of a descriptor
	b := region.Bytes(f)[at : at+canaryBytes]
	clear(b)
	copy(b, s.link.MAC)
	copy(b[6:], s.link.MAC)
	b[12], b[13] = canaryType>>8, canaryType&0xff
	addr := region.Addr(f) + at
	port.Tx([]umem.Desc{{Addr: addr, Len: canaryBytes}})
	end := time.Now().Add(zeroCopyWait)
	for done := [1]uint64{}; time.Now().Before(end) && ctx.Err() == nil; time.Sleep(time.Millisecond) {
		if k := port.Kick(); k == dataplane.KickDead {
			return fmt.Errorf("%w: the doorbell says %v", errNotCompleted, k)
		}
		if port.Reap(done[:]) == 1 && done[0] == addr {
			return nil
		}
	}
	if err := context.Cause(ctx); err != nil {
		return err
	}
	return fmt.Errorf("%w within %v", errNotCompleted, zeroCopyWait)
}
