package kerneltcp

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Notice says that the kernel reads what some calls with MSG_ZEROCOPY sent no more: those with the numbers First to Last, which
// count the socket's calls from 0.
type Notice struct {
	First, Last uint32
	Copied      bool // it had copied it
}

// Notices takes one message off a socket's error queue, and what notices are in it: none and no error where the queue is empty.
func Notices(fd int) (notices []Notice, empty bool, err error) {
	control := make([]byte, 128)
	for {
		_, n, _, _, err := unix.Recvmsg(fd, nil, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN):
			return nil, true, nil
		case err != nil:
			return nil, false, fmt.Errorf("read the error queue: %w", err)
		}
		notices, err = parseNotices(control[:n])
		return notices, false, err
	}
}

// parseNotices reads struct sock_extended_err of linux/errqueue.h.
func parseNotices(control []byte) (notices []Notice, err error) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, fmt.Errorf("read the error queue: %w", err)
	}
	for _, m := range messages {
		of4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		of6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !of4 && !of6 || len(m.Data) < 16 || m.Data[4] != unix.SO_EE_ORIGIN_ZEROCOPY {
			continue
		}
		notices = append(notices, Notice{
			First: binary.NativeEndian.Uint32(m.Data[8:]), Last: binary.NativeEndian.Uint32(m.Data[12:]),
			Copied: m.Data[6]&unix.SO_EE_CODE_ZEROCOPY_COPIED != 0,
		})
	}
	return notices, nil
}

// AwaitNotice returns when something may be on the error queue. That is POLLERR, which nobody has to ask for.
func AwaitNotice(fd int, patience time.Duration) error {
	state := []unix.PollFd{{Fd: int32(fd)}}
	ready, err := unix.Poll(state, int(patience.Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("poll: %w", err)
	case ready == 0:
		return errors.New("no notification came")
	}
	if n, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
		return syscall.Errno(n)
	}
	if state[0].Revents&unix.POLLHUP != 0 {
		return errors.New("the connection has ended")
	}
	return nil
}
