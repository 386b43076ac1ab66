package transfer

import (
	"context"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/tcp"
	"golang.org/x/sys/unix"
)

// openSession opens a real session as a network.
func openSession(ctx context.Context, cfg session.Config) (network, error) {
	s, err := session.Open(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return realNetwork{s}, nil
}

type realNetwork struct{ *session.Session }

func (n realNetwork) Dial(ctx context.Context, dc session.DialConfig) (connection, error) {
	c, err := n.Session.Dial(ctx, dc)
	if err != nil {
		return nil, err
	}
	return realConnection{c, c.Writer(), c.Stream()}, nil
}

// realConnection joins a connection with its writer and stream, which know nothing of it.
type realConnection struct {
	*session.Conn
	writer *dataplane.Writer
	stream *dataplane.Stream
}

func (c realConnection) Reserve() (dataplane.Buf, bool) { return c.writer.Reserve(c.stream) }
func (c realConnection) ReserveWait(ctx context.Context) (dataplane.Buf, error) {
	return c.writer.ReserveWait(ctx, c.stream)
}
func (c realConnection) Commit(b dataplane.Buf, n int, cookie uint64) {
	c.writer.Commit(c.stream, b, n, cookie)
}
func (c realConnection) Guard(f func() error) error { return c.writer.Guard(f) }
func (c realConnection) Explain(err error, bufs ...[]byte) error {
	return c.writer.Explain(err, bufs...)
}
func (c realConnection) Abandon(b dataplane.Buf)                     { c.writer.Abandon(c.stream, b) }
func (c realConnection) OnRelease(f func(dataplane.Release, []byte)) { c.writer.OnRelease = f }
func (c realConnection) Poll() int                                   { return c.writer.Poll() }
func (c realConnection) Wait(ctx context.Context) error              { return c.writer.Wait(ctx) }
func (c realConnection) Leave()                                      { c.writer.Close() }

// Abort fails only where the poller has stopped, and the connection with it.
func (c realConnection) Abort() { _ = c.Conn.Abort(context.Background()) }

func (c realConnection) Acked() uint64 { return c.stream.Acked() }

// Stats is the last snapshot where the poller has stopped.
func (c realConnection) Stats() tcp.Stats {
	st, _ := c.Conn.Stats(context.Background())
	return st
}

// kernelRelease is the running kernel's, as uname -r prints it.
func kernelRelease() string {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return ""
	}
	return unix.ByteSliceToString(u.Release[:])
}
