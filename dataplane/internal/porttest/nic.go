package porttest

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// The environment of tests that need a real NIC: two of them on one wire, each
// "NAMESPACE/INTERFACE", in named namespaces.
const (
	EnvNear = "XSEND_TEST_NEAR"
	EnvFar  = "XSEND_TEST_FAR"
)

// NICWire is the wire between the two NICs that the environment names. The test is
// skipped where it names none.
func NICWire(t testing.TB) *Wire {
	t.Helper()
	near, far := os.Getenv(EnvNear), os.Getenv(EnvFar)
	if near == "" || far == "" {
		t.Skipf("needs two NICs on one wire: %s and %s=NAMESPACE/INTERFACE", EnvNear, EnvFar)
	}
	NeedRoot(t)
	return &Wire{Near: existing(t, near), Far: existing(t, far)}
}

func existing(t testing.TB, name string) *End {
	t.Helper()
	ns, link, ok := strings.Cut(name, "/")
	if !ok {
		must(t, fmt.Errorf("%q: must be NAMESPACE/INTERFACE", name))
	}
	e := &End{}
	var err error
	e.NS, err = netns.GetFromName(ns)
	must(t, err)
	e.nl, err = netlink.NewHandleAt(e.NS, unix.NETLINK_ROUTE)
	must(t, err)
	t.Cleanup(func() {
		e.nl.Close()
		must(t, e.NS.Close())
	})
	e.find(t, link)
	return e
}

// Carrier waits until the interface has been up and running for 100 ms: a driver
// may reset its link when a program is attached or a socket is bound.
func (e *End) Carrier(t testing.TB) {
	t.Helper()
	stable := 0
	for end := time.Now().Add(4 * patience); stable < 10; time.Sleep(10 * time.Millisecond) {
		l, err := e.nl.LinkByIndex(e.Index)
		must(t, err)
		if stable++; l.Attrs().OperState != netlink.OperUp {
			stable = 0
		}
		if time.Now().After(end) {
			t.Fatalf("%s has no carrier: %v", l.Attrs().Name, l.Attrs().OperState)
		}
	}
}
