package xsk

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Waiter sleeps until a socket has something to read, until somebody wakes it, or
// until a time is up.
//
// It asks for POLLIN only. POLLOUT is true whenever the TX ring is at most half
// full, so that waiting for it would be spinning; and no completion is ever
// signalled, so that waiting for one is for the timeout to end.
type Waiter struct {
	fds  [2]unix.PollFd
	ts   unix.Timespec
	buf  [8]byte
	wake *os.File // an eventfd; os.File makes Wake safe against a Close meanwhile
}

const (
	onSocket = iota
	onWake
)

// NewWaiter makes a waiter for socket fd, which stays the caller's to close.
func NewWaiter(fd int) (*Waiter, error) {
	// Blocking on purpose: the Go runtime then keeps it out of its own poller. It
	// is read only after poll said that there is something.
	e, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("eventfd to wake the poller with: %w", err)
	}
	w := &Waiter{wake: os.NewFile(uintptr(e), "wake")}
	w.fds[onSocket] = unix.PollFd{Fd: int32(fd), Events: unix.POLLIN}
	w.fds[onWake] = unix.PollFd{Fd: int32(e), Events: unix.POLLIN}
	return w, nil
}

// Wait sleeps for at most d; a signal may end it early. It is an ordinary system
// call, so that other goroutines run meanwhile.
func (w *Waiter) Wait(d time.Duration) {
	w.ts = unix.NsecToTimespec(max(0, int64(d)))
	n, err := unix.Ppoll(w.fds[:], &w.ts, nil)
	if err != nil || n <= 0 {
		return
	}
	if w.fds[onWake].Revents&unix.POLLIN != 0 { // else the read would block
		_, _ = unix.Read(int(w.fds[onWake].Fd), w.buf[:]) // zeroes the eventfd; what was in it does not matter
	}
	if w.fds[onSocket].Revents&^unix.POLLIN != 0 {
		// An error stays, and poll would return at once for ever. The doorbell
		// reports it; here the socket is left out (poll ignores negative numbers).
		w.fds[onSocket].Fd = -1
	}
}

// one is what Wake adds to the eventfd: any number but zero.
var one = [8]byte{1, 1, 1, 1}

// Wake makes a Wait return: the one that sleeps, or else the next one. After
// Close it does nothing.
func (w *Waiter) Wake() {
	_, _ = w.wake.Write(one[:]) // the only error is that it is closed
}

// Close gives the eventfd back. Closing again does nothing.
func (w *Waiter) Close() error {
	if err := w.wake.Close(); err != nil && !errors.Is(err, os.ErrClosed) {
		return err
	}
	return nil
}
