package hw

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// MAC is a link-layer address in the order it stands in an Ethernet header. The zero value means "not known".
type MAC = [6]byte

// Neighbour states (NUD_*) in which the entry's MAC address may be used, those in which the kernel would
// rather have it confirmed first, and those that nobody may change but the administrator.
const (
	nudUsable = unix.NUD_REACHABLE | unix.NUD_STALE | unix.NUD_DELAY | unix.NUD_PROBE | nudFixed
	nudFixed  = unix.NUD_PERMANENT | unix.NUD_NOARP
)

// ResolveNeighbour returns the MAC address of addr on the link of that interface: from the kernel's
// neighbour table, or by making the kernel resolve it (NTF_USE), for as long as ctx lasts. A stale entry is
// used at once and probed meanwhile, as the kernel does. addr needs no zone.
//
// Errors: [ErrNoNeighbour] when the deadline of ctx passes, naming address, interface, time waited and
// remedy; the error of ctx when it is cancelled; [ErrNoInterface].
func ResolveNeighbour(ctx context.Context, ifindex int, addr netip.Addr) (MAC, error) {
	return withKernel(func(k *kernel) (MAC, error) {
		m, err := k.link(ifindex)
		if err != nil {
			return MAC{}, err
		}
		s, err := subscribe(unix.RTNLGRP_NEIGH)
		if err != nil {
			return MAC{}, err
		}
		defer s.Close()
		r := resolution{kernel: k, index: ifindex, name: m.name, addr: plain(addr), started: time.Now()}
		return r.wait(ctx, s)
	})
}

// resolution is one neighbour being waited for.
type resolution struct {
	kernel  *kernel
	index   int
	name    string
	addr    netip.Addr
	started time.Time
}

func (r *resolution) wait(ctx context.Context, s *subscription) (MAC, error) {
	stop := context.AfterFunc(ctx, s.Close)
	defer stop()
	for {
		mac, err := r.try()
		if err != nil || mac != (MAC{}) {
			return mac, err
		}
		if ctx.Err() != nil {
			return MAC{}, r.gaveUp(ctx)
		}
		if err := s.await(noticePoll, r.concerns); err != nil && ctx.Err() == nil {
			return MAC{}, err
		}
	}
}

// try reads the entry and, where it has no MAC address yet, has the kernel ask for it.
func (r *resolution) try() (MAC, error) {
	entry, err := r.kernel.neighbour(r.index, r.addr)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		return MAC{}, fmt.Errorf("neighbour %v on %s: ask the kernel: %w", r.addr, r.name, err)
	}
	mac := entry.usable()
	if !entry.wantsUse() {
		return mac, nil
	}
	if err := r.kernel.use(r.index, r.addr); err != nil && mac == (MAC{}) {
		return MAC{}, fmt.Errorf("neighbour %v on %s: have the kernel resolve it: %w%s", r.addr, r.name, err, useRemedy(err))
	}
	return mac, nil
}

func useRemedy(err error) string {
	if errors.Is(err, unix.EPERM) {
		return "; it needs CAP_NET_ADMIN"
	}
	return ""
}

// usable returns the MAC address to send to, or zero.
func (m neighbourMessage) usable() MAC {
	if m.state&nudUsable == 0 || len(m.mac) != len(MAC{}) {
		return MAC{}
	}
	return MAC(m.mac)
}

// wantsUse reports whether NTF_USE would do something good: resolve an entry that is missing (state 0) or
// failed, or have a stale one probed.
func (m neighbourMessage) wantsUse() bool {
	return m.state == unix.NUD_NONE || m.state&(unix.NUD_FAILED|unix.NUD_STALE) != 0
}

func (r *resolution) concerns(kind uint16, b []byte) bool {
	if kind != unix.RTM_NEWNEIGH && kind != unix.RTM_DELNEIGH {
		return false
	}
	m, err := parseNeighbour(b)
	return err == nil && m.index == r.index && m.addr == r.addr
}

func (r *resolution) gaveUp(ctx context.Context) error {
	waited := time.Since(r.started).Round(time.Millisecond)
	if !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("neighbour %v on %s: stopped after %v: %w", r.addr, r.name, waited, context.Cause(ctx))
	}
	return fmt.Errorf("%w %v on %s: it didn't answer %s within %v%s", ErrNoNeighbour, r.addr, r.name,
		r.protocol(), waited, r.remedy())
}

func (r *resolution) protocol() string {
	if r.addr.Is4() {
		return "ARP"
	}
	return "Neighbour Discovery"
}

func (r *resolution) remedy() string {
	m, err := r.kernel.linkByIndex(r.index)
	switch {
	case err == nil && !m.up():
		return fmt.Sprintf(": %v; \"ip link set dev %s up\" brings it up", ErrLinkDown, r.name)
	case err == nil && !m.carrier():
		return fmt.Sprintf(": %v on %s; check cable and peer", ErrNoCarrier, r.name)
	}
	return fmt.Sprintf("; check that it is up and on this link: \"ping -I %s %v\", \"ip neigh show %v\"", r.name, r.addr, r.addr)
}
