package hw

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// HostResolve returns the addresses of host, which is a literal (a zone is kept) or a name, in the resolver's
// order of preference (RFC 6724). want4 and want6 choose the families; both or neither means any. The error
// is [ErrNoHost], or that of ctx.
func HostResolve(ctx context.Context, host string, want4, want6 bool) ([]netip.Addr, error) {
	if want4 == want6 {
		want4, want6 = true, true
	}
	wanted := func(a netip.Addr) bool { return a.Is4() && want4 || a.Is6() && want6 }
	if a, err := netip.ParseAddr(host); err == nil {
		if a = a.Unmap(); !wanted(a) {
			return nil, fmt.Errorf("host %s: %w: it isn't %s", host, ErrNoHost, familyName(want4, want6))
		}
		return []netip.Addr{a}, nil
	}
	found, err := lookupHost(ctx, host)
	if err != nil {
		return nil, err
	}
	found = slices.DeleteFunc(found, func(a netip.Addr) bool { return !wanted(a) })
	if len(found) == 0 {
		return nil, fmt.Errorf("host %s: %w: it has no %s address; leave -4 and -6 out", host, ErrNoHost, familyName(want4, want6))
	}
	return found, nil
}

func lookupHost(ctx context.Context, host string) ([]netip.Addr, error) {
	if host == "" {
		return nil, fmt.Errorf("host: %w: the name is empty; write HOST:PORT", ErrNoHost)
	}
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if ctx.Err() != nil {
		return nil, fmt.Errorf("host %s: look up: %w", host, context.Cause(ctx))
	}
	if err != nil {
		return nil, fmt.Errorf("host %s: %w: %w; check the spelling, or write the address", host, ErrNoHost, err)
	}
	for i := range found {
		found[i] = found[i].Unmap()
	}
	return found, nil
}

func familyName(want4, want6 bool) string {
	switch {
	case !want6:
		return "IPv4"
	case !want4:
		return "IPv6"
	}
	return "IPv4 or IPv6"
}
