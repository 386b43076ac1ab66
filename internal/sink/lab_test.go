package sink

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"

	"github.com/xsend/xsend/internal/lab"
)

// TestKernelTCPThroughALab sends with the kernel's TCP from one namespace to the sink in the other: what
// xsend will be measured by.
func TestKernelTCPThroughALab(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	for i, c := range []struct {
		mtu     int
		percent float64
		v6      bool
	}{
		{mtu: 1280}, {mtu: 1500}, {mtu: 3000}, {mtu: 9000}, {mtu: 1500, v6: true}, {mtu: 1280, v6: true},
		{mtu: 1500, percent: 1}, {mtu: 1500, percent: 1, v6: true},
	} {
		t.Run(fmt.Sprintf("mtu=%d,loss=%v,v6=%v", c.mtu, c.percent, c.v6), func(t *testing.T) {
			l, err := lab.Up(t.Context(), lab.Config{
				Name: fmt.Sprintf("lab%ds%d", os.Getpid(), i), MTU: c.mtu, Loss: c.percent, LossSeed: 11,
			})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := l.Close(); err != nil {
					t.Error(err)
				}
			})
			addr := l.Receiver().IPv4.Addr()
			if c.v6 {
				addr = l.Receiver().IPv6.Addr()
			}
			transfer(t, l, addr, 4<<20)
			checkLoss(t, l, c.percent)
		})
	}
}

func transfer(t *testing.T, l *lab.Lab, addr netip.Addr, size int) {
	t.Helper()
	var ln net.Listener
	err := l.Do(lab.Receiver, func() (err error) {
		ln, err = Config{Listen: netip.AddrPortFrom(addr, 0).String()}.listen(t.Context())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := randomBytes(5, size)
	r := start(t, t.Context(), Config{Listener: ln, Count: 1})
	var c net.Conn
	err = l.Do(lab.Sender, func() (err error) { c, err = net.Dial("tcp", r.addr); return err })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Write(want); err != nil {
		t.Error(err)
	}
	c.Close()
	if res := r.wait(t)[0]; res.Err != "" || res.SHA256 != sumOf(want) {
		t.Errorf("%+v", res)
	}
}

func checkLoss(t *testing.T, l *lab.Lab, percent float64) {
	t.Helper()
	n, err := l.LossCounters()
	if err != nil {
		t.Fatal(err)
	}
	if lost := n.Dropped > 0; lost != (percent > 0) {
		t.Errorf("at %v %%: %+v", percent, n)
	}
}

// TestRunInsideANamespace opens the listener on Run's own goroutine.
func TestRunInsideANamespace(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	l, err := lab.Up(t.Context(), lab.Config{Name: fmt.Sprintf("lab%drun", os.Getpid())})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var addr net.Addr
	err = l.Do(lab.Receiver, func() error {
		_, err := Run(ctx, Config{
			Listen:      l.Receiver().IPv4.Addr().String() + ":0",
			OnListening: func(a net.Addr) { addr = a; cancel() },
		})
		return err
	})
	if addr == nil {
		t.Errorf("no listener inside the namespace: %v", err)
	}
}
