package session

import (
	"context"
	"io"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
)

// Conn is one connection with the writer that fills its frames.
type Conn struct {
	session *Session
	queue   *queue
	port    *hw.PortReservation
	local   netip.AddrPort
	remote  netip.AddrPort
	dscp    uint8
	writer  *dataplane.Writer
	stream  *dataplane.Stream
	closing sync.Once
	given   atomic.Bool   // Close was called
	gone    chan struct{} // closed when nothing of it is left
	iss     tcp.Seq
	reused  bool // the ports are those of a connection that was in TIME-WAIT, and used numbers below above
	above   tcp.Seq

	// Guarded by the session's mu once it knows the connection.
	path hw.Path
	mtu  int // what the stream was told last
}

// Writer is the connection's writer; it belongs to one goroutine.
func (c *Conn) Writer() *dataplane.Writer { return c.writer }

// Stream is the connection as the writer names it.
func (c *Conn) Stream() *dataplane.Stream { return c.stream }

// Pipe is the connection as an io.Writer and io.ReaderFrom, and for frames that are
// filled in place and files. Where it is used at all, the first call must be before
// anything is reserved or committed with the Writer. It belongs to the writer's
// goroutine, as do Write, ReadFrom and Flush.
func (c *Conn) Pipe() *dataplane.Pipe { return c.writer.Pipe(c.stream) }

// Write is Pipe().Write: b is copied into frames, and the caller's again.
func (c *Conn) Write(b []byte) (int, error) { return c.Pipe().Write(b) }

// ReadFrom is Pipe().ReadFrom, which io.Copy(c, file) calls.
func (c *Conn) ReadFrom(r io.Reader) (int64, error) { return c.Pipe().ReadFrom(r) }

// Flush is Pipe().Flush: it waits until everything written is ACKed and out of the
// NIC. An ACK is the peer's kernel's; its program may not have read a byte.
func (c *Conn) Flush(ctx context.Context) error { return c.Pipe().Flush(ctx) }

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

// Close gives connection and writer up, for programs that dial many times; the
// session's Close does it for those that are left. What was committed is still sent,
// our FIN behind it, and nobody is told of the releases. The local port is free once
// nothing of the connection is left: after TIME-WAIT, one minute, or at once if it was
// reset; a new connection between the same two ends may have it before. It is for the writer's goroutine, with no frame reserved, and returns at
// once. Further calls do nothing.
func (c *Conn) Close() {
	c.closing.Do(func() {
		s := c.session
		ctx, leave, err := s.enter(context.Background())
		if err != nil {
			return // the session is at it
		}
		c.CloseWrite()
		c.writer.Close()
		c.given.Store(true)
		go func() {
			defer leave()
			if c.stream.WaitHome(ctx) == nil {
				s.remove(c)
			}
		}()
	})
}

// pathMTU is the bytes of IP packet that can go to the peer: no more than interface,
// route and frame carry. The session's mu is held.
func (c *Conn) pathMTU() int {
	mtu := min(c.session.mtu, c.session.mostMTU())
	if n := c.path.Route.MTU; n > 0 {
		mtu = min(mtu, n)
	}
	return mtu
}

func (c *Conn) wirePath(p hw.Path) wire.Path {
	s := c.session
	return wire.Path{SrcMAC: [6]byte(s.via.MAC), DstMAC: p.MAC, Tagged: s.cfg.Tagged, VLAN: s.cfg.VLAN, DSCP: c.dscp}
}

// add makes the connection one that follows what happens to its path. What happened
// while it was opened is made up for.
func (s *Session) add(ctx context.Context, c *Conn) {
	s.follow.add(c)
	s.follow.fit(ctx, c)
}

// remove forgets a connection that is over.
func (s *Session) remove(c *Conn) {
	s.follow.remove(c)
	if err := c.unprepare(); err != nil {
		s.cfg.Warn(err.Error())
	}
	close(c.gone)
}

func (s *Session) connections() []*Conn {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Keys(s.conns))
}
