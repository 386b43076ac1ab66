package hw

import (
	"context"
	"net/netip"
)

// Path is a route and the MAC address that its next hop answered with: all that a frame's headers need
// below TCP.
type Path struct {
	Route Route
	MAC   MAC // of Route.NextHop
}

// ResolvePath resolves the route to dst and then its next hop: [ResolveRoute], [Interface.Usable],
// [ResolveNeighbour], and their errors.
func ResolvePath(ctx context.Context, dst netip.Addr, o RouteOptions) (Path, error) {
	r, err := ResolveRoute(dst, o)
	if err != nil {
		return Path{}, err
	}
	i, err := LookupIndex(r.Interface)
	if err != nil {
		return Path{}, err
	}
	if err := i.Usable(); err != nil {
		return Path{}, err
	}
	mac, err := ResolveNeighbour(ctx, r.Interface, r.NextHop)
	if err != nil {
		return Path{}, err
	}
	return Path{Route: r, MAC: mac}, nil
}
