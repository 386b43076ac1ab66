package hw

import (
	"net"
	"net/netip"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// fakeKernel has one Ethernet interface, number 3, on which everything is on the link and nobody is a
// neighbour.
func fakeKernel() *kernel {
	nic := linkMessage{index: 3, name: "nic", hardware: unix.ARPHRD_ETHER, mac: make([]byte, 6), mtu: 1500, flags: unix.IFF_UP | unix.IFF_LOWER_UP}
	return &kernel{
		linkByIndex: func(int) (linkMessage, error) { return nic, nil },
		addresses: func(int) ([]netlink.Addr, error) {
			return []netlink.Addr{{IPNet: netlink.NewIPNet(near4.AsSlice())}}, nil
		},
		route: func(net.IP, *netlink.RouteGetOptions) ([]netlink.Route, error) {
			return []netlink.Route{{Type: unix.RTN_UNICAST, LinkIndex: 3, Src: near4.AsSlice()}}, nil
		},
		neighbour: func(int, netip.Addr) (neighbourMessage, error) { return neighbourMessage{}, unix.ENOENT },
		use:       func(int, netip.Addr) error { return nil },
	}
}

func notification(kind uint16, b []byte) syscall.NetlinkMessage {
	return syscall.NetlinkMessage{Header: syscall.NlMsghdr{Type: kind}, Data: b}
}

func kinds(events []Event) []EventKind {
	var k []EventKind
	for _, e := range events {
		k = append(k, e.Kind)
	}
	return k
}

func TestTrackerLink(t *testing.T) {
	const up, running = unix.IFF_UP, unix.IFF_UP | unix.IFF_LOWER_UP
	mtu := func(n byte) []byte { return attr(unix.IFLA_MTU, 0, n, 0, 0) } // n × 256
	for _, c := range []struct {
		name string
		kind uint16
		b    []byte
		want []EventKind
	}{
		{"nothing new", unix.RTM_NEWLINK, linkBytes(0, 3, running, mtu(5)), nil},
		{"another interface", unix.RTM_NEWLINK, linkBytes(0, 4, 0), nil},
		{"a bridge port's family", unix.RTM_DELLINK, linkBytes(unix.AF_BRIDGE, 3, 0), nil},
		{"no MTU in it", unix.RTM_NEWLINK, linkBytes(0, 3, running), nil},
		{"carrier", unix.RTM_NEWLINK, linkBytes(0, 3, up, mtu(5)), []EventKind{CarrierDown}},
		{"down", unix.RTM_NEWLINK, linkBytes(0, 3, 0, mtu(5)), []EventKind{CarrierDown, LinkDown}},
		{"MTU", unix.RTM_NEWLINK, linkBytes(0, 3, running, mtu(6)), []EventKind{MTUChanged}},
		{"all at once", unix.RTM_NEWLINK, linkBytes(0, 3, 0, mtu(6)), []EventKind{CarrierDown, LinkDown, MTUChanged}},
		{"removed", unix.RTM_DELLINK, linkBytes(0, 3, running, mtu(5)), []EventKind{CarrierDown, LinkRemoved}},
	} {
		var got []Event
		tr := newTracker(fakeKernel(), Interface{Index: 3, Up: true, Carrier: true, MTU: 1280}, func(e Event) { got = append(got, e) })
		for range 2 { // the second time it is no change
			tr.notice(notification(c.kind, c.b))
		}
		if !slices.Equal(kinds(got), c.want) {
			t.Errorf("%s: got %v, want %v", c.name, kinds(got), c.want)
		}
		if !tr.routesDirty {
			t.Errorf("%s: no route is asked for again", c.name)
		}
	}
}

// TestTrackerAsks counts the requests that make the kernel work for us.
func TestTrackerAsks(t *testing.T) {
	mac := attr(unix.NDA_LLADDR, otherMAC[:]...)
	entry := func(state byte, attrs ...[]byte) []byte {
		b := make([]byte, unix.SizeofNdMsg)
		b[0], b[4], b[8] = unix.AF_INET, 3, state
		return join(b, append(attrs, attr(unix.NDA_DST, far4.AsSlice()...)))
	}
	for _, c := range []struct {
		name    string
		carrier bool
		kind    uint16
		b       []byte
		times   int
		want    int
	}{
		{"reachable", true, unix.RTM_NEWNEIGH, entry(unix.NUD_REACHABLE, mac), 1, 0},
		{"stale", true, unix.RTM_NEWNEIGH, entry(unix.NUD_STALE, mac), 1, 1},
		{"stale without carrier", false, unix.RTM_NEWNEIGH, entry(unix.NUD_STALE, mac), 1, 0},
		{"failed", true, unix.RTM_NEWNEIGH, entry(unix.NUD_FAILED), 1, 1},
		{"failing for ever", true, unix.RTM_NEWNEIGH, entry(unix.NUD_FAILED), 50, 1},
		{"deleted for ever", true, unix.RTM_DELNEIGH, entry(unix.NUD_STALE, mac), 50, 0},
		{"incomplete", true, unix.RTM_NEWNEIGH, entry(unix.NUD_INCOMPLETE), 1, 0},
		{"permanent", true, unix.RTM_NEWNEIGH, entry(unix.NUD_PERMANENT, mac), 1, 0},
	} {
		used := 0
		k := fakeKernel()
		k.use = func(int, netip.Addr) error { used++; return nil }
		tr := newTracker(k, Interface{Index: 3, Up: true, Carrier: c.carrier}, func(Event) {})
		tr.follow(Path{Route: Route{Destination: far4, Interface: 3, NextHop: far4}, MAC: otherMAC})
		for range c.times {
			tr.notice(notification(c.kind, c.b))
		}
		if used != c.want {
			t.Errorf("%s: asked %d times, want %d", c.name, used, c.want)
		}
	}
}

// TestTrackerRouteElsewhere: a route that moved to another interface is reported; its next hop is nobody's
// neighbour on this one.
func TestTrackerRouteElsewhere(t *testing.T) {
	var got []Event
	used := 0
	k := fakeKernel()
	k.use = func(int, netip.Addr) error { used++; return nil }
	k.route = func(net.IP, *netlink.RouteGetOptions) ([]netlink.Route, error) {
		return []netlink.Route{{Type: unix.RTN_UNICAST, LinkIndex: 9, Src: near4.AsSlice(), Gw: net.IPv4(10, 3, 0, 1)}}, nil
	}
	tr := newTracker(k, Interface{Index: 3, Up: true, Carrier: true}, func(e Event) { got = append(got, e) })
	tr.follow(Path{Route: Route{Destination: far4, Interface: 3, NextHop: far4, Source: near4}, MAC: otherMAC})
	tr.checkRoutes()
	tr.checkNeighbours()
	if len(got) != 1 || got[0].Kind != RouteChanged || got[0].Path.Route.Interface != 9 || got[0].Path.MAC != otherMAC || used != 0 {
		t.Errorf("%+v, asked %d times", got, used)
	}
}

func TestWatchRefreshPeriod(t *testing.T) {
	start := time.Unix(0, 0)
	looks := 0
	k := fakeKernel()
	k.neighbour = func(int, netip.Addr) (neighbourMessage, error) {
		looks++
		return neighbourMessage{state: unix.NUD_REACHABLE, mac: otherMAC[:]}, nil
	}
	w := &Watch{refresh: defaultRefresh, tracker: newTracker(k, Interface{Index: 3, Up: true, Carrier: true}, func(Event) {})}
	w.tracker.follow(Path{Route: Route{Destination: far4, Interface: 3, NextHop: far4}, MAC: otherMAC})
	last := start
	for second := range 60 {
		last = w.tick(start.Add(time.Duration(second+1)*time.Second), last)
	}
	if looks != 6 {
		t.Errorf("%d looks in 60 s, want one each 10 s", looks)
	}
	w.tracker.paths[0].unresolved = true
	w.tick(last.Add(time.Second), last)
	if looks != 7 {
		t.Error("an unresolved neighbour waits for the refresh")
	}
}

func TestMailbox(t *testing.T) {
	var m mailbox
	a, b := Path{Route: Route{Destination: far4}}, Path{Route: Route{Destination: far6}}
	for i := range 100 {
		m.put(Event{Kind: NeighbourChanged, Path: a})
		m.put(Event{Kind: NeighbourFailed, Path: a})
		m.put(Event{Kind: NeighbourChanged, Path: b})
		m.put(Event{Kind: RouteChanged, Path: a})
		m.put(Event{Kind: CarrierUp})
		m.put(Event{Kind: LinkUp})
		m.put(Event{Kind: MTUChanged, MTU: i})
		m.put(Event{Kind: CarrierDown})
	}
	want := []EventKind{NeighbourFailed, NeighbourChanged, RouteChanged, LinkUp, MTUChanged, CarrierDown}
	if !slices.Equal(kinds(m.events), want) || m.events[4].MTU != 99 {
		t.Errorf("got %v, want %v", kinds(m.events), want)
	}
	out, first := m.next(make(chan Event))
	if out == nil || first.Kind != NeighbourFailed {
		t.Errorf("next: %v", first)
	}
	for range want {
		m.sent()
	}
	if out, _ := m.next(make(chan Event)); out != nil {
		t.Error("an empty mailbox offers something")
	}
}

func TestEventString(t *testing.T) {
	for k := EventKind(1); int(k) < len(eventNames); k++ {
		if (Event{Kind: k}).String() == "" || k.String() == "" {
			t.Errorf("kind %d has no name", k)
		}
	}
	if EventKind(0).String() != "event 0" || EventKind(200).String() != "event 200" {
		t.Error("unknown kinds")
	}
}
