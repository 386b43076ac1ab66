package dataplane

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/xsend/xsend/internal/wire"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// milestones are what happened to a stream, as bits; none of them is taken back.
type milestones = uint32

const (
	isEstablished milestones = 1 << iota // the handshake was done
	isSendClosed                         // the peer ACKed our FIN, and so everything
	isPeerClosed                         // the peer said FIN
	isEnded                              // the connection is gone; Err says why
	isHome                               // gone, and every frame and descriptor came back
	isTested                             // established, and the canary, where there is one, has its verdict
	numMilestones = 6
)

// Stream is one connection with the frames that its writer committed to it. Its
// methods may be called by any goroutine unless they say otherwise.
type Stream struct {
	poller *Poller
	writer *Writer
	flow   wire.Flow

	// Shared: the poller writes, others read.
	reached atomic.Uint32 // milestones
	state   atomic.Uint32 // tcp.State
	mss     atomic.Int32  // payload bytes of a full segment
	acked   atomic.Uint64 // payload bytes that the peer ACKed
	budget  atomic.Int32  // frames that may be reserved or committed, and not released
	err     error         // valid once isEnded was seen
	news    [numMilestones]chan struct{}

	_ [64]byte

	// The writer's.
	held   int    // frames reserved or committed, and not released
	closed bool   // CloseWrite was called
	wrote  uint64 // bytes committed; only with a trap
	pipe   *Pipe  // nil: there is none

	_ [64]byte

	// The poller's.
	conn      *tcp.Conn
	due       tcp.Time // key in the deadlines
	heapAt    int
	end       uint64     // bytes committed: where the next commit starts in the stream
	parked    umem.Frame // first commit that waits for room in the connection
	parkedEnd umem.Frame
	bits      milestones
	told      milestones // whose channels are closed
	allowed   int        // what budget says
	committed int        // frames committed and not released
	out       int        // descriptors out
	hold      streamHold
	traced    streamTrace
	mssNow    int
	stateNow  tcp.State
	cause     error // why the poller ended it; nil where the connection has its own reason
	ready     bool
	changed   bool
	closing   bool // the writer's CloseWrite was admitted
	finished  bool // and handed to the connection
}

// Flow is the stream's pair of addresses and ports.
func (s *Stream) Flow() wire.Flow { return s.flow }

// State is where the connection is in its life.
func (s *Stream) State() tcp.State { return tcp.State(s.state.Load()) }

// MSS is the payload bytes of a full segment now; it means little before the
// handshake is done.
func (s *Stream) MSS() int { return int(s.mss.Load()) }

// Budget is the number of frames that the stream may have reserved or committed,
// and not released, now.
func (s *Stream) Budget() int { return int(s.budget.Load()) }

// Established reports that the handshake was done, whatever came later.
func (s *Stream) Established() bool { return s.reached.Load()&isEstablished != 0 }

// SendClosed reports that the peer ACKed everything that was committed, and our FIN.
func (s *Stream) SendClosed() bool { return s.reached.Load()&isSendClosed != 0 }

// PeerClosed reports that the peer will send no more.
func (s *Stream) PeerClosed() bool { return s.reached.Load()&isPeerClosed != 0 }

// Ended reports that the connection is gone.
func (s *Stream) Ended() bool { return s.reached.Load()&isEnded != 0 }

// Home reports that the connection is gone and nothing of it is left: no commit
// without its release, no descriptor with the kernel.
func (s *Stream) Home() bool { return s.reached.Load()&isHome != 0 }

// Err is why the connection ended: one of tcp's errors, or ErrQueueDead with the
// cause; nil while it lives and after a clean close.
func (s *Stream) Err() error {
	if !s.Ended() {
		return nil
	}
	return s.err
}

// WaitEstablished waits until the handshake is done. The error is the stream's, or
// that of ctx. It needs a poller that runs.
func (s *Stream) WaitEstablished(ctx context.Context) error { return s.wait(ctx, 0) }

// WaitSendClosed waits until the peer ACKed everything and our FIN.
func (s *Stream) WaitSendClosed(ctx context.Context) error { return s.wait(ctx, 1) }

// WaitPeerClosed waits for the peer's FIN.
func (s *Stream) WaitPeerClosed(ctx context.Context) error { return s.wait(ctx, 2) }

// WaitHome waits until the connection is gone and nothing of it is left. A
// connection that ends cleanly stays in TIME-WAIT for a minute before.
func (s *Stream) WaitHome(ctx context.Context) error { return s.wait(ctx, 4) }

// WaitCanary waits for the verdict of the canary, which Stats then has; without one, until
// the handshake is done.
func (s *Stream) WaitCanary(ctx context.Context) error { return s.wait(ctx, 5) }

// SetChecksum changes who computes the checksums of what is sent.
func (s *Stream) SetChecksum(ctx context.Context, k tcp.Checksum) error {
	return s.poller.Do(ctx, func(tcp.Time) { s.conn.SetChecksum(k) })
}

// wait waits for milestone number n, or for the end of the connection.
func (s *Stream) wait(ctx context.Context, n int) error {
	ended := s.news[3]
	if n == 4 {
		ended = nil
	}
	select {
	case <-s.news[n]:
		return nil
	default:
	}
	select {
	case <-s.news[n]:
		return nil
	case <-ended:
	case <-s.poller.stopped:
		return fmt.Errorf("%v: %w", s.flow.RemoteAddr(), ErrStopped)
	case <-ctx.Done():
		return fmt.Errorf("%v: %w", s.flow.RemoteAddr(), context.Cause(ctx))
	}
	if s.reached.Load()&(1<<n) != 0 {
		return nil
	}
	if err := s.Err(); err != nil {
		return fmt.Errorf("%v: %w", s.flow.RemoteAddr(), err)
	}
	return fmt.Errorf("%v: %w", s.flow.RemoteAddr(), ErrClosed)
}

// Abort ends the connection with a RST; every commit is released as aborted.
func (s *Stream) Abort(ctx context.Context) error {
	return s.poller.Do(ctx, func(now tcp.Time) { s.poller.Abort(now, s) })
}

// SetPath changes what is below TCP: next hop, tag.
func (s *Stream) SetPath(ctx context.Context, path wire.Path) error {
	return s.poller.Do(ctx, func(tcp.Time) { s.conn.SetPath(path) })
}

// SetMTU changes the bytes of IP packet that the path carries.
func (s *Stream) SetMTU(ctx context.Context, mtu int) error {
	return s.poller.Do(ctx, func(now tcp.Time) { s.poller.SetMTU(now, s, mtu) })
}

// Stats is a snapshot of the connection's counters; after the poller stopped it is
// the last one.
func (s *Stream) Stats(ctx context.Context) (tcp.Stats, error) {
	var st tcp.Stats
	err := s.poller.Do(ctx, func(tcp.Time) { st = s.conn.Stats() })
	if errors.Is(err, ErrStopped) {
		<-s.poller.stopped
		return s.conn.Stats(), nil
	}
	return st, err
}

// StatsNow is Stats for the poller's goroutine.
func (s *Stream) StatsNow() tcp.Stats { return s.conn.Stats() }
