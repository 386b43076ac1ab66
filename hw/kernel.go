package hw

import (
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// kernel is every question this package asks, as function values, so that a test can answer with an errno
// that no machine gives on request. Errors are the kernel's own; callers add subject and remedy.
type kernel struct {
	linkByName  func(name string) (linkMessage, error)
	linkByIndex func(index int) (linkMessage, error)
	links       func() ([]linkMessage, error)
	route       func(dst net.IP, o *netlink.RouteGetOptions) ([]netlink.Route, error)
	addresses   func(family int) ([]netlink.Addr, error)
	neighbour   func(index int, addr netip.Addr) (neighbourMessage, error)
	use         func(index int, addr netip.Addr) error
	driver      func(name string) (driverInfo, error)
	channels    func(name string) (channelCounts, error)
	netdev      func(index int) ([]byte, error)
	close       func()
}

// dialKernel opens the rtnetlink sockets in the caller's network namespace; they stay in it.
func dialKernel() (*kernel, error) {
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	s, err := nl.GetNetlinkSocketAt(netns.None(), netns.None(), unix.NETLINK_ROUTE)
	if err != nil {
		h.Close()
		return nil, fmt.Errorf("open rtnetlink socket: %w", err)
	}
	r := rtnetlink{nl.SocketHandle{Socket: s}}
	return &kernel{
		linkByName:  r.linkByName,
		linkByIndex: r.linkByIndex,
		links:       r.links,
		route:       h.RouteGetWithOptions,
		addresses:   func(family int) ([]netlink.Addr, error) { return h.AddrList(nil, family) },
		neighbour:   r.neighbour,
		use:         func(index int, addr netip.Addr) error { return h.NeighSet(useRequest(index, addr)) },
		driver:      readDriver,
		channels:    readChannels,
		netdev:      askNetdev,
		close:       func() { h.Close(); s.Close() },
	}, nil
}

// withKernel dials, calls f and closes.
func withKernel[T any](f func(*kernel) (T, error)) (T, error) {
	k, err := dialKernel()
	if err != nil {
		var zero T
		return zero, err
	}
	defer k.close()
	return f(k)
}

// rtnetlink asks what the library can't: one neighbour instead of the whole table, and links without
// decoding all of their attributes.
type rtnetlink struct{ socket nl.SocketHandle }

func (r *rtnetlink) execute(kind, flags int, reply uint16, parts ...nl.NetlinkRequestData) ([][]byte, error) {
	req := nl.NewNetlinkRequest(kind, flags)
	req.Sockets = map[int]*nl.SocketHandle{unix.NETLINK_ROUTE: &r.socket}
	for _, p := range parts {
		req.AddData(p)
	}
	return req.Execute(unix.NETLINK_ROUTE, reply)
}

// alternative names (IFLA_ALT_IFNAME) may be this long, the terminating zero included.
const altNameSize = 128

func (r *rtnetlink) linkByName(name string) (linkMessage, error) {
	kind := unix.IFLA_IFNAME
	switch {
	case name == "" || len(name) >= altNameSize:
		return linkMessage{}, unix.ENODEV
	case len(name) >= unix.IFNAMSIZ:
		kind = unix.IFLA_ALT_IFNAME
	}
	return r.link(nl.NewIfInfomsg(unix.AF_UNSPEC), nl.NewRtAttr(kind, nl.ZeroTerminated(name)))
}

func (r *rtnetlink) linkByIndex(index int) (linkMessage, error) {
	if index <= 0 || index > math.MaxInt32 {
		return linkMessage{}, unix.ENODEV
	}
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	return r.link(msg)
}

func (r *rtnetlink) link(parts ...nl.NetlinkRequestData) (linkMessage, error) {
	replies, err := r.execute(unix.RTM_GETLINK, 0, unix.RTM_NEWLINK, parts...)
	if err != nil {
		return linkMessage{}, err
	}
	if len(replies) == 0 {
		return linkMessage{}, unix.ENODEV
	}
	return parseLink(replies[0])
}

func (r *rtnetlink) links() ([]linkMessage, error) {
	replies, err := r.execute(unix.RTM_GETLINK, unix.NLM_F_DUMP, unix.RTM_NEWLINK, nl.NewIfInfomsg(unix.AF_UNSPEC))
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return nil, err
	}
	var links []linkMessage
	for _, b := range replies {
		if m, err := parseLink(b); err == nil {
			links = append(links, m)
		}
	}
	return links, nil
}

// neighbour reads one entry of the neighbour table (Linux 5.0); ENOENT where there is none.
func (r *rtnetlink) neighbour(index int, addr netip.Addr) (neighbourMessage, error) {
	msg := &netlink.Ndmsg{Family: uint8(familyOf(addr)), Index: uint32(index)}
	replies, err := r.execute(unix.RTM_GETNEIGH, 0, unix.RTM_NEWNEIGH, msg, nl.NewRtAttr(unix.NDA_DST, addr.AsSlice()))
	if err != nil {
		return neighbourMessage{}, err
	}
	if len(replies) == 0 {
		return neighbourMessage{}, unix.ENOENT
	}
	return parseNeighbour(replies[0])
}

// useRequest is what tells the kernel that somebody sends to addr: a missing or failed entry is resolved,
// a stale one probed. It must not be sent for a permanent entry: Linux takes NUD_PERMANENT away from it.
func useRequest(index int, addr netip.Addr) *netlink.Neigh {
	return &netlink.Neigh{
		LinkIndex: index,
		Family:    familyOf(addr),
		Flags:     netlink.NTF_USE,
		IP:        addr.AsSlice(),
	}
}

func familyOf(addr netip.Addr) int {
	if addr.Is4() {
		return unix.AF_INET
	}
	return unix.AF_INET6
}
