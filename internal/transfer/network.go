package transfer

import (
	"context"
	"net/netip"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/tcp"
)

// network is what a run needs of a session; a test stands in for it.
type network interface {
	Dial(context.Context, session.DialConfig) (connection, error)
	Info() session.Info
	Books(context.Context) ([]session.QueueBooks, error)
	Times(context.Context) (*dataplane.Times, error)
	// Knobs is complete once the connections stand, and after Close too.
	Knobs() []session.Knob
	Close() (session.Report, error)
}

// connection is one connection with the writer that fills its frames. The first group is for the goroutine
// that writes, the others for any.
type connection interface {
	Reserve() (dataplane.Buf, bool)
	ReserveWait(context.Context) (dataplane.Buf, error)
	Commit(b dataplane.Buf, n int, cookie uint64)
	Abandon(dataplane.Buf)
	// Guard runs what writes to frames, Explain says what a system call that did has failed for.
	Guard(func() error) error
	Explain(err error, bufs ...[]byte) error
	// OnRelease sets the function that is told of releases by Poll, Reserve and ReserveWait.
	OnRelease(func(dataplane.Release, []byte))
	Poll() int
	// Wait returns when releases or news of the connection may be there.
	Wait(context.Context) error
	CloseWrite()
	// Leave gives all frames back; nothing of the first group may be called any more.
	Leave()

	Abort()
	WaitSent(context.Context) error
	WaitPeerClosed(context.Context) error

	Err() error
	Acked() uint64 // bytes that the peer ACKed
	Stats() tcp.Stats
	LocalAddr() netip.AddrPort
	RemoteAddr() netip.AddrPort
}
