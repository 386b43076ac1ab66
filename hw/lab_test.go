package hw

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// lab is a veth pair between two network namespaces without names, which vanish with the test however it
// ends. The test's thread is in the near one, locked.
//
//	near: va 10.77.0.1/24 fd77::1/64 fe80::1/64 ──── vb 10.77.0.2/24 fd77::2/64 fe80::2/64 :far
type lab struct {
	t         *testing.T
	near, far netns.NsHandle
	here      *netlink.Handle // rtnetlink in near
	there     *netlink.Handle // rtnetlink in far
	kernel    *kernel         // in near
	va, vb    netlink.Link
}

var (
	near4 = netip.MustParseAddr("10.77.0.1")
	far4  = netip.MustParseAddr("10.77.0.2")
	far6  = netip.MustParseAddr("fd77::2")

	farLink6 = netip.MustParseAddr("fe80::2")
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and a veth pair")
	}
}

func newLab(t *testing.T) *lab {
	needRoot(t)
	l := &lab{t: t}
	l.far = l.newNamespace()
	l.near = l.newNamespace() // last, so that the thread stays in it
	l.here, l.there = l.handle(l.near), l.handle(l.far)
	l.addVeth()
	l.addr(l.here, l.va, "10.77.0.1/24", "fd77::1/64", "fe80::1/64")
	l.addr(l.there, l.vb, "10.77.0.2/24", "fd77::2/64", "fe80::2/64")
	l.addressesReady()
	k, err := dialKernel()
	l.ok(err)
	l.kernel = k
	t.Cleanup(k.close)
	return l
}

func (l *lab) newNamespace() netns.NsHandle {
	runtime.LockOSThread()
	home, err := netns.Get()
	l.ok(err)
	ns, err := netns.New()
	if errors.Is(err, unix.EPERM) {
		l.t.Skip("needs CAP_SYS_ADMIN: makes network namespaces")
	}
	l.ok(err)
	l.t.Cleanup(func() {
		l.ok(netns.Set(home))
		ns.Close()
		home.Close()
		runtime.UnlockOSThread()
	})
	return ns
}

func (l *lab) handle(ns netns.NsHandle) *netlink.Handle {
	h, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	l.ok(err)
	l.t.Cleanup(h.Close)
	return h
}

func (l *lab) addVeth() {
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumTxQueues, attrs.NumRxQueues = "va", 2, 2
	l.ok(l.here.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "vb", PeerNamespace: netlink.NsFd(l.far)}))
	l.va, l.vb = l.link(l.here, "va"), l.link(l.there, "vb")
	// No generated link-local address: it would stay tentative for a while.
	l.sysctl(l.near, "ipv6/conf/va/addr_gen_mode", "1")
	l.sysctl(l.far, "ipv6/conf/vb/addr_gen_mode", "1")
	l.ok(l.here.LinkSetUp(l.va))
	l.ok(l.there.LinkSetUp(l.vb))
	l.carrier()
}

// addressesReady waits for the local routes of the IPv6 addresses, which Linux installs from a work queue.
func (l *lab) addressesReady() {
	l.t.Helper()
	for addr, h := range map[string]*netlink.Handle{"fd77::1": l.here, "fd77::2": l.there, "fe80::1": l.here, "fe80::2": l.there} {
		eventually(l.t, addr+" has its local route", func() bool {
			o := netlink.RouteGetOptions{}
			if h == l.here && addr == "fe80::1" {
				o.OifIndex = l.index()
			} else if addr == "fe80::2" {
				o.OifIndex = l.vb.Attrs().Index
			}
			found, err := h.RouteGetWithOptions(net.ParseIP(addr), &o)
			return err == nil && len(found) == 1 && found[0].Type == unix.RTN_LOCAL
		})
	}
}

func (l *lab) carrier() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	l.ok(WaitCarrier(ctx, l.va.Attrs().Index))
}

func (l *lab) link(h *netlink.Handle, name string) netlink.Link {
	link, err := h.LinkByName(name)
	l.ok(err)
	return link
}

func (l *lab) addr(h *netlink.Handle, link netlink.Link, prefixes ...string) {
	for _, p := range prefixes {
		a, err := netlink.ParseAddr(p)
		l.ok(err)
		if a.IP.To4() == nil {
			a.Flags = unix.IFA_F_NODAD
		}
		l.ok(h.AddrAdd(link, a))
	}
}

// route adds "dst via gateway dev link"; gateway may be empty.
func (l *lab) route(link netlink.Link, dst, gateway string, change ...func(*netlink.Route)) *netlink.Route {
	_, ipnet, err := net.ParseCIDR(dst)
	l.ok(err)
	r := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipnet, Gw: net.ParseIP(gateway)}
	for _, f := range change {
		f(r)
	}
	l.ok(l.here.RouteAdd(r))
	return r
}

// in runs f with the thread in ns.
func (l *lab) in(ns netns.NsHandle, f func()) {
	l.t.Helper()
	home, err := netns.Get()
	l.ok(err)
	defer home.Close()
	l.ok(netns.Set(ns))
	defer func() { l.ok(netns.Set(home)) }()
	f()
}

// sysctl writes below /proc/sys/net, which shows the namespace of the thread.
func (l *lab) sysctl(ns netns.NsHandle, name, value string) {
	l.t.Helper()
	l.in(ns, func() { l.ok(os.WriteFile(filepath.Join("/proc/sys/net", name), []byte(value), 0)) })
}

func (l *lab) ok(err error) {
	l.t.Helper()
	if err != nil {
		l.t.Fatal(err)
	}
}

func (l *lab) index() int { return l.va.Attrs().Index }

func (l *lab) farMAC() MAC { return MAC(l.link(l.there, "vb").Attrs().HardwareAddr) }

// state returns the state of addr in the near neighbour table, 0 without an entry.
func (l *lab) state(addr netip.Addr) uint16 {
	l.t.Helper()
	m, err := l.kernel.neighbour(l.index(), addr)
	if err != nil && !errors.Is(err, unix.ENOENT) {
		l.t.Fatal(err)
	}
	return m.state
}

// setState writes an entry of the near neighbour table.
func (l *lab) setState(addr netip.Addr, mac MAC, state int) {
	l.t.Helper()
	l.ok(l.here.NeighSet(&netlink.Neigh{
		LinkIndex: l.index(), Family: familyOf(addr), State: state, IP: addr.AsSlice(), HardwareAddr: mac[:],
	}))
}

// within bounds a test's waiting.
func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// eventually looks until true; the kernel offers nothing to wait on for what it is used for.
func eventually(t *testing.T, what string, f func() bool) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Second); !f(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within 3 s: %s", what)
		}
	}
}

func wantIs(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("got %v, want an error that is %q", err, want)
	}
}
