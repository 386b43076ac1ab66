package lab

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// The kernel makes a link ready in work queues: milliseconds, up to a second when many links change at once.
const (
	readyTimeout = 5 * time.Second
	readyPoll    = time.Millisecond
)

var errNotReady = errors.New("the veth pair is not ready after 5 s: no carrier, or IPv6 has not joined its groups")

// multicastGroups lists the IPv6 groups joined in the thread's namespace; /proc/net would be the process's.
const multicastGroups = "/proc/thread-self/net/igmp6"

// awaitReady waits until both ends send and can be asked for. What is sent before is dropped: neighbour
// discovery would lose its first question, and with it the second until it asks again.
func (l *Lab) awaitReady(ctx context.Context, cfg Config) error {
	ctx, cancel := context.WithTimeoutCause(ctx, readyTimeout, errNotReady)
	defer cancel()
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		ready, err := l.bothReady(cfg)
		if ready || err != nil {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func (l *Lab) bothReady(cfg Config) (bool, error) {
	for _, end := range []string{Sender, Receiver} {
		if ready, err := l.ready(end, cfg); !ready || err != nil {
			return false, err
		}
	}
	return true, nil
}

// ready tells whether the end's link is operational, its IPv6 address answers neighbour solicitations, and all of
// them can be bound to.
func (l *Lab) ready(end string, cfg Config) (ready bool, err error) {
	err = l.withLink(end, func(link netlink.Link) error {
		if link.Attrs().OperState != netlink.OperUp {
			return nil
		}
		if cfg.MTU < minMTUv6 {
			ready = true
			return nil
		}
		if ready, err = joined(l.end(end).IPv6.Addr()); !ready || err != nil {
			return err
		}
		ready, err = bindable(link)
		return err
	})
	return ready, err
}

// joined tells whether the solicited-node group of an address is joined; always, without IPv6.
func joined(addr netip.Addr) (bool, error) {
	groups, err := os.ReadFile(multicastGroups)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the multicast groups: %w", err)
	}
	group := solicitedNode(addr)
	return bytes.Contains(groups, []byte(hex.EncodeToString(group[:]))), nil
}

// bindable tells whether all IPv6 addresses of a link can be used. Even without duplicate address detection the
// kernel keeps a link-local one back until its work queue comes to it.
func bindable(link netlink.Link) (bool, error) {
	addrs, err := netlink.AddrList(link, netlink.FAMILY_V6)
	if err != nil {
		return false, fmt.Errorf("addresses of %s: %w", link.Attrs().Name, err)
	}
	tentative := func(a netlink.Addr) bool { return a.Flags&unix.IFA_F_TENTATIVE != 0 }
	return !slices.ContainsFunc(addrs, tentative), nil
}

// solicitedNode is the group that neighbour solicitations for an address go to,
// https://www.rfc-editor.org/rfc/rfc4291#section-2.7.1.
func solicitedNode(addr netip.Addr) [16]byte {
	group := netip.MustParseAddr("ff02::1:ff00:0").As16()
	a := addr.As16()
	copy(group[13:], a[13:])
	return group
}
