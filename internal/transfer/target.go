package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/xsend/xsend/hw"
)

// splitTarget reads HOST:PORT. An IPv6 address stands in brackets, with a zone if it is link-local.
func splitTarget(target string) (host string, port uint16, err error) {
	host, text, err := net.SplitHostPort(target)
	if err != nil {
		var ae *net.AddrError
		if errors.As(err, &ae) {
			err = errors.New(ae.Err)
		}
		return "", 0, fmt.Errorf("destination %q: %w: give HOST:PORT, an IPv6 address as [ADDRESS]:PORT", target, err)
	}
	n, err := strconv.ParseUint(text, 10, 16)
	if err != nil || n == 0 {
		return "", 0, fmt.Errorf("destination %q: port %q: give a number from 1 to 65535", target, text)
	}
	if host == "" {
		return "", 0, fmt.Errorf("destination %q: no host: give HOST:PORT", target)
	}
	return host, uint16(n), nil
}

// resolve finds the address to connect to: the first of the host's that there is a route to. If there is
// none, the error says why for the first one. link is the name of the interface that the route leaves by.
func resolve(ctx context.Context, c *Config) (remote netip.AddrPort, link string, err error) {
	host, port, err := splitTarget(c.Target)
	if err != nil {
		return remote, "", err
	}
	want4, want6 := c.Want4, c.Want6
	if !want4 && !want6 && c.Source.IsValid() {
		want4, want6 = c.Source.Unmap().Is4(), !c.Source.Unmap().Is4()
	}
	addrs, err := hw.HostResolve(ctx, host, want4, want6)
	if err != nil {
		return remote, "", err
	}
	for _, a := range addrs {
		route, rerr := hw.ResolveRoute(a, hw.RouteOptions{Interface: c.Interface, Source: c.Source})
		if rerr == nil {
			return netip.AddrPortFrom(a, port), linkName(route.Interface), nil
		}
		if err == nil {
			err = rerr
		}
	}
	return remote, "", err
}

// linkName is the interface's name, "" where it is gone.
func linkName(index int) string {
	link, err := hw.LookupIndex(index)
	if err != nil {
		return ""
	}
	return link.Name
}
