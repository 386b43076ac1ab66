package hw

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// checkSource accepts an address of this host that Duplicate Address Detection has let through; Linux
// answers an IPv6 route question for any source at all.
// https://www.rfc-editor.org/rfc/rfc4862#section-5.4
func (k *kernel) checkSource(source netip.Addr) error {
	if !source.IsValid() {
		return nil
	}
	addresses, err := k.addresses(familyOf(source))
	if err != nil {
		return fmt.Errorf("source %v: list the host's addresses: %w", source, err)
	}
	i := slices.IndexFunc(addresses, func(a netlink.Addr) bool { return a.IPNet != nil && addrOf(a.IP) == source })
	switch {
	case source.IsLoopback():
		return fmt.Errorf("source %v: %w: a loopback address does not leave by a NIC; this host has %s", source, ErrNoSource, listed(addresses))
	case i < 0:
		return fmt.Errorf("source %v: %w: not an address of this host, which has %s", source, ErrNoSource, listed(addresses))
	case addresses[i].Flags&unix.IFA_F_DADFAILED != 0:
		return fmt.Errorf("source %v: %w: another host on the link has it (duplicate address detection failed)", source, ErrNoSource)
	case tentative(addresses[i].Flags):
		return fmt.Errorf("source %v: %w: duplicate address detection hasn't finished; try again in 2 s", source, ErrNoSource)
	}
	return nil
}

// tentative addresses can't be used; optimistic ones can (RFC 4429).
func tentative(flags int) bool {
	return flags&unix.IFA_F_TENTATIVE != 0 && flags&unix.IFA_F_OPTIMISTIC == 0
}

func listed(addresses []netlink.Addr) string {
	names := make([]string, 0, len(addresses))
	for _, a := range addresses {
		if a.IPNet != nil && !addrOf(a.IP).IsLoopback() {
			names = append(names, addrOf(a.IP).String())
		}
	}
	if len(names) == 0 {
		return "none of that family"
	}
	return strings.Join(names, ", ")
}

func parseIndex(s string) (int, bool) {
	index, err := strconv.ParseUint(s, 10, 31)
	return int(index), err == nil && index > 0
}
