package lab

import (
	"errors"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/vishvananda/netlink"
	"github.com/xsend/xsend/internal/netem"
	"golang.org/x/sys/unix"
)

// TestVLAN: both kernels find each other and talk over IPv4 and IPv6, with a wire between them too, and the status says
// where.
func TestVLAN(t *testing.T) {
	for name, wire := range map[string]*netem.Config{"vlan": nil, "vwire": {}} {
		l := newLab(t, name, Config{VLAN: 7, Wire: wire})
		do(t, l, Sender, func() error { solicit(t, l); return nil })
		for _, to := range []net.IP{l.Receiver().IPv4.Addr().AsSlice(), l.Receiver().IPv6.Addr().AsSlice()} {
			echo(t, l, to)
		}
		if s := status(t, l.Name()); s.Sender.VLAN != 7 || s.Receiver.VLAN != 7 {
			t.Errorf("%s: status: VLAN %d and %d", name, s.Sender.VLAN, s.Receiver.VLAN)
		}
		if wire != nil {
			sound(t, l)
		}
	}
	if s := status(t, newLab(t, "none", Config{}).Name()); s.Sender.VLAN != 0 || s.Receiver.VLAN != 0 {
		t.Errorf("status without: VLAN %d and %d", s.Sender.VLAN, s.Receiver.VLAN)
	}
}

// echo sends through TCP there and back.
func echo(t *testing.T, l *Lab, to net.IP) {
	t.Helper()
	var ln *net.TCPListener
	do(t, l, Receiver, func() (err error) { ln, err = net.ListenTCP("tcp", &net.TCPAddr{IP: to}); return err })
	defer ln.Close()
	var c *net.TCPConn
	do(t, l, Sender, func() (err error) {
		c, err = net.DialTCP("tcp", nil, ln.Addr().(*net.TCPAddr))
		return err
	})
	defer c.Close()
	peer, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	b := make([]byte, 4)
	for _, way := range [][2]net.Conn{{c, peer}, {peer, c}} {
		if _, err := way[0].Write([]byte("tags")); err != nil {
			t.Fatal(err)
		}
		if n, err := way[1].Read(b); err != nil || string(b[:n]) != "tags" {
			t.Errorf("%v: read %q, %v", to, b[:n], err)
		}
	}
}

// TestVLANTagsOnTheWire puts frames behind the sender's kernel, as AF_XDP does: the receiver takes those with the
// tag, whatever their priority, and no others. What its kernel answers bears the tag.
func TestVLANTagsOnTheWire(t *testing.T) {
	l := newLab(t, "tags", Config{VLAN: 7})
	p := newUDPPair(t, l)
	do(t, l, Sender, func() error { solicit(t, l); return nil })
	dot1Q := func(id uint16, priority uint8) gopacket.SerializableLayer {
		return &layers.Dot1Q{VLANIdentifier: id, Priority: priority, Type: layers.EthernetTypeIPv4}
	}
	// In this order; what has to arrive is numbered.
	for i, tags := range [][]gopacket.SerializableLayer{
		nil, {dot1Q(8, 0)}, {dot1Q(0, 0)}, {dot1Q(4094, 0)},
		{dot1Q(7, 0)}, {dot1Q(7, 5)}, nil, {dot1Q(7+1<<8, 0)}, {dot1Q(7, 7)},
	} {
		do(t, l, Sender, func() error { return sendRaw(l, udpFrame(t, l, p, i+1, tags)) })
	}
	for _, want := range []uint64{5, 6, 9} {
		p.to.SetReadDeadline(time.Now().Add(5 * time.Second))
		if got := p.read(t); got != want {
			t.Errorf("frame %d arrived, want %d", got, want)
		}
	}
	p.to.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if _, err := p.to.Read(make([]byte, 64)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("one more arrived: %v", err)
	}
}

// udpFrame is a datagram for the pair, with a number in it, behind tags.
func udpFrame(t *testing.T, l *Lab, p udpPair, number int, tags []gopacket.SerializableLayer) []byte {
	t.Helper()
	from, to := p.from.LocalAddr().(*net.UDPAddr), p.to.LocalAddr().(*net.UDPAddr)
	s := status(t, l.Name())
	src, _ := net.ParseMAC(s.Sender.MAC)
	dst, _ := net.ParseMAC(s.Receiver.MAC)
	eth := &layers.Ethernet{SrcMAC: src, DstMAC: dst, EthernetType: layers.EthernetTypeIPv4}
	if tags != nil {
		eth.EthernetType = layers.EthernetTypeDot1Q
	}
	ip := &layers.IPv4{Version: 4, TTL: 64, Protocol: layers.IPProtocolUDP, SrcIP: from.IP, DstIP: to.IP}
	udp := &layers.UDP{SrcPort: layers.UDPPort(from.Port), DstPort: layers.UDPPort(to.Port)}
	if err := udp.SetNetworkLayerForChecksum(ip); err != nil {
		t.Fatal(err)
	}
	payload := gopacket.Payload{7: byte(number)}
	stack := slices.Concat([]gopacket.SerializableLayer{eth}, tags, []gopacket.SerializableLayer{ip, udp, payload})
	buf := gopacket.NewSerializeBuffer()
	if err := gopacket.SerializeLayers(buf, gopacket.SerializeOptions{FixLengths: true, ComputeChecksums: true}, stack...); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// sendRaw sends a frame past the kernel's stack and its classifiers.
func sendRaw(l *Lab, frame []byte) error {
	link, err := netlink.LinkByName(l.Sender().Interface)
	if err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1); err != nil {
		return err
	}
	return unix.Sendto(fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: link.Attrs().Index})
}

// TestVLANWithAWire: the wire numbers tagged packets as it does others, so that the same are lost, and the largest pass.
func TestVLANWithAWire(t *testing.T) {
	const n = 300
	l := newLab(t, "vnumbers", Config{VLAN: 7, Wire: &netem.Config{Seed: 7, Forward: netem.Impairment{Loss: 5}}})
	p := newWiredPair(t, l)
	if got, want := p.pass(t, l, n), survivors(7, 5, n); !slices.Equal(got, want) {
		t.Errorf("%d packets arrived, want %d others", len(got), len(want))
	}
	if err := l.SetWire(netem.Config{}); err != nil {
		t.Fatal(err)
	}
	full := make([]byte, DefaultMTU-20-8)
	if _, err := p.from.Write(full); err != nil {
		t.Fatal(err)
	}
	p.to.SetReadDeadline(time.Now().Add(5 * time.Second))
	if got, err := p.to.Read(make([]byte, DefaultMTU)); got != len(full) || err != nil {
		t.Errorf("%d bytes of %d arrived: %v", got, len(full), err)
	}
	sound(t, l)
}

// TestVLANWithLoss: the loss program sees through the tag, so that the same packets are numbered as without.
func TestVLANWithLoss(t *testing.T) {
	const n = 300
	l := newLab(t, "vloss", Config{VLAN: 4094, Loss: 5, LossSeed: 7})
	if got, want := newUDPPair(t, l).exchange(t, l, n), survivors(7, 5, n); !slices.Equal(got, want) {
		t.Errorf("%d of %d arrived, want %d others", len(got), n, len(want))
	}
	setRule(t, l, LossRule{Percent: 99.9999})
	do(t, l, Sender, func() error {
		list, err := netlink.NeighList(0, netlink.FAMILY_ALL)
		for _, n := range list {
			_ = netlink.NeighDel(&n) // multicast entries stay
		}
		solicit(t, l)
		return err
	})
}

func TestVLANRefuses(t *testing.T) {
	for says, cfg := range map[string]Config{
		"VLAN -1: choose 1 to 4094":    {VLAN: -1},
		"VLAN 4095: choose 1 to 4094":  {VLAN: 4095},
		"VLAN 65543: choose 1 to 4094": {VLAN: 65536 + 7},
	} {
		if _, err := Up(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", cfg, err, says)
		}
	}
}
