package porttest

import (
	"errors"
	"os"
	"runtime"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// NeedRoot skips the test where it cannot make namespaces and AF_XDP sockets.
func NeedRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: network namespaces, AF_XDP sockets and XDP programs")
	}
}

// Wire is a veth pair, each end in a network namespace of its own, both up.
type Wire struct {
	Near *End // where the port is
	Far  *End // the peer
}

// End is one end of a Wire.
type End struct {
	NS    netns.NsHandle
	Link  netlink.Link
	Index int
	nl    *netlink.Handle
}

// WireConfig describes a Wire. Zero means one queue and an MTU of 1500.
type WireConfig struct {
	Queues int
	MTU    int
}

// NewWire makes a wire that goes away with the test.
func NewWire(t testing.TB, cfg WireConfig) *Wire {
	t.Helper()
	NeedRoot(t)
	n := uint32(max(1, cfg.Queues))
	mtu := cfg.MTU
	if mtu == 0 {
		mtu = 1500
	}
	w := &Wire{Near: newEnd(t), Far: newEnd(t)}
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.MTU, attrs.NumTxQueues, attrs.NumRxQueues = "near0", mtu, int(n), int(n)
	pair := netlink.NewVeth(attrs)
	pair.PeerName, pair.PeerMTU, pair.PeerNumTxQueues, pair.PeerNumRxQueues = "far0", uint32(mtu), n, n
	pair.PeerNamespace = netlink.NsFd(int(w.Far.NS))
	must(t, w.Near.nl.LinkAdd(pair))
	w.Near.find(t, "near0")
	w.Far.find(t, "far0")
	w.Near.Up(t, true)
	w.Far.Up(t, true)
	return w
}

func newEnd(t testing.TB) *End {
	t.Helper()
	e := &End{}
	must(t, onOwnThread(func() (err error) {
		e.NS, err = netns.New() // a namespace of this thread, kept alive by the handle
		return err
	}))
	nl, err := netlink.NewHandleAt(e.NS, unix.NETLINK_ROUTE)
	must(t, err)
	e.nl = nl
	t.Cleanup(func() {
		nl.Close()
		must(t, e.NS.Close())
	})
	return e
}

func (e *End) find(t testing.TB, name string) {
	t.Helper()
	l, err := e.nl.LinkByName(name)
	must(t, err)
	e.Link, e.Index = l, l.Attrs().Index
}

// Up sets the interface up or down.
func (e *End) Up(t testing.TB, up bool) {
	t.Helper()
	if up {
		must(t, e.nl.LinkSetUp(e.Link))
		return
	}
	must(t, e.nl.LinkSetDown(e.Link))
}

// Delete removes the interface, and with it the other end.
func (e *End) Delete(t testing.TB) {
	t.Helper()
	must(t, e.nl.LinkDel(e.Link))
}

// Do runs f in the end's namespace, on a thread of its own.
func (e *End) Do(t testing.TB, f func() error) {
	t.Helper()
	must(t, e.Try(f))
}

// Try is Do for what may fail.
func (e *End) Try(f func() error) error {
	return onOwnThread(func() error {
		if err := netns.Set(e.NS); err != nil {
			return err
		}
		return f()
	})
}

// onOwnThread runs f on a thread that ends with it, because its namespace is not
// to be used for anything else.
func onOwnThread(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		err := errors.New("porttest: ended by runtime.Goexit")
		defer func() { done <- err }()
		err = f()
	}()
	return <-done
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
