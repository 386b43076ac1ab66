package session

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// Dial opens a connection and waits until it is established or ctx is done. Errors
// of hw (no route, no neighbour, port in use) and ErrInterface, ErrConfig, ErrClosed
// mean that nothing was sent; those of tcp that the peer, or nobody, answered.
func (s *Session) Dial(ctx context.Context, dc DialConfig) (*Conn, error) {
	if err := dc.check(); err != nil {
		return nil, err
	}
	ctx, leave, err := s.enter(ctx)
	if err != nil {
		return nil, err
	}
	defer leave()
	c := &Conn{session: s, remote: dc.Remote, dscp: dc.DSCP, gone: make(chan struct{})}
	before, _ := s.prog.Counters()
	if err := s.ns.do(func() error { return c.prepare(ctx, dc) }); err != nil {
		return nil, errors.Join(err, c.unprepare())
	}
	if err := c.establish(ctx, dc); err != nil {
		return nil, errors.Join(s.explain(err, before.NoSocketQueue), c.unprepare())
	}
	s.add(ctx, c)
	return c, nil
}

func (dc *DialConfig) check() error {
	dc.Remote = netip.AddrPortFrom(dc.Remote.Addr().Unmap(), dc.Remote.Port())
	if !dc.Remote.IsValid() || dc.Remote.Port() == 0 {
		return fmt.Errorf("%w: no remote address and port", ErrConfig)
	}
	if dc.DSCP > 63 {
		return fmt.Errorf("%w: DSCP %d: must be from 0 to 63", ErrConfig, dc.DSCP)
	}
	return nil
}

// enter lets Close wait for the caller until leave is called, and the session's end
// end the context, so that it does not wait long.
func (s *Session) enter(parent context.Context) (ctx context.Context, leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, ErrClosed
	}
	s.users.Add(1)
	ctx, cancel := context.WithCancelCause(parent)
	stop := context.AfterFunc(s.life, func() { cancel(ErrClosed) })
	return ctx, func() {
		stop()
		cancel(nil)
		s.users.Done()
	}, nil
}

// prepare finds the way and takes the local port, for the host and for the program.
func (c *Conn) prepare(ctx context.Context, dc DialConfig) (err error) {
	s := c.session
	if c.path, err = s.resolve(ctx, dc.Remote.Addr()); err != nil {
		return err
	}
	if c.path.Route.Interface != s.via.Index {
		return fmt.Errorf("%w: %v leaves by interface %d, the session is on %s", ErrInterface, dc.Remote.Addr(), c.path.Route.Interface, s.via.Name)
	}
	source := c.path.Route.Source
	if source.IsLinkLocalUnicast() && source.Is6() {
		source = source.WithZone(s.via.Name)
	}
	if dc.LocalPort != 0 {
		if err := c.reuse(ctx, netip.AddrPortFrom(c.path.Route.Source, dc.LocalPort), dc.Remote); err != nil {
			return err
		}
	}
	port, err := hw.ReservePort(netip.AddrPortFrom(source, dc.LocalPort))
	if err != nil {
		return err
	}
	if err := s.steer(port.Port()); err != nil {
		return errors.Join(err, port.Close())
	}
	c.port = port
	c.local = netip.AddrPortFrom(c.path.Route.Source, port.Port())
	return nil
}

// unprepare is prepare's inverse.
func (c *Conn) unprepare() error {
	if c.port == nil {
		return nil
	}
	return errors.Join(c.session.unsteer(c.port.Port()), c.port.Close())
}

// steer makes a local port ours. The program knows ports without addresses, so that
// two connections may share one, over IPv4 and IPv6.
func (s *Session) steer(port uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[port] == 0 {
		if err := s.prog.AddPort(port); err != nil {
			return err
		}
	}
	s.ports[port]++
	return nil
}

// unsteer gives it back to the kernel when the last one ends.
func (s *Session) unsteer(port uint16) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ports[port]--; s.ports[port] > 0 {
		return nil
	}
	delete(s.ports, port)
	return s.prog.RemovePort(port)
}

// establish makes the writer and the handshake.
func (c *Conn) establish(ctx context.Context, dc DialConfig) (err error) {
	s := c.session
	c.queue = s.pickQueue()
	sums, err := s.checksumTurn(ctx, c.queue)
	if err != nil {
		return err
	}
	defer sums.done()
	if c.writer, err = c.queue.poller.AddWriter(ctx, s.writerFrames()); err != nil {
		return err
	}
	flow := wire.FlowOf(c.local, netip.AddrPortFrom(dc.Remote.Addr().WithZone(""), dc.Remote.Port()))
	c.iss = c.sequence(s.secret.sequence(flow))
	s.mu.Lock()
	c.mtu = c.pathMTU()
	s.mu.Unlock()
	c.stream, err = c.queue.poller.Dial(ctx, c.writer, tcp.Config{
		Flow: flow, Path: c.wirePath(c.path), MTU: c.mtu, ISS: c.iss, TSOffset: s.secret.timestamp(flow),
		MSS: dc.MSS, AdvertMSS: s.advertMSS(flow.Is4()), Congestion: dc.Congestion, FixedWindow: dc.FixedWindow, ECN: dc.ECN, NoPacing: dc.NoPacing, Rate: dc.Rate,
		RTOMin: tcp.Duration(dc.RTOMin), UserTimeout: tcp.Duration(dc.UserTimeout), KeepAlive: tcp.Duration(dc.KeepAlive), Hold: s.hold(dc.Hold),
		NoSACK: dc.NoSACK, NoTimestamps: dc.NoTimestamps, NoScale: dc.NoScale,
		SendSlots: s.sendSlots(), Resum: s.cfg.Release != dataplane.ReleaseAck, Checksum: sums.use, Canary: sums.canary,
	})
	if err == nil && sums.canary {
		if err = s.judgeChecksums(ctx, c, sums.sums); err != nil {
			_ = c.stream.Abort(context.WithoutCancel(ctx)) // fails only where the poller has stopped
		}
	}
	if err != nil {
		c.writer.Close()
	}
	return err
}

// pickQueue gives connections in turn to the queues that can send.
func (s *Session) pickQueue() *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[s.next%s.senders()]
	s.next++
	return q
}

// writerFrames is the frames that one writer's rings have room for: all of the
// queue's for a single writer, and twice its share for one of many.
func (s *Session) writerFrames() int {
	if s.cfg.Writers <= s.senders() {
		return 0
	}
	share := s.perQueue() * s.senders() / s.cfg.Writers
	return min(s.perQueue(), max(64, 2*share))
}

// sendSlots is the segments that one connection can have queued: as many as its
// writer can own frames, and some for cuts. 0 leaves it to the poller.
func (s *Session) sendSlots() int {
	n := s.writerFrames()
	if n == 0 {
		return 0
	}
	if s.sg { // a frame begins several segments
		n *= 1 + s.cfg.Chunk/1024
	}
	return n + 64
}

// explain adds to a handshake that timed out what the steering program dropped on
// each queue since before.
func (s *Session) explain(err error, before []uint64) error {
	if s.life.Err() != nil {
		return fmt.Errorf("%w: %w", ErrClosed, err)
	}
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, tcp.ErrTimeout) {
		return err
	}
	now, _ := s.prog.Counters()
	where := ""
	for q, n := range now.NoSocketQueue {
		if q < len(before) {
			n -= before[q]
		}
		if n > 0 {
			where += fmt.Sprintf(" %d (%d packets)", q, n)
		}
	}
	if n := s.Counters().RxChecksum; where == "" && n > 0 {
		return fmt.Errorf("%w: %w: %d packets arrived with a wrong checksum and were dropped: where the peer is on this machine and leaves checksums to a NIC that is never reached, turn that off there (ethtool -K IFACE tx off), or believe them (--rx-checksum trust)",
			tcp.ErrTimeout, err, n)
	}
	if where == "" {
		return fmt.Errorf("%w: %w: no answer%s", tcp.ErrTimeout, err, s.cfg.tags())
	}
	return fmt.Errorf("%w: %w: answers arrived on RX queues without a socket and were dropped: queue%s; bind all of them (--queues 0), or steer with ethtool -L %s combined %d",
		tcp.ErrTimeout, err, where, s.link.Name, len(s.queues))
}
