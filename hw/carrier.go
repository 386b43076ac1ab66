package hw

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// WaitCarrier returns when the interface is up and has its link: attaching an XDP program or binding a
// zero-copy socket resets some NICs. It returns [ErrLinkDown] at once for an interface that the administrator
// has down, [ErrNoCarrier] when the deadline of ctx passes, the error of ctx when it is cancelled, and
// [ErrNoInterface].
func WaitCarrier(ctx context.Context, ifindex int) error {
	_, err := withKernel(func(k *kernel) (struct{}, error) {
		s, err := subscribe(unix.RTNLGRP_LINK)
		if err != nil {
			return struct{}{}, err
		}
		defer s.Close()
		return struct{}{}, k.waitCarrier(ctx, s, ifindex)
	})
	return err
}

func (k *kernel) waitCarrier(ctx context.Context, s *subscription, index int) error {
	started := time.Now()
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	for {
		m, err := k.link(index)
		switch {
		case err != nil:
			return err
		case m.carrier():
			return nil
		case !m.up():
			return fmt.Errorf("interface %s: %w; \"ip link set dev %s up\" brings it up", m.name, ErrLinkDown, m.name)
		case ctx.Err() != nil:
			return noCarrier(ctx, m.name, time.Since(started))
		}
		if err := s.await(noticePoll, concernsLink(index)); err != nil && ctx.Err() == nil {
			return err
		}
	}
}

func concernsLink(index int) func(uint16, []byte) bool {
	return func(kind uint16, b []byte) bool {
		if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK {
			return false
		}
		m, err := parseLink(b)
		return err == nil && m.index == index
	}
}

func noCarrier(ctx context.Context, name string, waited time.Duration) error {
	waited = waited.Round(time.Millisecond)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("interface %s: %w after %v; check cable and peer", name, ErrNoCarrier, waited)
	}
	return fmt.Errorf("interface %s: stopped waiting for its carrier after %v: %w", name, waited, context.Cause(ctx))
}
