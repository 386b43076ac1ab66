package transfer

import (
	"context"
	"fmt"
	"io"
	"math"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/internal/readv"
)

// pause is how long a stream that brings nothing is waited for before somebody looks after the connection, in
// milliseconds.
const pause = 50

// stream reads a pipe, a socket, a terminal or a device with readv(2). Before each read it waits for bytes
// together with a descriptor of its own, so that the end of a context ends the wait: O_NONBLOCK would do it
// too, but other programs may share the file's flags.
type stream struct {
	in   *input
	fd   int
	wake int         // eventfd, readable from the end of the context on
	quit func() bool // stops waiting for that
	iov  readv.Vector
}

func newStream(in *input) (*stream, error) {
	wake, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("%s: eventfd: %w", in.name, err)
	}
	return &stream{in: in, fd: int(in.file.Fd()), wake: wake}, nil
}

func (s *stream) size() int64 { return -1 }

func (s *stream) close() {
	if s.quit != nil && !s.quit() {
		return // it is writing, or about to: better one descriptor too many than a stranger's
	}
	unix.Close(s.wake) //nolint:errcheck // an eventfd has nothing to lose
}

func (s *stream) fill(ctx context.Context, into [][]byte) (int, error) {
	if s.quit == nil {
		s.quit = context.AfterFunc(ctx, s.interrupt)
	}
	s.iov.Set(into, 0, math.MaxInt64)
	for {
		if came, err := s.await(ctx); err != nil || !came {
			return 0, err
		}
		n, err := s.iov.Readv(s.fd)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN: // EAGAIN: somebody else read it, or set O_NONBLOCK
			continue
		case err != nil:
			return 0, fmt.Errorf("%s: read: %w", s.in.name, err)
		case n == 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// await waits a while until a read wouldn't block, and tells whether that is so. The error is ctx's.
func (s *stream) await(ctx context.Context) (came bool, err error) {
	fds := []unix.PollFd{
		{Fd: int32(s.fd), Events: unix.POLLIN},
		{Fd: int32(s.wake), Events: unix.POLLIN},
	}
	for {
		n, err := unix.Poll(fds, pause)
		switch {
		case ctx.Err() != nil:
			return false, ctx.Err()
		case err == unix.EINTR:
			continue
		case err != nil:
			return false, fmt.Errorf("%s: poll: %w", s.in.name, err)
		}
		return n > 0, nil
	}
}

// interrupt ends a poll that is under way, and every later one.
func (s *stream) interrupt() { unix.Write(s.wake, []byte{1, 0, 0, 0, 0, 0, 0, 0}) } //nolint:errcheck // full means readable
