package session_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/wire"
)

// The kernel's TCP has no part in it: it sends no segment and no reset, and is sent none.
func TestKernelTCPStaysOut(t *testing.T) {
	for _, b := range bindings {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{Loss: 1, LossSeed: 21})
			rc := r.receive(nil)
			before := r.snmp(t)
			s := r.open(session.Config{Binding: b})
			p := payload(1, 4<<20)
			if err := write(within(t), dial(t, s, rc.addr), p); err != nil {
				t.Fatal(err)
			}
			if res := <-rc.results; res.SHA256 != sumOf(p) {
				t.Errorf("%+v", res)
			}
			if _, err := s.Close(); err != nil {
				t.Error(err)
			}
			for _, name := range []string{"OutSegs", "OutRsts", "InSegs", "ActiveOpens"} {
				if n := r.snmp(t)[name] - before[name]; n != 0 {
					t.Errorf("the kernel's %s grew by %d", name, n)
				}
			}
		})
	}
}

// snmp is the TCP counters of the sender's namespace.
func (r *rig) snmp(t *testing.T) map[string]int {
	t.Helper()
	counters := map[string]int{}
	r.at(lab.Sender, func() error {
		b, err := os.ReadFile("/proc/thread-self/net/snmp")
		var names []string
		for line := range strings.Lines(string(b)) {
			fields := strings.Fields(line)
			switch {
			case fields[0] != "Tcp:":
			case names == nil:
				names = fields
			default:
				for i, f := range fields[1:] {
					counters[names[i+1]], _ = strconv.Atoi(f)
				}
			}
		}
		return err
	})
	return counters
}

// While a session sends, the host's own traffic on the interface works: ping, ARP, TCP.
func TestHostNetworkingGoesOn(t *testing.T) {
	for _, b := range bindings {
		t.Run(string(b), func(t *testing.T) {
			t.Parallel()
			tr := trial{
				bytes: 8 << 20, session: session.Config{Binding: b},
				dial: unhurried,
			}
			tr.during = func(r *rig, s *session.Session) {
				before := r.snmp(t)
				if err := r.host(); err != nil {
					t.Error(err)
				}
				now := r.snmp(t)
				if now["OutRsts"] != before["OutRsts"] || now["OutSegs"] == before["OutSegs"] {
					t.Errorf("the kernel's TCP: %v before, %v after", before, now)
				}
				if n := s.Counters().BytesReleased; n >= 8<<20 {
					t.Error("the transfer was over before")
				}
			}
			o := tr.run(t)
			o.right(t, tr)
		})
	}
}

// host uses the sender's interface as the rest of a host does.
func (r *rig) host() error {
	steps := []struct {
		name string
		do   func() error
	}{
		{"ping", func() error { return r.ping(r.lab.Receiver().IPv4.Addr()) }},
		{"ping over IPv6", func() error { return r.ping(r.lab.Receiver().IPv6.Addr()) }},
		{"forget the neighbour", r.forgetNeighbour},
		{"ping after ARP", func() error { return r.ping(r.lab.Receiver().IPv4.Addr()) }},
		{"kernel TCP", r.kernelTCP},
	}
	for _, s := range steps {
		if err := s.do(); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// ping sends an echo request and waits a second for the answer.
func (r *rig) ping(to netip.Addr) error {
	network, from, request := "ip4:icmp", r.lab.Sender().IPv4.Addr(), byte(8)
	if to.Is6() {
		network, from, request = "ip6:ipv6-icmp", r.lab.Sender().IPv6.Addr(), 128
	}
	var c net.PacketConn
	if err := r.lab.Do(lab.Sender, func() (err error) {
		c, err = net.ListenPacket(network, from.String())
		return err
	}); err != nil {
		return err
	}
	defer c.Close()
	echo := []byte{request, 0, 0, 0, 'x', 's', 0, 1, 'h', 'e', 'r', 'e'}
	if to.Is4() { // the kernel fills it in over IPv6
		binary.BigEndian.PutUint16(echo[2:], ^wire.Fold(wire.Sum(echo, 0)))
	}
	if _, err := c.WriteTo(echo, &net.IPAddr{IP: to.AsSlice()}); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(time.Second))
	for b := make([]byte, 1500); ; {
		n, _, err := c.ReadFrom(b)
		if err != nil {
			return err
		}
		if n == len(echo) && (b[0] == 0 || b[0] == 129) && string(b[4:n]) == string(echo[4:]) {
			return nil
		}
	}
}

// forgetNeighbour makes the kernel ask for the receiver's MAC address again.
func (r *rig) forgetNeighbour() error {
	return r.lab.Do(lab.Sender, func() error {
		dev, err := netlink.LinkByName(r.lab.Sender().Interface)
		if err != nil {
			return err
		}
		return netlink.NeighDel(&netlink.Neigh{LinkIndex: dev.Attrs().Index, IP: r.lab.Receiver().IPv4.Addr().AsSlice()})
	})
}

// kernelTCP sends over a connection of the kernel's.
func (r *rig) kernelTCP() error {
	ln, addr := r.listen()
	defer ln.Close()
	p := payload(8, 1<<20)
	got := make(chan string, 1)
	go func() {
		if c, err := ln.Accept(); err == nil {
			all, _ := io.ReadAll(c)
			got <- sumOf(all)
		}
	}()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var c net.Conn
	if err := r.lab.Do(lab.Sender, func() (err error) {
		c, err = new(net.Dialer).DialContext(ctx, "tcp", addr.String())
		return err
	}); err != nil {
		return err
	}
	defer c.Close()
	if _, err := c.Write(p); err != nil {
		return err
	}
	_ = c.(*net.TCPConn).CloseWrite()
	if sum := <-got; sum != sumOf(p) {
		return fmt.Errorf("SHA-256 %s, want %s", sum, sumOf(p))
	}
	return nil
}

// Two sessions at once, on two interfaces.
func TestSessionsOnDifferentInterfaces(t *testing.T) {
	t.Parallel()
	r := newRig(t, lab.Config{})
	second := r.secondPair()
	tr := trial{bytes: 4 << 20, conns: 1, dial: unhurried}
	for name, rc := range map[string]*receiver{"first": r.receive(nil), "second": r.receiveAt(second, nil)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var o outcome
			s := r.open(session.Config{Destination: rc.addr.Addr()})
			tr.transfer(t, r, s, rc, &o)
			t.Log(s.Info().Interface, s.Info().NextHop)
			var err error
			if o.session, err = s.Close(); err != nil {
				t.Error(err)
			}
			o.right(t, tr)
		})
	}
}

// secondPair joins the two namespaces once more, and returns the receiver's address there.
func (r *rig) secondPair() netip.Addr {
	r.t.Helper()
	here, there := netip.MustParsePrefix("10.78.0.1/24"), netip.MustParsePrefix("10.78.0.2/24")
	r.at(lab.Sender, func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "veth-c"
		veth := netlink.NewVeth(attrs)
		veth.PeerName = "veth-d"
		if err := netlink.LinkAdd(veth); err != nil {
			return err
		}
		peer, err := netlink.LinkByName("veth-d")
		if err != nil {
			return err
		}
		ns, err := os.Open("/run/netns/" + r.lab.Receiver().Namespace)
		if err != nil {
			return err
		}
		defer ns.Close()
		if err := netlink.LinkSetNsFd(peer, int(ns.Fd())); err != nil {
			return err
		}
		return dress("veth-c", here)
	})
	r.at(lab.Receiver, func() error { return dress("veth-d", there) })
	return there.Addr()
}

func dress(name string, addr netip.Prefix) error {
	dev, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	if err := netlink.AddrAdd(dev, &netlink.Addr{IPNet: &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), 32)}}); err != nil {
		return err
	}
	return netlink.LinkSetUp(dev)
}
