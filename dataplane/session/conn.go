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

// Conn is one connection with the writer that fills its frames.
type Conn struct {
	session *Session
	queue   *queue
	path    hw.Path
	port    *hw.PortReservation
	local   netip.AddrPort
	remote  netip.AddrPort
	dscp    uint8
	writer  *dataplane.Writer
	stream  *dataplane.Stream
}

// Dial opens a connection and waits until it is established or ctx is done. Errors
// of hw (no route, no neighbour, port in use) and ErrInterface, ErrConfig mean that
// nothing was sent; those of tcp that the peer, or nobody, answered.
func (s *Session) Dial(ctx context.Context, dc DialConfig) (*Conn, error) {
	if !dc.Remote.IsValid() || dc.Remote.Port() == 0 {
		return nil, fmt.Errorf("%w: no remote address and port", ErrConfig)
	}
	if dc.DSCP > 63 {
		return nil, fmt.Errorf("%w: DSCP %d: must be from 0 to 63", ErrConfig, dc.DSCP)
	}
	c := &Conn{session: s, remote: dc.Remote, dscp: dc.DSCP}
	if err := s.ns.do(func() error { return c.prepare(ctx, dc) }); err != nil {
		return nil, errors.Join(err, c.unprepare())
	}
	if err := c.establish(ctx, dc); err != nil {
		return nil, errors.Join(s.explain(err), c.unprepare())
	}
	s.mu.Lock()
	s.conns[c] = struct{}{}
	s.mu.Unlock()
	s.follow.add(c)
	return c, nil
}

// prepare finds the way and takes the local port, for the host and for the program.
func (c *Conn) prepare(ctx context.Context, dc DialConfig) (err error) {
	s := c.session
	if c.path, err = s.resolve(ctx, dc.Remote.Addr()); err != nil {
		return err
	}
	if c.path.Route.Interface != s.link.Index {
		return fmt.Errorf("%w: %v leaves by interface %d, the session is on %s", ErrInterface, dc.Remote.Addr(), c.path.Route.Interface, s.link.Name)
	}
	source := c.path.Route.Source
	if source.IsLinkLocalUnicast() && source.Is6() {
		source = source.WithZone(s.link.Name)
	}
	if c.port, err = hw.ReservePort(netip.AddrPortFrom(source, dc.LocalPort)); err != nil {
		return err
	}
	c.local = netip.AddrPortFrom(c.path.Route.Source, c.port.Port())
	return s.prog.AddPort(c.port.Port())
}

// unprepare is prepare's inverse.
func (c *Conn) unprepare() error {
	if c.port == nil {
		return nil
	}
	err := c.session.prog.RemovePort(c.port.Port())
	return errors.Join(err, c.port.Close())
}

// establish makes the writer and the handshake.
func (c *Conn) establish(ctx context.Context, dc DialConfig) (err error) {
	s := c.session
	c.queue = s.pickQueue()
	if c.writer, err = c.queue.poller.AddWriter(ctx, s.writerFrames()); err != nil {
		return err
	}
	flow := wire.FlowOf(c.local, netip.AddrPortFrom(dc.Remote.Addr().WithZone(""), dc.Remote.Port()))
	mtu := s.link.MTU
	if c.path.Route.MTU > 0 {
		mtu = min(mtu, c.path.Route.MTU)
	}
	c.stream, err = c.queue.poller.Dial(ctx, c.writer, tcp.Config{
		Flow: flow, Path: c.wirePath(c.path), MTU: mtu, ISS: s.secret.sequence(flow), TSOffset: s.secret.timestamp(flow),
		MSS: dc.MSS, Congestion: dc.Congestion, Rate: dc.Rate, UserTimeout: tcp.Duration(dc.UserTimeout),
		NoSACK: dc.NoSACK, NoTimestamps: dc.NoTimestamps, NoScale: dc.NoScale,
		SendSlots: s.sendSlots(), Resum: s.cfg.Release != dataplane.ReleaseAck,
	})
	if err != nil {
		c.writer.Close()
	}
	return err
}

func (c *Conn) wirePath(p hw.Path) wire.Path {
	return wire.Path{SrcMAC: [6]byte(c.session.link.MAC), DstMAC: p.MAC, TOS: c.dscp << 2}
}

// pickQueue gives connections to the queues in turn.
func (s *Session) pickQueue() *queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[s.next%len(s.queues)]
	s.next++
	return q
}

// writerFrames is the frames that one writer's rings have room for: all of the
// queue's for a single writer, and twice its share for one of many.
func (s *Session) writerFrames() int {
	if s.cfg.Writers <= len(s.queues) {
		return 0
	}
	share := s.perQueue() * len(s.queues) / s.cfg.Writers
	return min(s.perQueue(), max(64, 2*share))
}

// sendSlots is the segments that one connection can have queued: as many as its
// writer can own frames, and some for cuts. 0 leaves it to the poller.
func (s *Session) sendSlots() int {
	n := s.writerFrames()
	if n == 0 {
		return 0
	}
	return n + 64
}

// explain adds to a handshake that timed out what the steering program saw.
func (s *Session) explain(err error) error {
	if !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, tcp.ErrTimeout) {
		return err
	}
	counters, cerr := s.prog.Counters()
	if cerr != nil || counters.NoSocket == 0 {
		return fmt.Errorf("%w: %w: no answer", tcp.ErrTimeout, err)
	}
	where := ""
	for q, n := range counters.NoSocketQueue {
		if n > 0 {
			where += fmt.Sprintf(" %d (%d packets)", q, n)
		}
	}
	return fmt.Errorf("%w: %w: answers arrived on RX queues without a socket and were dropped: queue%s; bind all of them (--queues 0), or steer with ethtool -L %s combined %d",
		tcp.ErrTimeout, err, where, s.link.Name, len(s.queues))
}

// Writer is the connection's writer; it belongs to one goroutine.
func (c *Conn) Writer() *dataplane.Writer { return c.writer }

// Stream is the connection as the writer names it.
func (c *Conn) Stream() *dataplane.Stream { return c.stream }

// LocalAddr is our end.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// RemoteAddr is the peer's end.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// Queue is the number of the NIC queue that the connection sends on.
func (c *Conn) Queue() int { return c.queue.index }

// CloseWrite queues our FIN behind everything committed; for the writer's goroutine.
func (c *Conn) CloseWrite() { c.writer.CloseWrite(c.stream) }

// WaitSent waits until the peer ACKed every byte and our FIN.
func (c *Conn) WaitSent(ctx context.Context) error { return c.stream.WaitSendClosed(ctx) }

// WaitPeerClosed waits for the peer's FIN.
func (c *Conn) WaitPeerClosed(ctx context.Context) error { return c.stream.WaitPeerClosed(ctx) }

// Abort ends the connection with a RST; what is not ACKed is released as aborted.
func (c *Conn) Abort(ctx context.Context) error { return c.stream.Abort(ctx) }

// Err is why the connection ended; nil while it lives and after a clean end.
func (c *Conn) Err() error { return c.stream.Err() }

// Stats is a snapshot of the connection's counters.
func (c *Conn) Stats(ctx context.Context) (tcp.Stats, error) { return c.stream.Stats(ctx) }
