package wire_test

import (
	"net/netip"
	"reflect"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

func TestFlow(t *testing.T) {
	for _, row := range []struct {
		local, remote string
		is4           bool
	}{
		{"192.0.2.1:1", "198.51.100.7:65535", true},
		{"0.0.0.0:0", "255.255.255.255:80", true},
		{"[2001:db8::1]:40000", "[2001:db8::2]:443", false},
		{"[::1]:1", "[::]:2", false},
		{"[2001:db8::ffff:c000:201]:1", "[::fffe:c000:201]:2", false},
	} {
		l, r := netip.MustParseAddrPort(row.local), netip.MustParseAddrPort(row.remote)
		f := wire.FlowOf(l, r)
		if f.LocalAddr() != l || f.RemoteAddr() != r || f.Is4() != row.is4 {
			t.Errorf("%s > %s became %v > %v, Is4 %v", l, r, f.LocalAddr(), f.RemoteAddr(), f.Is4())
		}
		if f != wire.FlowOf(f.LocalAddr(), f.RemoteAddr()) {
			t.Errorf("%s > %s isn't equal to itself", l, r)
		}
	}
}

func TestFlowMappedAndZone(t *testing.T) {
	r := netip.MustParseAddrPort("192.0.2.1:2")
	mapped := netip.AddrPortFrom(netip.MustParseAddr("::ffff:192.0.2.1"), 2)
	if wire.FlowOf(r, r) != wire.FlowOf(mapped, mapped) {
		t.Error("an IPv4 address and its mapped form make different flows")
	}
	zoned, plain := netip.MustParseAddrPort("[fe80::1%eth9]:2"), netip.MustParseAddrPort("[fe80::1]:2")
	if wire.FlowOf(zoned, r).LocalAddr() != plain {
		t.Error("the zone is still there")
	}
}

func TestSizes(t *testing.T) {
	if n := reflect.TypeFor[wire.Flow]().Size(); n != 36 {
		t.Errorf("Flow takes %d bytes, want 36: it is the key of every demux look-up", n)
	}
	if n := reflect.TypeFor[wire.Template]().Size(); n > 128 {
		t.Errorf("Template takes %d bytes, want two cache lines at most", n)
	}
}
