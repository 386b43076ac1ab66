package hw

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestRouteFound(t *testing.T) {
	l := newLab(t)
	l.route(l.va, "10.9.0.0/16", "10.77.0.2", func(r *netlink.Route) { r.MTU = 1400 })
	l.route(l.va, "fd99::/32", "fd77::2", func(r *netlink.Route) { r.MTU = 1300 })
	l.route(l.va, "10.8.0.0/16", "", func(r *netlink.Route) {
		r.Via = &netlink.Via{AddrFamily: unix.AF_INET6, Addr: net.ParseIP("fd77::2")}
	})
	index := strconv.Itoa(l.index())
	for _, c := range []struct {
		name, dst, out, source string
		wantSource, nextHop    string
		mtu                    int
	}{
		{"IPv4 on the link", "10.77.0.2", "", "", "10.77.0.1", "10.77.0.2", 0},
		{"IPv4 without a neighbour", "10.77.0.200", "", "", "10.77.0.1", "10.77.0.200", 0},
		{"IPv4 by gateway", "10.9.1.1", "", "", "10.77.0.1", "10.77.0.2", 1400},
		{"IPv4 by IPv6 gateway", "10.8.1.1", "", "", "10.77.0.1", "fd77::2", 0},
		{"IPv4 pinned", "10.9.1.1", "va", "", "10.77.0.1", "10.77.0.2", 1400},
		{"IPv4 written as IPv6", "::ffff:10.77.0.2", "", "", "10.77.0.1", "10.77.0.2", 0},
		{"IPv4 source given", "10.77.0.2", "", "10.77.0.1", "10.77.0.1", "10.77.0.2", 0},
		{"IPv6 on the link", "fd77::2", "", "", "fd77::1", "fd77::2", 0},
		{"IPv6 by gateway", "fd99::1", "", "", "fd77::1", "fd77::2", 1300},
		{"IPv6 pinned", "fd99::1", "va", "", "fd77::1", "fd77::2", 1300},
		{"link-local by zone", "fe80::2%va", "", "", "fe80::1", "fe80::2", 0},
		{"link-local by index", "fe80::2%" + index, "", "", "fe80::1", "fe80::2", 0},
		{"link-local by option", "fe80::2", "va", "", "fe80::1", "fe80::2", 0},
		{"link-local by both", "fe80::2%" + index, "va", "", "fe80::1", "fe80::2", 0},
		{"link-local source given", "fe80::2%va", "", "fe80::1%va", "fe80::1", "fe80::2", 0},
		{"link-local from a global source", "fe80::2%va", "", "fd77::1", "fd77::1", "fe80::2", 0},
	} {
		o := RouteOptions{Interface: c.out}
		if c.source != "" {
			o.Source = netip.MustParseAddr(c.source)
		}
		dst := netip.MustParseAddr(c.dst)
		got, err := ResolveRoute(dst, o)
		want := Route{
			Destination: plain(dst), Interface: l.index(), Source: netip.MustParseAddr(c.wantSource),
			NextHop: netip.MustParseAddr(c.nextHop), MTU: c.mtu, Pinned: c.out != "" || dst.Zone() != "",
		}
		if err != nil || got != want {
			t.Errorf("%s: %v\ngot  %+v\nwant %+v", c.name, err, got, want)
		}
		if onLink := c.nextHop == plain(dst).String(); got.OnLink() != onLink {
			t.Errorf("%s: on link %v", c.name, got.OnLink())
		}
	}
}

func TestRouteRefused(t *testing.T) {
	l := newLab(t)
	l.ok(l.here.LinkSetUp(l.link(l.here, "lo")))
	for kind, dst := range map[int]string{unix.RTN_BLACKHOLE: "1", unix.RTN_UNREACHABLE: "2", unix.RTN_PROHIBIT: "3"} {
		l.ok(l.here.RouteAdd(&netlink.Route{Type: kind, Dst: netlink.NewIPNet(net.ParseIP("10.66.0." + dst).To4())}))
		l.ok(l.here.RouteAdd(&netlink.Route{Type: kind, Dst: netlink.NewIPNet(net.ParseIP("fd66::" + dst))}))
	}
	tun := l.tun()
	l.route(tun, "10.55.0.0/16", "")
	for _, c := range []struct {
		name, dst, out, source string
		want                   error
		says                   string
	}{
		{"IPv4 none", "10.99.0.1", "", "", ErrNoRoute, "ip route add 10.99.0.1"},
		{"IPv6 none", "fd98::1", "", "", ErrNoRoute, "ip route add fd98::1"},
		{"IPv4 none by that interface", "10.99.0.1", "va", "", ErrNoRoute, "by va"},
		{"IPv6 none by that interface", "fd98::1", "va", "", ErrNoRoute, "by va"},
		{"IPv4 blackhole", "10.66.0.1", "", "", ErrNoRoute, "blackhole"},
		{"IPv4 unreachable", "10.66.0.2", "", "", ErrNoRoute, ""},
		{"IPv4 prohibit", "10.66.0.3", "", "", ErrNoRoute, "prohibit"},
		{"IPv6 blackhole", "fd66::1", "", "", ErrNoRoute, "blackhole"},
		{"IPv6 unreachable", "fd66::2", "", "", ErrNoRoute, ""},
		{"IPv6 prohibit", "fd66::3", "", "", ErrNoRoute, "prohibit"},
		{"IPv4 own address", "10.77.0.1", "", "", ErrLocalDestination, "AF_XDP sends on a NIC"},
		{"IPv6 own address", "fd77::1", "", "", ErrLocalDestination, "AF_XDP sends on a NIC"},
		{"own address, pinned", "10.77.0.1", "va", "", ErrLocalDestination, ""},
		{"IPv4 loopback", "127.0.0.1", "", "", ErrLocalDestination, ""},
		{"IPv6 loopback", "::1", "", "", ErrLocalDestination, ""},
		{"IPv4 any", "0.0.0.0", "", "", ErrNotUnicast, ""},
		{"IPv6 any", "::", "", "", ErrNotUnicast, ""},
		{"IPv4 multicast", "224.0.0.1", "", "", ErrNotUnicast, "multicast"},
		{"IPv6 multicast", "ff02::1%va", "", "", ErrNotUnicast, "multicast"},
		{"subnet broadcast", "10.77.0.255", "", "", ErrNotUnicast, ""},
		{"limited broadcast", "255.255.255.255", "", "", ErrNotUnicast, ""},
		{"link-local without zone", "fe80::1", "", "", ErrNoZone, "fe80::1%INTERFACE"},
		{"zone that isn't", "fe80::1%vc", "", "", ErrNoInterface, "va"},
		{"zone index that isn't", "fe80::1%4711", "", "", ErrNoInterface, "va"},
		{"interface that isn't", "10.77.0.2", "vc", "", ErrNoInterface, "va"},
		{"zone and interface differ", "fe80::1%va", "lo", "", ErrNoRoute, "lo"},
		{"IPv4 source of another host", "10.77.0.2", "", "10.77.0.2", ErrNoSource, "10.77.0.1"},
		{"IPv6 source of another host", "fd77::2", "", "fd77::2", ErrNoSource, "fd77::1"},
		{"source of the other family", "fd77::2", "", "10.77.0.1", ErrNoSource, "mix"},
		{"by a tunnel", "10.55.0.1", "", "", ErrNotEthernet, "vtun"},
	} {
		o := RouteOptions{Interface: c.out}
		if c.source != "" {
			o.Source = netip.MustParseAddr(c.source)
		}
		r, err := ResolveRoute(netip.MustParseAddr(c.dst), o)
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v (%+v), want %q saying %q", c.name, err, r, c.want, c.says)
		}
	}
	_, err := ResolveRoute(netip.Addr{}, RouteOptions{})
	wantIs(t, err, ErrNotUnicast)
}

func (l *lab) tun() netlink.Link {
	l.t.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "vtun"
	if err := l.here.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN}); err != nil {
		l.t.Skipf("needs a tun device: %v", err)
	}
	tun := l.link(l.here, "vtun")
	l.ok(l.here.LinkSetUp(tun))
	l.addr(l.here, tun, "10.55.1.1/32")
	return tun
}

func TestRouteWithInterfaceDown(t *testing.T) {
	l := newLab(t)
	l.ok(l.here.LinkSetDown(l.va))
	for _, o := range []RouteOptions{{}, {Interface: "va"}} {
		_, err := ResolveRoute(far4, o)
		wantIs(t, err, ErrLinkDown)
		if err != nil && !strings.Contains(err.Error(), "ip link set dev va up") {
			t.Errorf("%v: no remedy", err)
		}
	}
	_, err := ResolveRoute(far6, RouteOptions{Interface: "va"})
	wantIs(t, err, ErrLinkDown)
}

// TestRouteAssumedOnLink is the control of checkAssumed: the kernel does answer, for a destination it has no
// route to, that it is on the link.
func TestRouteAssumedOnLink(t *testing.T) {
	l := newLab(t)
	found, err := l.here.RouteGetWithOptions(net.ParseIP("10.99.0.1"), &netlink.RouteGetOptions{OifIndex: l.index()})
	if err != nil || len(found) != 1 || found[0].Type != unix.RTN_UNICAST {
		t.Skipf("this kernel assumes nothing: %v %v", found, err)
	}
	_, err = ResolveRoute(netip.MustParseAddr("10.99.0.1"), RouteOptions{Interface: "va"})
	wantIs(t, err, ErrNoRoute)
}

func TestRouteFollowsSourceRule(t *testing.T) {
	l := newLab(t)
	l.addr(l.here, l.va, "10.77.0.3/24")
	l.route(l.va, "10.9.0.0/16", "10.77.0.2", func(r *netlink.Route) { r.Src = net.ParseIP("10.77.0.3") })
	l.route(l.va, "10.9.0.0/16", "10.77.0.4", func(r *netlink.Route) { r.Table = 77 })
	rule := netlink.NewRule()
	rule.Src, rule.Table = netlink.NewIPNet(net.ParseIP("10.77.0.3").To4()), 77
	l.ok(l.here.RuleAdd(rule))
	// The first answer chooses the source 10.77.0.3, to which the rule applies: connect() would send by .4.
	r, err := ResolveRoute(netip.MustParseAddr("10.9.0.1"), RouteOptions{})
	l.ok(err)
	if r.Source.String() != "10.77.0.3" || r.NextHop.String() != "10.77.0.4" {
		t.Errorf("%+v", r)
	}
}

func TestSourceNotReady(t *testing.T) {
	l := newLab(t)
	l.sysctl(l.near, "ipv6/conf/va/accept_dad", "1")
	l.sysctl(l.near, "ipv6/conf/va/dad_transmits", "5")
	a, err := netlink.ParseAddr("fd77::5/64")
	l.ok(err)
	l.ok(l.here.AddrAdd(l.va, a))
	_, err = ResolveRoute(far6, RouteOptions{Source: netip.MustParseAddr("fd77::5")})
	wantIs(t, err, ErrNoSource)
	if err != nil && !strings.Contains(err.Error(), "duplicate address detection") {
		t.Error(err)
	}
}

// TestRouteErrno has a function answer what this machine's kernel doesn't on request.
func TestRouteErrno(t *testing.T) {
	unicast := netlink.Route{Type: unix.RTN_UNICAST, LinkIndex: 2, Src: net.IPv4(10, 0, 0, 1)}
	q := routeQuestion{dst: netip.MustParseAddr("192.0.2.1")}
	ethernet := linkMessage{index: 2, name: "nic", hardware: unix.ARPHRD_ETHER, mac: make([]byte, 6), flags: unix.IFF_UP}
	for _, c := range []struct {
		name   string
		link   linkMessage
		source net.IP
		kind   int
		errno  error
		empty  bool
		want   error
	}{
		{name: "found", link: ethernet, source: unicast.Src, kind: unix.RTN_UNICAST},
		{name: "no memory", link: ethernet, errno: unix.ENOBUFS, want: unix.ENOBUFS},
		{name: "EHOSTUNREACH", link: ethernet, errno: unix.EHOSTUNREACH, want: ErrNoRoute},
		{name: "ENETUNREACH", link: ethernet, errno: unix.ENETUNREACH, want: ErrNoRoute},
		{name: "EACCES", link: ethernet, errno: unix.EACCES, want: ErrNoRoute},
		{name: "EINVAL", link: ethernet, errno: unix.EINVAL, want: ErrNoRoute},
		{name: "no reply", link: ethernet, empty: true, want: ErrNoRoute},
		{name: "a type of the future", link: ethernet, kind: 99, want: ErrNoRoute},
		{name: "blackhole as a type", link: ethernet, kind: unix.RTN_BLACKHOLE, want: ErrNoRoute},
		{name: "anycast", link: ethernet, kind: unix.RTN_ANYCAST, want: ErrNotUnicast},
		{name: "no source", link: ethernet, kind: unix.RTN_UNICAST, want: ErrNoSource},
		{name: "InfiniBand", link: linkMessage{hardware: 32, mac: make([]byte, 20)}, source: unicast.Src, kind: unix.RTN_UNICAST, want: ErrNotEthernet},
		{name: "Ethernet without address", link: linkMessage{hardware: unix.ARPHRD_ETHER}, source: unicast.Src, kind: unix.RTN_UNICAST, want: ErrNotEthernet},
		{name: "by loopback", link: linkMessage{flags: unix.IFF_LOOPBACK}, source: unicast.Src, kind: unix.RTN_UNICAST, want: ErrLocalDestination},
	} {
		k := &kernel{
			linkByIndex: func(int) (linkMessage, error) { return c.link, nil },
			addresses:   func(int) ([]netlink.Addr, error) { return nil, nil },
			route: func(net.IP, *netlink.RouteGetOptions) ([]netlink.Route, error) {
				if c.errno != nil || c.empty {
					return nil, c.errno
				}
				return []netlink.Route{{Type: c.kind, LinkIndex: 2, Src: c.source}}, nil
			},
		}
		if _, err := k.resolve(q); !errors.Is(err, c.want) || (err != nil) != (c.want != nil) {
			t.Errorf("%s: got %v, want %v", c.name, err, c.want)
		}
	}
}
