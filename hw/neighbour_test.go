package hw

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNeighbourResolves(t *testing.T) {
	l := newLab(t)
	for _, addr := range []netip.Addr{far4, far6, farLink6, farLink6.WithZone("va")} {
		mac, err := ResolveNeighbour(within(t, 2*time.Second), l.index(), addr)
		if err != nil || mac != l.farMAC() {
			t.Errorf("%v: %x %v, want %x", addr, mac, err, l.farMAC())
		}
	}
}

func TestResolvePath(t *testing.T) {
	l := newLab(t)
	l.route(l.va, "10.9.0.0/16", "10.77.0.2")
	p, err := ResolvePath(within(t, 2*time.Second), netip.MustParseAddr("10.9.1.1"), RouteOptions{})
	l.ok(err)
	if p.MAC != l.farMAC() || p.Route.NextHop != far4 || p.Route.Source != near4 {
		t.Errorf("%+v", p)
	}
	_, err = ResolvePath(within(t, 2*time.Second), near4, RouteOptions{})
	wantIs(t, err, ErrLocalDestination)
}

func TestNeighbourAbsent(t *testing.T) {
	l := newLab(t)
	for _, c := range []struct {
		addr     string
		protocol string
	}{{"10.77.0.200", "ARP"}, {"fd77::200", "Neighbour Discovery"}} {
		started := time.Now()
		_, err := ResolveNeighbour(within(t, 300*time.Millisecond), l.index(), netip.MustParseAddr(c.addr))
		took := time.Since(started)
		wantIs(t, err, ErrNoNeighbour)
		for _, word := range []string{c.addr, "va", c.protocol, "ms", "ping -I va " + c.addr} {
			if err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("%v doesn't say %q", err, word)
			}
		}
		if took < 300*time.Millisecond || took > time.Second {
			t.Errorf("%s: gave up after %v", c.addr, took)
		}
	}
}

// TestNeighbourAsksAgain has the first round of ARP requests fail before the peer gets its address.
func TestNeighbourAsksAgain(t *testing.T) {
	l := newLab(t)
	l.sysctl(l.near, "ipv4/neigh/va/mcast_solicit", "1")
	l.sysctl(l.near, "ipv4/neigh/va/retrans_time_ms", "20")
	addr := netip.MustParseAddr("10.77.0.7")
	timer := time.AfterFunc(200*time.Millisecond, func() { // the sockets stay in their namespaces, whatever the thread
		if l.state(addr) == 0 {
			t.Error("nothing was asked yet")
		}
		l.addr(l.there, l.vb, "10.77.0.7/24")
	})
	defer timer.Stop()
	mac, err := ResolveNeighbour(within(t, 3*time.Second), l.index(), addr)
	if err != nil || mac != l.farMAC() {
		t.Errorf("%x %v", mac, err)
	}
}

func TestNeighbourCancelled(t *testing.T) {
	l := newLab(t)
	why := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(context.Background())
	stop := time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
	defer stop.Stop()
	_, err := ResolveNeighbour(ctx, l.index(), netip.MustParseAddr("10.77.0.200"))
	wantIs(t, err, why)
	if errors.Is(err, ErrNoNeighbour) {
		t.Errorf("%v blames the neighbour", err)
	}
}

func TestNeighbourWithLinkDown(t *testing.T) {
	l := newLab(t)
	l.ok(l.there.LinkSetDown(l.vb))
	_, err := ResolveNeighbour(within(t, 100*time.Millisecond), l.index(), netip.MustParseAddr("10.77.0.200"))
	wantIs(t, err, ErrNoNeighbour)
	if err != nil && !strings.Contains(err.Error(), "no carrier on va") {
		t.Error(err)
	}
	l.ok(l.here.LinkSetDown(l.va))
	_, err = ResolveNeighbour(within(t, 100*time.Millisecond), l.index(), netip.MustParseAddr("10.77.0.200"))
	if err == nil || !strings.Contains(err.Error(), "ip link set dev va up") {
		t.Error(err)
	}
	_, err = ResolveNeighbour(within(t, 100*time.Millisecond), 4711, far4)
	wantIs(t, err, ErrNoInterface)
}

func TestNeighbourTable(t *testing.T) {
	l := newLab(t)
	mac := MAC{2, 0, 0, 0, 0, 9}
	addr := netip.MustParseAddr("10.77.0.9")
	l.setState(addr, mac, unix.NUD_PERMANENT)
	got, err := ResolveNeighbour(within(t, time.Second), l.index(), addr)
	if err != nil || got != mac || l.state(addr) != unix.NUD_PERMANENT {
		t.Errorf("permanent: %x %v, state %#x", got, err, l.state(addr))
	}
	// The control: the request that wantsUse keeps back would have changed the entry.
	l.ok(l.here.NeighSet(useRequest(l.index(), addr)))
	if l.state(addr) == unix.NUD_PERMANENT {
		t.Log("this kernel leaves permanent entries alone under NTF_USE")
	}
	l.setState(addr, mac, unix.NUD_STALE)
	got, err = ResolveNeighbour(within(t, time.Second), l.index(), addr)
	if err != nil || got != mac || l.state(addr)&(unix.NUD_DELAY|unix.NUD_PROBE) == 0 {
		t.Errorf("stale: %x %v, state %#x", got, err, l.state(addr))
	}
}

func TestNeighbourErrno(t *testing.T) {
	answer := neighbourMessage{}
	var lookErr, useErr error
	used := 0
	r := resolution{name: "nic", addr: far4, kernel: &kernel{
		neighbour: func(int, netip.Addr) (neighbourMessage, error) { return answer, lookErr },
		use:       func(int, netip.Addr) error { used++; return useErr },
	}}
	good := MAC{2, 0, 0, 0, 0, 1}
	for _, c := range []struct {
		name         string
		entry        neighbourMessage
		look, use    error
		mac          MAC
		wantErr      error
		wantUse      int
		wantInReason string
	}{
		{name: "absent", look: unix.ENOENT, wantUse: 1},
		{name: "incomplete", entry: neighbourMessage{state: unix.NUD_INCOMPLETE}},
		{name: "failed", entry: neighbourMessage{state: unix.NUD_FAILED}, wantUse: 1},
		{name: "reachable", entry: neighbourMessage{state: unix.NUD_REACHABLE, mac: good[:]}, mac: good},
		{name: "delay", entry: neighbourMessage{state: unix.NUD_DELAY, mac: good[:]}, mac: good},
		{name: "probe", entry: neighbourMessage{state: unix.NUD_PROBE, mac: good[:]}, mac: good},
		{name: "permanent", entry: neighbourMessage{state: unix.NUD_PERMANENT, mac: good[:]}, mac: good},
		{name: "noarp", entry: neighbourMessage{state: unix.NUD_NOARP, mac: good[:]}, mac: good},
		{name: "stale", entry: neighbourMessage{state: unix.NUD_STALE, mac: good[:]}, mac: good, wantUse: 1},
		{name: "stale, not permitted", entry: neighbourMessage{state: unix.NUD_STALE, mac: good[:]}, use: unix.EPERM, mac: good, wantUse: 1},
		{name: "failed with its old address", entry: neighbourMessage{state: unix.NUD_FAILED, mac: good[:]}, wantUse: 1},
		{name: "20-byte address", entry: neighbourMessage{state: unix.NUD_REACHABLE, mac: make([]byte, 20)}},
		{name: "no address", entry: neighbourMessage{state: unix.NUD_REACHABLE}},
		{name: "not permitted", look: unix.ENOENT, use: unix.EPERM, wantErr: unix.EPERM, wantUse: 1, wantInReason: "CAP_NET_ADMIN"},
		{name: "table full", look: unix.ENOENT, use: unix.ENOBUFS, wantErr: unix.ENOBUFS, wantUse: 1},
		{name: "old kernel", look: unix.EOPNOTSUPP, wantErr: unix.EOPNOTSUPP},
	} {
		answer, lookErr, useErr, used = c.entry, c.look, c.use, 0
		mac, err := r.try()
		if mac != c.mac || !errors.Is(err, c.wantErr) || (err != nil) != (c.wantErr != nil) || used != c.wantUse {
			t.Errorf("%s: %x %v, used %d", c.name, mac, err, used)
		}
		if err != nil && !strings.Contains(err.Error(), c.wantInReason) {
			t.Errorf("%s: %v doesn't say %q", c.name, err, c.wantInReason)
		}
	}
}

func TestWaitCarrier(t *testing.T) {
	l := newLab(t)
	l.ok(l.there.LinkSetDown(l.vb))
	wantIs(t, WaitCarrier(within(t, 100*time.Millisecond), l.index()), ErrNoCarrier)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	wantIs(t, WaitCarrier(ctx, l.index()), context.Canceled)
	timer := time.AfterFunc(50*time.Millisecond, func() { _ = l.there.LinkSetUp(l.vb) })
	defer timer.Stop()
	l.ok(WaitCarrier(within(t, 2*time.Second), l.index()))
	l.ok(l.here.LinkSetDown(l.va))
	wantIs(t, WaitCarrier(within(t, time.Second), l.index()), ErrLinkDown)
	wantIs(t, WaitCarrier(within(t, time.Second), 4711), ErrNoInterface)
}
