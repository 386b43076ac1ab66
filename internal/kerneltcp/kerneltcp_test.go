package kerneltcp

import (
	"net"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"
)

// The connection stands with the congestion control that was asked for, over IPv4 and IPv6; one that the kernel has not
// got, and an interface that is not there, are errors.
func TestConnect(t *testing.T) {
	for _, where := range []string{"127.0.0.1:0", "[::1]:0"} {
		ln, err := net.Listen("tcp", where)
		if err != nil {
			t.Skipf("%s: %v", where, err)
		}
		defer ln.Close()
		to := netip.MustParseAddrPort(ln.Addr().String())
		fd, err := Connect(to, "reno", "")
		if err != nil {
			t.Fatalf("%s: %v", where, err)
		}
		defer unix.Close(fd)
		if cc, err := unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); cc != "reno" || err != nil {
			t.Errorf("%s: %q, %v", where, cc, err)
		}
		if _, err := Connect(to, "none-such", ""); err == nil {
			t.Errorf("%s: connected with a congestion control that is none", where)
		}
		if _, err := Connect(to, "reno", "nosuch0"); err == nil {
			t.Errorf("%s: connected by an interface that is none", where)
		}
	}
}
