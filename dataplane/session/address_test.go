package session_test

import (
	"net/netip"
	"strconv"
	"testing"

	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
)

// Addresses that are more than a number: link-local ones with their zone, IPv4 in IPv6,
// and a source that is not the route's.
func TestAddresses(t *testing.T) {
	t.Run("link-local", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, lab.Config{})
		there, index := r.linkLocal()
		rc := r.receiveAt(there.WithZone(strconv.Itoa(index)), nil) // package net remembers names across namespaces
		r.sends(t, session.Config{Destination: there.WithZone("veth-a")}, netip.AddrPortFrom(there.WithZone("veth-a"), rc.addr.Port()), rc)
	})
	t.Run("IPv4 in IPv6", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, lab.Config{})
		rc := r.receive(nil)
		mapped := netip.AddrFrom16(rc.addr.Addr().As16())
		r.sends(t, session.Config{Destination: mapped}, netip.AddrPortFrom(mapped, rc.addr.Port()), rc)
	})
	t.Run("other source", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, lab.Config{})
		other := netip.MustParseAddr("10.77.0.50")
		r.at(lab.Sender, func() error {
			dev, err := netlink.LinkByName("veth-a")
			if err != nil {
				return err
			}
			addr, err := netlink.ParseAddr("10.77.0.50/24")
			if err != nil {
				return err
			}
			return netlink.AddrAdd(dev, addr)
		})
		rc := r.receive(nil)
		c := r.sends(t, session.Config{Source: other}, rc.addr, rc)
		if c.LocalAddr().Addr() != other {
			t.Errorf("sent from %v", c.LocalAddr())
		}
	})
	t.Run("both families", func(t *testing.T) {
		t.Parallel()
		r := newRig(t, lab.Config{})
		four, six := r.receive(nil), r.receiveAt(r.lab.Receiver().IPv6.Addr(), nil)
		s := r.open(session.Config{})
		var conns []*session.Conn
		for _, rc := range []*receiver{four, six} { // the same local port twice
			c, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr, LocalPort: 5555})
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
		}
		if err := conns[1].Abort(within(t)); err != nil {
			t.Fatal(err)
		}
		conns[1].Close()
		if !eventually(patience, func() bool { return s.Dialled() == 1 }) {
			t.Fatal("the aborted connection did not go")
		}
		p := payload(1, 1<<20)
		if err := write(within(t), conns[0], p); err != nil {
			t.Fatalf("the other connection on the port: %v", err)
		}
		if res := <-four.results; res.SHA256 != sumOf(p) {
			t.Errorf("%+v", res)
		}
		closed(t, s)
	})
}

// linkLocal is the receiver's link-local address, and its interface's index.
func (r *rig) linkLocal() (found netip.Addr, index int) {
	r.t.Helper()
	r.at(lab.Receiver, func() error {
		dev, err := netlink.LinkByName("veth-b")
		if err != nil {
			return err
		}
		index = dev.Attrs().Index
		list, err := netlink.AddrList(dev, netlink.FAMILY_V6)
		for _, a := range list {
			if ip, _ := netip.AddrFromSlice(a.IP); ip.IsLinkLocalUnicast() {
				found = ip
			}
		}
		return err
	})
	if !found.IsValid() {
		r.t.Fatal("the receiver has no link-local address")
	}
	return found, index
}

// sends opens a session, sends over it to rc, and closes it.
func (r *rig) sends(t *testing.T, cfg session.Config, to netip.AddrPort, rc *receiver) *session.Conn {
	t.Helper()
	s := r.open(cfg)
	c := dial(t, s, to)
	p := payload(1, 1<<20)
	if err := write(within(t), c, p); err != nil {
		t.Fatal(err)
	}
	if res := <-rc.results; res.SHA256 != sumOf(p) {
		t.Errorf("%+v", res)
	}
	closed(t, s)
	return c
}
