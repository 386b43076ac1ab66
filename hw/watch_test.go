package hw

import (
	"context"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// watched is a watch with the verbs of these tests. An event that a test doesn't name is a failure.
type watched struct {
	*lab
	w *Watch
}

// watch follows the path to each destination, with a refresh that doesn't come by itself.
func (l *lab) watch(destinations ...netip.Addr) *watched {
	l.t.Helper()
	return l.watchEvery(time.Hour, destinations...)
}

func (l *lab) watchEvery(refresh time.Duration, destinations ...netip.Addr) *watched {
	l.t.Helper()
	c := WatchConfig{Refresh: refresh}
	for _, dst := range destinations {
		p, err := ResolvePath(within(l.t, 2*time.Second), dst, RouteOptions{})
		l.ok(err)
		c.Paths = append(c.Paths, p)
	}
	link, err := LookupIndex(l.index())
	l.ok(err)
	c.Link = link
	return l.start(c)
}

func (l *lab) start(c WatchConfig) *watched {
	l.t.Helper()
	w, err := NewWatch(context.Background(), c)
	l.ok(err)
	l.t.Cleanup(func() { l.ok(w.Close()) })
	return &watched{l, w}
}

// want receives the events of these kinds in this order, and returns the last one.
func (w *watched) want(kinds ...EventKind) Event {
	w.t.Helper()
	var last Event
	for _, kind := range kinds {
		select {
		case last = <-w.w.Events():
			if last.Kind != kind || last.Interface != w.index() {
				w.t.Fatalf("got %v (%+v), want %v", last, last, kind)
			}
		case <-time.After(3 * time.Second):
			w.t.Fatalf("%v didn't come", kind)
		}
	}
	return last
}

// last receives events up to one of this kind. Before it an earlier one about the same subject may come, or
// have been merged into it.
func (w *watched) last(kind EventKind) Event {
	w.t.Helper()
	about := Event{Kind: kind}.subject().kinds
	for {
		select {
		case e := <-w.w.Events():
			if e.Kind == kind {
				return e
			}
			if e.subject().kinds != about {
				w.t.Fatalf("got %v (%+v), want %v", e, e, kind)
			}
		case <-time.After(3 * time.Second):
			w.t.Fatalf("%v didn't come", kind)
		}
	}
}

// until receives events until each of these kinds has come, in any order among others, and returns the newest
// of each kind.
func (w *watched) until(kinds ...EventKind) map[EventKind]Event {
	w.t.Helper()
	newest := make(map[EventKind]Event)
	for deadline := time.After(3 * time.Second); len(kinds) > 0; {
		select {
		case e := <-w.w.Events():
			newest[e.Kind] = e
			kinds = slices.DeleteFunc(kinds, func(k EventKind) bool { return k == e.Kind })
		case <-deadline:
			w.t.Fatalf("%v didn't come", kinds)
		}
	}
	return newest
}

// quiet fails if anything is reported within d.
func (w *watched) quiet(d time.Duration) {
	w.t.Helper()
	select {
	case e := <-w.w.Events():
		w.t.Fatalf("got %v (%+v), want nothing", e, e)
	case <-time.After(d):
	}
}

func (l *lab) setFarMAC(mac MAC) {
	l.t.Helper()
	l.ok(l.there.LinkSetHardwareAddr(l.vb, mac[:]))
}

var otherMAC = MAC{2, 0, 0, 0, 0, 0x55}

func TestWatchPeerAnnouncesItsMAC(t *testing.T) {
	for name, dst := range map[string]netip.Addr{"IPv4": far4, "IPv6": far6} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			l.sysctl(l.far, "ipv4/conf/vb/arp_notify", "1")
			l.sysctl(l.far, "ipv6/conf/vb/ndisc_notify", "1")
			l.sysctl(l.near, "ipv4/neigh/va/locktime", "0")
			w := l.watch(dst)
			l.setFarMAC(otherMAC)
			if e := w.want(NeighbourChanged); e.Path.MAC != otherMAC || e.Path.Route.Destination != dst {
				t.Errorf("%+v", e)
			}
		})
	}
}

// TestWatchPeerChangesItsMACSilently leaves it to the refresh: the entry goes stale, is probed at once because
// the watch says that it is in use, fails, and is asked for again.
func TestWatchPeerChangesItsMACSilently(t *testing.T) {
	for name, dst := range map[string]netip.Addr{"ipv4": far4, "ipv6": far6} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			old := l.farMAC()
			w := l.watch(dst)
			for knob, value := range map[string]string{
				"delay_first_probe_time": "0", "ucast_solicit": "1", "retrans_time_ms": "30", "mcast_solicit": "1",
			} {
				l.sysctl(l.near, name+"/neigh/va/"+knob, value)
			}
			l.setFarMAC(otherMAC)
			l.setState(dst, old, unix.NUD_STALE) // stands in for the 15 to 45 s that it takes otherwise
			if e := w.last(NeighbourChanged); e.Path.MAC != otherMAC {
				t.Errorf("%+v", e)
			}
		})
	}
}

func TestWatchPeerComesBack(t *testing.T) {
	l := newLab(t)
	mac := l.farMAC()
	w := l.watch(far4)
	l.setState(far4, mac, unix.NUD_FAILED)
	w.last(NeighbourBack)
	l.ok(l.here.NeighDel(&netlink.Neigh{LinkIndex: l.index(), IP: far4.AsSlice()}))
	w.last(NeighbourBack) // Linux has an entry fail before it deletes it
	w.quiet(50 * time.Millisecond)
}

func TestWatchPeerGoesAway(t *testing.T) {
	l := newLab(t)
	mac := l.farMAC()
	w := l.watch(far4)
	l.ok(l.there.AddrDel(l.vb, &netlink.Addr{IPNet: &net.IPNet{IP: far4.AsSlice(), Mask: net.CIDRMask(24, 32)}}))
	l.setState(far4, mac, unix.NUD_FAILED)
	if e := w.want(NeighbourFailed); e.Path.MAC != mac {
		t.Errorf("the last good address isn't kept: %+v", e)
	}
	w.quiet(50 * time.Millisecond)
}

func TestWatchProbesStaleEntryAtOnce(t *testing.T) {
	l := newLab(t)
	w := l.watch(far4)
	l.setState(far4, l.farMAC(), unix.NUD_STALE)
	eventually(t, "a stale entry is probed", func() bool { return l.state(far4)&(unix.NUD_DELAY|unix.NUD_PROBE|unix.NUD_REACHABLE) != 0 })
	w.quiet(50 * time.Millisecond)
}

// TestStaleEntryStaysStale is the control of the test above: without a watch nobody probes.
func TestStaleEntryStaysStale(t *testing.T) {
	l := newLab(t)
	l.setState(far4, l.farMAC(), unix.NUD_STALE)
	time.Sleep(100 * time.Millisecond)
	if s := l.state(far4); s != unix.NUD_STALE {
		t.Errorf("state %#x", s)
	}
}

// TestWatchRefreshes: the kernel deletes entries that nobody uses, a watch of an old one makes it again.
func TestWatchRefreshes(t *testing.T) {
	l := newLab(t)
	w := l.watchEvery(20*time.Millisecond, far4)
	l.setState(far4, l.farMAC(), unix.NUD_STALE)
	eventually(t, "the entry is probed", func() bool { return l.state(far4)&unix.NUD_STALE == 0 })
	w.quiet(50 * time.Millisecond)
	w.w.Close()
	l.setState(far4, l.farMAC(), unix.NUD_STALE)
	time.Sleep(50 * time.Millisecond)
	if s := l.state(far4); s != unix.NUD_STALE { // the control
		t.Errorf("state %#x after Close", s)
	}
}

func TestWatchLeavesPermanentEntriesAlone(t *testing.T) {
	l := newLab(t)
	l.setState(far4, l.farMAC(), unix.NUD_PERMANENT)
	w := l.watchEvery(5*time.Millisecond, far4)
	w.quiet(100 * time.Millisecond)
	if s := l.state(far4); s != unix.NUD_PERMANENT {
		t.Errorf("state %#x after some refreshes", s)
	}
	l.setState(far4, otherMAC, unix.NUD_PERMANENT)
	if e := w.want(NeighbourChanged); e.Path.MAC != otherMAC {
		t.Errorf("%+v", e)
	}
}

func TestWatchLink(t *testing.T) {
	l := newLab(t)
	w := l.watch()
	l.ok(l.there.LinkSetDown(l.vb))
	w.want(CarrierDown)
	l.ok(l.there.LinkSetUp(l.vb))
	w.want(CarrierUp)
	l.ok(l.here.LinkSetDown(l.va))
	w.want(CarrierDown, LinkDown)
	l.ok(l.here.LinkSetMTU(l.va, 1280))
	if e := w.want(MTUChanged); e.MTU != 1280 {
		t.Errorf("%+v", e)
	}
	l.ok(l.here.LinkSetUp(l.va))
	w.want(LinkUp, CarrierUp)
	w.quiet(50 * time.Millisecond)
}

// TestWatchPathAcrossLinkDown: the subnet's route goes without a notification of its own, and comes back.
func TestWatchPathAcrossLinkDown(t *testing.T) {
	l := newLab(t)
	w := l.watch(far4)
	l.ok(l.here.LinkSetDown(l.va))
	wantIs(t, w.until(CarrierDown, LinkDown, RouteLost)[RouteLost].Err, ErrLinkDown)
	l.ok(l.here.LinkSetUp(l.va))
	if e := w.until(LinkUp, CarrierUp, RouteChanged)[RouteChanged]; e.Path.Route.NextHop != far4 || e.Path.MAC != l.farMAC() {
		t.Errorf("%+v", e)
	}
	eventually(t, "the neighbour is resolved again", func() bool { return l.state(far4)&nudUsable != 0 })
	w.quiet(50 * time.Millisecond)
}

func TestWatchLinkRemoved(t *testing.T) {
	l := newLab(t)
	w := l.watch(far4)
	l.ok(l.here.LinkDel(l.va))
	w.until(LinkRemoved, RouteLost)
	w.quiet(50 * time.Millisecond)
}

func TestWatchRoute(t *testing.T) {
	l := newLab(t)
	l.addr(l.there, l.vb, "10.77.0.3/24")
	first := l.route(l.va, "10.9.0.0/16", "10.77.0.2")
	dst := netip.MustParseAddr("10.9.0.1")
	w := l.watch(dst)
	l.route(l.va, "10.9.0.1/32", "10.77.0.3", func(r *netlink.Route) { r.MTU = 1400 })
	e := w.want(RouteChanged)
	if e.Path.Route.NextHop.String() != "10.77.0.3" || e.Path.Route.MTU != 1400 || e.Path.Route.Source != near4 {
		t.Errorf("%+v", e)
	}
	l.ok(l.here.RouteDel(&netlink.Route{LinkIndex: l.index(), Dst: netlink.NewIPNet(net.ParseIP("10.9.0.1").To4())}))
	if e := w.want(RouteChanged); e.Path.Route.NextHop != far4 || e.Path.Route.MTU != 0 {
		t.Errorf("%+v", e)
	}
	l.ok(l.here.RouteDel(first))
	e = w.want(RouteLost)
	wantIs(t, e.Err, ErrNoRoute)
	if e.Path.Route.NextHop != far4 {
		t.Errorf("the last good route isn't kept: %+v", e)
	}
	l.ok(l.here.RouteAdd(first))
	w.want(RouteChanged)
}

func TestWatchNewNextHopHasAnotherMAC(t *testing.T) {
	l := newLab(t)
	l.route(l.va, "10.9.0.0/16", "10.77.0.2")
	w := l.watch(netip.MustParseAddr("10.9.0.1"))
	gateway := netip.MustParseAddr("10.77.0.9")
	l.setState(gateway, otherMAC, unix.NUD_PERMANENT)
	l.route(l.va, "10.9.0.1/32", gateway.String())
	if e := w.want(RouteChanged); e.Path.Route.NextHop != gateway || e.Path.MAC != otherMAC {
		t.Errorf("%+v", e)
	}
}

func TestWatchSourceGone(t *testing.T) {
	for name, c := range map[string]struct {
		dst    netip.Addr
		prefix string
	}{"IPv4": {far4, "10.77.0.1/24"}, "IPv6": {far6, "fd77::1/64"}} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			w := l.watch(c.dst)
			a, err := netlink.ParseAddr(c.prefix)
			l.ok(err)
			l.ok(l.here.AddrDel(l.va, a))
			wantIs(t, w.want(RouteLost).Err, ErrNoSource)
		})
	}
}

// TestWatchReportsWhatChangedBefore: what the configuration says is older than the watch.
func TestWatchReportsWhatChangedBefore(t *testing.T) {
	l := newLab(t)
	link, err := LookupIndex(l.index())
	l.ok(err)
	p, err := ResolvePath(within(t, 2*time.Second), far4, RouteOptions{})
	l.ok(err)
	link.MTU, p.MAC, p.Route.MTU = 9000, otherMAC, 1400
	w := l.start(WatchConfig{Link: link, Paths: []Path{p}})
	if e := w.want(MTUChanged); e.MTU != 1500 {
		t.Errorf("%+v", e)
	}
	if e := w.want(RouteChanged); e.Path.Route.MTU != 0 {
		t.Errorf("%+v", e)
	}
	if e := w.want(NeighbourChanged); e.Path.MAC != l.farMAC() {
		t.Errorf("%+v", e)
	}
}

func TestWatchAddAndRemove(t *testing.T) {
	l := newLab(t)
	w := l.watch()
	p, err := ResolvePath(within(t, 2*time.Second), far4, RouteOptions{})
	l.ok(err)
	p.MAC = otherMAC
	w.w.Add(p)
	if e := w.want(NeighbourChanged); e.Path.MAC != l.farMAC() {
		t.Errorf("%+v", e)
	}
	p.MAC = l.farMAC()
	w.w.Add(p) // the same path twice is one path
	l.setState(far4, otherMAC, unix.NUD_PERMANENT)
	w.want(NeighbourChanged)
	w.quiet(20 * time.Millisecond)
	w.w.Remove(p)
	l.setState(far4, p.MAC, unix.NUD_PERMANENT)
	w.quiet(50 * time.Millisecond)
}

// TestWatchMergesForSlowReceiver: of many changes that nobody received the newest per subject is left.
func TestWatchMergesForSlowReceiver(t *testing.T) {
	l := newLab(t)
	w := l.watch(far4)
	for i := range byte(20) {
		l.setState(far4, MAC{2, 0, 0, 0, 1, i}, unix.NUD_PERMANENT)
		l.ok(l.here.LinkSetMTU(l.va, 1400+int(i)))
	}
	time.Sleep(100 * time.Millisecond)
	l.setState(far4, otherMAC, unix.NUD_PERMANENT)
	l.ok(l.here.LinkSetMTU(l.va, 1300))
	seen, lastMAC, lastMTU := 0, MAC{}, 0
	for lastMAC != otherMAC || lastMTU != 1300 {
		select {
		case e := <-w.w.Events():
			seen++
			lastMAC = choose(e.Kind == NeighbourChanged, e.Path.MAC, lastMAC)
			lastMTU = choose(e.Kind == MTUChanged, e.MTU, lastMTU)
		case <-time.After(3 * time.Second):
			t.Fatalf("after %d events: MAC %x, MTU %d", seen, lastMAC, lastMTU)
		}
	}
	if seen > 10 {
		t.Errorf("%d events for 42 changes of two subjects", seen)
	}
}

// TestWatchSurvivesLostNotifications fills the socket's buffer before the watch reads from it.
func TestWatchSurvivesLostNotifications(t *testing.T) {
	l := newLab(t)
	link, err := LookupIndex(l.index())
	l.ok(err)
	var sockets [2]*subscription // the second is the control: it shows that notifications were lost
	for i := range sockets {
		sockets[i], err = subscribe(watchGroups...)
		l.ok(err)
		l.ok(sockets[i].socket.SetReceiveBufferSize(1, true)) // the kernel's minimum: one or two messages
	}
	defer sockets[1].Close()
	for i := range 200 {
		l.ok(l.here.LinkSetMTU(l.va, 1300+i))
	}
	l.ok(l.there.LinkSetDown(l.vb))
	l.ok(l.here.LinkSetMTU(l.va, 1400))
	if _, lost, err := sockets[1].receive(); err != nil || !lost {
		t.Fatalf("nothing was lost: %v", err)
	}
	k, err := dialKernel()
	l.ok(err)
	w := &watched{l, startWatch(context.Background(), WatchConfig{Link: link}, k, sockets[0])}
	t.Cleanup(func() { l.ok(w.w.Close()) })
	w.want(CarrierDown)
	if e := w.want(MTUChanged); e.MTU != 1400 {
		t.Errorf("%+v", e)
	}
	w.quiet(50 * time.Millisecond) // without drain: the MTUs that the socket still held
	l.ok(l.here.LinkSetMTU(l.va, 1450))
	w.want(MTUChanged)
}

func TestWatchFromAnotherNamespace(t *testing.T) {
	l := newLab(t)
	w := l.watch(far4)
	l.in(l.far, func() { // the goroutines of the watch know nothing of this thread's namespace
		l.ok(l.here.LinkSetMTU(l.va, 1400))
		w.want(MTUChanged)
	})
}

func TestWatchLeavesNothing(t *testing.T) {
	l := newLab(t)
	goroutines, files := runtime.NumGoroutine(), openFiles(t)
	for i := range 20 {
		link, err := LookupIndex(l.index())
		l.ok(err)
		ctx, cancel := context.WithCancel(context.Background())
		w, err := NewWatch(ctx, WatchConfig{Link: link, Paths: []Path{{Route: Route{Destination: far4, Interface: l.index(), Source: near4, NextHop: far4}}}})
		l.ok(err)
		if i%2 == 0 {
			cancel() // Close after the context ended
		}
		l.ok(w.Close())
		l.ok(w.Close())
		w.Add(Path{})
		w.Remove(Path{})
		for range w.Events() { // closed, perhaps after what was reported
		}
		cancel()
	}
	eventually(t, "all goroutines end", func() bool { return runtime.NumGoroutine() <= goroutines })
	if now := openFiles(t); now > files {
		t.Errorf("%d files open, %d before", now, files)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(entries)
}

func TestWatchRefusesConfiguration(t *testing.T) {
	_, err := NewWatch(context.Background(), WatchConfig{})
	wantIs(t, err, ErrNoInterface)
	_, err = NewWatch(context.Background(), WatchConfig{Link: Interface{Index: 1, Name: "lo"}, Refresh: -1})
	if err == nil || !strings.Contains(err.Error(), "negative") {
		t.Error(err)
	}
}

func TestWatchFollowsInterfaceIntoAnotherNamespace(t *testing.T) {
	l := newLab(t)
	w := l.watch()
	l.ok(l.here.LinkSetNsFd(l.va, int(l.far)))
	w.until(LinkRemoved)
}
