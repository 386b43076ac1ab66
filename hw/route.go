package hw

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Route is how the kernel would send to one destination. Addresses carry no zone; Interface is the zone.
type Route struct {
	Destination netip.Addr
	Interface   int        // index of the interface it leaves by
	Source      netip.Addr // the address to send from
	NextHop     netip.Addr // the gateway, or the destination itself where it is on the link
	MTU         int        // bytes, from the route's MTU metric or a path MTU the kernel learned; 0: the interface's
	Pinned      bool       // RouteOptions.Interface was given: later questions stay on that interface
}

// String is the route in words: to whom, by which way, from which address.
func (r Route) String() string {
	s := fmt.Sprintf("%v on the link of interface %d", r.Destination, r.Interface)
	if !r.OnLink() {
		s = fmt.Sprintf("%v via %v on interface %d", r.Destination, r.NextHop, r.Interface)
	}
	if r.MTU > 0 {
		s += fmt.Sprintf(", MTU %d", r.MTU)
	}
	return s + fmt.Sprintf(", from %v", r.Source)
}

// OnLink reports whether the destination is reached without a gateway.
func (r Route) OnLink() bool { return r.NextHop == r.Destination }

// RouteOptions narrow the choice; the zero value leaves everything to the kernel.
type RouteOptions struct {
	Interface string     // leave by this interface, as SO_BINDTODEVICE would
	Source    netip.Addr // send from this address of the host
}

// ResolveRoute asks the kernel (RTM_GETROUTE) how it would send to dst. A link-local dst needs a zone, which
// may be an interface's name or index, or [RouteOptions].Interface.
//
// Errors: [ErrNoRoute], [ErrLocalDestination], [ErrNotUnicast], [ErrNoZone], [ErrNoSource],
// [ErrNoInterface], [ErrNotEthernet], [ErrLinkDown].
func ResolveRoute(dst netip.Addr, o RouteOptions) (Route, error) {
	return withKernel(func(k *kernel) (Route, error) {
		q, err := k.question(dst, o)
		if err != nil {
			return Route{}, err
		}
		return k.resolveTwice(q)
	})
}

// resolveTwice asks again with the source that the first answer named, as connect() does: policy rules may
// match on it, and a connection keeps its source for life.
func (k *kernel) resolveTwice(q routeQuestion) (Route, error) {
	r, err := k.resolve(q)
	if err != nil || q.source.IsValid() {
		return r, err
	}
	q.source = r.Source
	return k.resolve(q)
}

// routeQuestion is a destination with everything that narrows the answer, checked.
type routeQuestion struct {
	dst, source netip.Addr
	out         int    // interface index; 0: the kernel's choice
	outName     string // for messages
}

func (k *kernel) question(dst netip.Addr, o RouteOptions) (routeQuestion, error) {
	zone := dst.Zone()
	q := routeQuestion{dst: plain(dst), source: plain(o.Source)}
	if err := checkDestination(q.dst); err != nil {
		return q, err
	}
	if q.source.IsValid() && q.source.Is4() != q.dst.Is4() {
		return q, fmt.Errorf("source %v for destination %v: %w: IPv4 and IPv6 don't mix", q.source, q.dst, ErrNoSource)
	}
	err := k.narrow(&q, zone, o.Interface)
	return q, err
}

// checkDestination refuses what isn't one host's address. RFC 9293 has no connections with groups:
// https://www.rfc-editor.org/rfc/rfc9293#section-3.9.2.3
func checkDestination(dst netip.Addr) error {
	switch {
	case !dst.IsValid():
		return fmt.Errorf("destination: %w: no address given", ErrNotUnicast)
	case dst.IsUnspecified():
		return fmt.Errorf("destination %v: %w: it stands for \"any address\"", dst, ErrNotUnicast)
	case dst.IsMulticast():
		return fmt.Errorf("destination %v: %w: it is a multicast group", dst, ErrNotUnicast)
	case dst == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("destination %v: %w: it is the broadcast address", dst, ErrNotUnicast)
	}
	return nil
}

// narrow fills in the interface from the zone and the option, which must agree.
func (k *kernel) narrow(q *routeQuestion, zone, name string) error {
	if zone == "" && name == "" {
		if q.dst.Is6() && q.dst.IsLinkLocalUnicast() {
			return fmt.Errorf("destination %v: %w: write %v%%INTERFACE, or give --interface", q.dst, ErrNoZone, q.dst)
		}
		return nil
	}
	for _, n := range []string{zone, name} {
		if n == "" {
			continue
		}
		m, err := k.linkByZone(n)
		if err != nil {
			return err
		}
		if q.out != 0 && q.out != m.index {
			return fmt.Errorf("destination %v%%%s: %w: its zone isn't the interface asked for, %s", q.dst, zone, ErrNoRoute, name)
		}
		q.out, q.outName = m.index, m.name
	}
	return nil
}

// linkByZone finds an interface by name or, as RFC 4007 allows for zones, by number:
// https://www.rfc-editor.org/rfc/rfc4007#section-11.2
func (k *kernel) linkByZone(zone string) (linkMessage, error) {
	m, err := k.linkByName(zone)
	if noSuchLink(err) {
		if index, ok := parseIndex(zone); ok {
			return k.link(index)
		}
		return m, fmt.Errorf("interface %q: %w; %s", zone, ErrNoInterface, k.existing())
	}
	if err != nil {
		return m, fmt.Errorf("interface %q: ask the kernel: %w", zone, err)
	}
	return m, nil
}

func (k *kernel) resolve(q routeQuestion) (Route, error) {
	if err := k.checkSource(q.source); err != nil {
		return Route{}, err
	}
	replies, err := k.route(q.dst.AsSlice(), q.options(false))
	if err != nil {
		return Route{}, k.noRoute(q, err)
	}
	if len(replies) == 0 {
		return Route{}, k.noRoute(q, unix.ENETUNREACH)
	}
	reply := replies[0]
	if err := checkType(q, reply.Type); err != nil {
		return Route{}, err
	}
	if err := k.checkAssumed(q); err != nil {
		return Route{}, err
	}
	r := q.route(reply)
	return r, k.checkRoute(r)
}

func (q routeQuestion) options(fibMatch bool) *netlink.RouteGetOptions {
	o := &netlink.RouteGetOptions{OifIndex: q.out, FIBMatch: fibMatch}
	if q.source.IsValid() {
		o.SrcAddr = q.source.AsSlice()
	}
	return o
}

// checkType lets only RTN_UNICAST through. The other types reach us in a reply, or as an errno in noRoute.
func checkType(q routeQuestion, kind int) error {
	switch kind {
	case unix.RTN_UNICAST:
		return nil
	case unix.RTN_LOCAL:
		return fmt.Errorf("destination %v: %w; run the receiver in another network namespace or on another host", q.dst, ErrLocalDestination)
	case unix.RTN_BROADCAST, unix.RTN_MULTICAST, unix.RTN_ANYCAST:
		return fmt.Errorf("destination %v: %w: its route is for a group of hosts", q.dst, ErrNotUnicast)
	}
	return q.forbidden(kind)
}

func (q routeQuestion) forbidden(kind int) error {
	names := map[int]string{unix.RTN_BLACKHOLE: "blackhole", unix.RTN_UNREACHABLE: "unreachable", unix.RTN_PROHIBIT: "prohibit"}
	name := names[kind]
	if name == "" {
		name = fmt.Sprintf("type %d", kind)
	}
	return fmt.Errorf("destination %v: %w: the routing table says %q; \"ip route get %v\" shows it", q.dst, ErrNoRoute, name, q.dst)
}

// checkAssumed refuses what Linux does for IPv4 when an interface is named and no route leaves by it: it
// takes the destination to be on that link, and the sender would wait for an ARP reply in vain. Asked for the
// table entry instead of the result, it admits that there is none.
func (k *kernel) checkAssumed(q routeQuestion) error {
	if q.out == 0 || q.dst.Is6() {
		return nil
	}
	if _, err := k.route(q.dst.AsSlice(), q.options(true)); err != nil {
		return k.noRoute(q, err)
	}
	return nil
}

func (q routeQuestion) route(reply netlink.Route) Route {
	return Route{
		Destination: q.dst,
		Interface:   reply.LinkIndex,
		Source:      firstValid(q.source, addrOf(reply.Src)),
		NextHop:     firstValid(gatewayOf(reply), q.dst),
		MTU:         reply.MTU,
		Pinned:      q.out != 0,
	}
}

// gatewayOf reads RTA_GATEWAY, or RTA_VIA: an IPv4 route may have an IPv6 next hop.
func gatewayOf(reply netlink.Route) netip.Addr {
	if via, ok := reply.Via.(*netlink.Via); ok && via != nil {
		return addrOf(via.Addr)
	}
	return addrOf(reply.Gw)
}

// checkRoute refuses an answer that can't be sent with: no source, or an interface without Ethernet.
func (k *kernel) checkRoute(r Route) error {
	m, err := k.link(r.Interface)
	if err != nil {
		return err
	}
	if m.flags&unix.IFF_LOOPBACK != 0 {
		return fmt.Errorf("destination %v: %w: its route leaves by %s", r.Destination, ErrLocalDestination, m.name)
	}
	if r.Source == r.Destination { // Linux installs the local route of a new IPv6 address a moment after it
		return fmt.Errorf("destination %v: %w: it is the address of %s", r.Destination, ErrLocalDestination, m.name)
	}
	if m.hardware != unix.ARPHRD_ETHER || len(m.mac) != 6 {
		return fmt.Errorf("destination %v leaves by %s: %w: AF_XDP frames carry an Ethernet header", r.Destination, m.name, ErrNotEthernet)
	}
	if !r.Source.IsValid() || r.Source.IsUnspecified() {
		return fmt.Errorf("destination %v: %w: %s has no address of that family; \"ip addr add ADDRESS/PREFIX dev %s\" gives it one",
			r.Destination, ErrNoSource, m.name, m.name)
	}
	return nil
}

// noRoute gives the kernel's refusal a subject, a cause and a remedy.
func (k *kernel) noRoute(q routeQuestion, err error) error {
	switch {
	case errors.Is(err, unix.EACCES):
		return q.forbidden(unix.RTN_PROHIBIT)
	case errors.Is(err, unix.EINVAL) && !q.source.IsValid():
		return q.forbidden(unix.RTN_BLACKHOLE)
	case !errors.Is(err, unix.ENETUNREACH) && !errors.Is(err, unix.EHOSTUNREACH):
		return fmt.Errorf("route to %v: ask the kernel: %w", q.dst, err)
	}
	if q.out != 0 {
		return k.noRouteBy(q)
	}
	if down := k.downTowards(q.dst); down != "" {
		return fmt.Errorf("destination %v: %w: %s leads there, but %w; \"ip link set dev %s up\" brings it up", q.dst, ErrNoRoute, down, ErrLinkDown, down)
	}
	return fmt.Errorf("destination %v: %w; \"ip route add %v via GATEWAY\" adds one", q.dst, ErrNoRoute, q.dst)
}

func (k *kernel) noRouteBy(q routeQuestion) error {
	if m, err := k.linkByIndex(q.out); err == nil && !m.up() {
		return fmt.Errorf("destination %v by %s: %w; \"ip link set dev %s up\" brings it up", q.dst, q.outName, ErrLinkDown, q.outName)
	}
	return fmt.Errorf("destination %v: %w by %s; \"ip route add %v dev %s\" adds one, or leave --interface out",
		q.dst, ErrNoRoute, q.outName, q.dst, q.outName)
}

// downTowards names an interface that is down and whose subnet holds dst: its routes went with it.
func (k *kernel) downTowards(dst netip.Addr) string {
	addresses, _ := k.addresses(familyOf(dst))
	for _, a := range addresses {
		if a.IPNet == nil || !a.Contains(net.IP(dst.AsSlice())) {
			continue
		}
		if m, err := k.linkByIndex(a.LinkIndex); err == nil && !m.up() {
			return m.name
		}
	}
	return ""
}

func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

func addrOf(ip net.IP) netip.Addr {
	a, _ := netip.AddrFromSlice(ip)
	return a.Unmap()
}

func firstValid(addrs ...netip.Addr) netip.Addr {
	if i := slices.IndexFunc(addrs, netip.Addr.IsValid); i >= 0 {
		return addrs[i]
	}
	return netip.Addr{}
}
