package lab

import (
	"net/netip"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
)

// TestUpReturnsReady asks for neighbours at once; a question lost would be asked again a second later.
func TestUpReturnsReady(t *testing.T) {
	l := newLab(t, "ready", Config{})
	begin := time.Now()
	do(t, l, Sender, func() error {
		link, err := linkNamed(l.Sender().Interface)
		if err != nil {
			return err
		}
		if link.Attrs().OperState != netlink.OperUp {
			t.Errorf("state %v", link.Attrs().OperState)
		}
		solicit(t, l)
		return nil
	})
	if took := time.Since(begin); took > 900*time.Millisecond {
		t.Errorf("neighbours took %v: the first question was lost", took)
	}
}

func TestSolicitedNode(t *testing.T) {
	got := netip.AddrFrom16(solicitedNode(netip.MustParseAddr("4037::1:800:200e:8c6c")))
	if want := netip.MustParseAddr("ff02::1:ff0e:8c6c"); got != want { // the example of RFC 4291
		t.Errorf("%v, want %v", got, want)
	}
}
