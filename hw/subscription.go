package hw

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// subscription is an rtnetlink socket that receives the notifications of some groups, in the namespace
// where it was opened.
type subscription struct{ socket *nl.NetlinkSocket }

// subscriptionBuffer holds some thousand notifications: a host with many neighbours sends them in bursts.
const subscriptionBuffer = 1 << 20

// noticePoll bounds how long a change can go unnoticed should its notification be lost.
const noticePoll = 250 * time.Millisecond

// subscribe joins the groups (RTNLGRP_*, 32 at most).
func subscribe(groups ...uint) (*subscription, error) {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, groups...)
	if err != nil {
		return nil, fmt.Errorf("subscribe to rtnetlink groups %v: %w", groups, err)
	}
	// Without CAP_NET_ADMIN the default size stays; what is lost then is noticed (ENOBUFS) and asked for.
	_ = s.SetReceiveBufferSize(subscriptionBuffer, true)
	return &subscription{s}, nil
}

// Close ends a receive that waits. It may be called more than once and from any goroutine.
func (s *subscription) Close() { s.socket.Close() }

// receive waits for notifications. lost means that the kernel dropped some.
func (s *subscription) receive() (messages []syscall.NetlinkMessage, lost bool, err error) {
	messages, from, err := s.socket.Receive()
	switch {
	case errors.Is(err, unix.ENOBUFS):
		return nil, true, nil
	case err != nil:
		return nil, false, err
	case from.Pid != nl.PidKernel:
		return nil, false, nil // another program may write to this socket; only the kernel is believed
	}
	return messages, false, nil
}

// drain drops what is queued and reports whether the queue is empty now. The kernel reports a loss ahead of
// the notifications that it still holds: they are older than any answer to a question asked afterwards, and
// the newest may be among the lost. Until the queue is empty it reports no further loss.
func (s *subscription) drain() (empty bool) {
	s.receiveWithin(time.Millisecond)
	defer s.receiveWithin(0)
	for deadline := time.Now().Add(noticePoll); time.Now().Before(deadline); {
		if _, _, err := s.receive(); err != nil {
			return true
		}
	}
	return false
}

// receiveWithin limits how long receive waits (EAGAIN then); 0 is for ever.
func (s *subscription) receiveWithin(d time.Duration) {
	tv := unix.NsecToTimeval(d.Nanoseconds())
	_ = s.socket.SetReceiveTimeout(&tv) // only stores the value
}

// await returns nil when a notification came that concerns the caller, when some were lost, and after limit:
// the caller looks again. The error is the socket's, os.ErrClosed after Close.
func (s *subscription) await(limit time.Duration, concerns func(kind uint16, b []byte) bool) error {
	deadline := time.Now().Add(limit)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return nil
		}
		s.receiveWithin(max(left, time.Millisecond))
		messages, lost, err := s.receive()
		if lost || errors.Is(err, unix.EAGAIN) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("receive from rtnetlink: %w", err)
		}
		for _, m := range messages {
			if concerns(m.Header.Type, m.Data) {
				return nil
			}
		}
	}
}
