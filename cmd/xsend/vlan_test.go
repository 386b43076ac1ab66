package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/xsend/xsend/internal/lab"
	"golang.org/x/sys/unix"
)

// TestVLAN sends through a lab that is a VLAN, over both families, natively and generic: whole, with every packet
// either way tagged. A quarter of a per cent is lost on the way, so that what is sent again is tagged too.
func TestVLAN(t *testing.T) {
	r := newRig(t, lab.Config{VLAN: 7, Loss: 0.25, LossSeed: 3})
	const size = 3_000_000
	path, sum := file(t, size)
	for _, host := range []string{"10.77.0.2", "fd77:7873::2"} {
		for _, attach := range []string{"native", "generic"} {
			capture := filepath.Join(t.TempDir(), "x.pcapng")
			s, at := r.sink("--once")
			_, port, _ := net.SplitHostPort(at)
			p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--vlan", "7", "--attach", attach, "--pcap", capture, net.JoinHostPort(host, port), path)
			p.want(0)
			received(t, s, 1, size, sum)
			sound(t, p.report(), size)
			if p.report().number(t, "retransmits") == 0 {
				t.Error("nothing was sent again: the loss program doesn't drop")
			}
			if n, ids := tags(t, capture); n != int(p.report().number(t, "pcap.packets")) || len(ids) != 1 || ids[7] != n {
				t.Errorf("%s, %s: %d packets, by VLAN %v", host, attach, n, ids)
			}
		}
	}
	r.clean()
}

// tags counts the TCP segments of a capture, and those that bear a tag by its VLAN ID.
func tags(t *testing.T, path string) (packets int, ids map[uint16]int) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ng, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	ids = map[uint16]int{}
	for {
		b, _, err := ng.ReadPacketData()
		if err == io.EOF {
			return packets, ids
		}
		if err != nil {
			t.Fatal(err)
		}
		p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
		if p.Layer(layers.LayerTypeTCP) == nil || p.ErrorLayer() != nil {
			t.Fatalf("not TCP: %v", p)
		}
		packets++
		if tag, ok := p.Layer(layers.LayerTypeDot1Q).(*layers.Dot1Q); ok {
			ids[tag.VLANIdentifier]++
		}
	}
}

// TestVLANOverAWire sends through a lab that is a VLAN with a wire in it, over both families: whole, with every frame
// that comes to the wire tagged, although some are lost there and others marked behind their tags.
func TestVLANOverAWire(t *testing.T) {
	r := labUp(t, "--vlan", "7", "--delay", "5", "--rate", "20M", "--queue", "150", "--mark", "4", "--loss", "0.25", "--loss-seed", "3")
	r.takesECN()
	taps := [...]int{r.tap("w0"), r.tap("w1")}
	const size = 3_000_000
	path, sum := file(t, size)
	for _, host := range []string{"10.77.0.2", "fd77:7873::2"} {
		s, at := r.sink("--once")
		_, port, _ := net.SplitHostPort(at)
		p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--ecn", "--vlan", "7", net.JoinHostPort(host, port), path)
		p.want(0)
		received(t, s, 1, size, sum)
		rep := p.report()
		sound(t, rep, size)
		if rep.number(t, "retransmits") == 0 || rep.number(t, "streams.0.cwrs") == 0 {
			t.Errorf("%s: the wire neither loses nor marks: %v sent again, %v marks answered", host, rep.at("retransmits"), rep.at("streams.0.cwrs"))
		}
		for i, fd := range taps {
			if n, ids := tagsCome(t, fd); n < size/1500/3 || len(ids) != 1 || ids[7] != n {
				t.Errorf("%s: %d frames came to w%d, by VLAN %v", host, n, i, ids)
			}
		}
	}
	wire, err := r.WireStatus()
	if f := wire.Forward; err != nil || f.Lost == 0 || f.Marked == 0 || wire.Unintended() != 0 {
		t.Errorf("the wire: %v, %+v", err, wire)
	}
	if out, _ := runHere(t, "lab", "status", "--name", r.Name()); strings.Count(out, "VLAN 7") != 2 || !strings.Contains(out, "wire of 20.0 Mbit/s") {
		t.Errorf("status says %q", out)
	}
	r.clean()
}

// labUp is a lab that "xsend lab up" made.
func labUp(t *testing.T, flags ...string) *rig {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and AF_XDP sockets")
	}
	name := fmt.Sprintf("e2e%d-%d", os.Getpid(), labs.Add(1))
	t.Cleanup(func() {
		if err := lab.Down(name); err != nil {
			t.Error(err)
		}
	})
	if out, code := runHere(t, append([]string{"lab", "up", "--name", name}, flags...)...); code != 0 {
		t.Fatalf("lab up: exit code %d, %s", code, out)
	}
	l, err := lab.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	return &rig{t, l}
}

// tap is a packet socket that sees what comes to an interface of the wire.
func (r *rig) tap(name string) (fd int) {
	r.t.Helper()
	if err := r.Do(lab.Wire, func() error {
		nic, err := net.InterfaceByName(name)
		if err != nil {
			return err
		}
		if fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0); err != nil {
			return err
		}
		r.t.Cleanup(func() { unix.Close(fd) })
		const all = unix.ETH_P_ALL << 8 // in network byte order
		return errors.Join(
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20),
			unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_AUXDATA, 1),
			unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: nic.Index}))
	}); err != nil {
		r.t.Fatal(err)
	}
	return fd
}

// tagsCome counts the frames that a tap saw since it was asked last, and those that bear a tag by its VLAN ID: the kernel
// takes the tag out and says it beside the frame (struct tpacket_auxdata).
func tagsCome(t *testing.T, fd int) (frames int, ids map[uint16]int) {
	t.Helper()
	ids = map[uint16]int{}
	frame, notes := make([]byte, 1), make([]byte, 128)
	for {
		_, n, _, _, err := unix.Recvmsg(fd, frame, notes, 0)
		if errors.Is(err, unix.EAGAIN) {
			return frames, ids
		}
		if err != nil {
			t.Fatal(err)
		}
		frames++
		messages, err := unix.ParseSocketControlMessage(notes[:n])
		if err != nil || len(messages) != 1 || len(messages[0].Data) < 20 {
			t.Fatalf("%+v, %v", messages, err)
		}
		aux := messages[0].Data
		if binary.NativeEndian.Uint32(aux)&unix.TP_STATUS_VLAN_VALID != 0 {
			ids[binary.NativeEndian.Uint16(aux[16:])&0xfff]++
		}
	}
}

// TestVLANMismatch: a sender without the tag, or with another, reaches nobody, and says so.
func TestVLANMismatch(t *testing.T) {
	r := newRig(t, lab.Config{VLAN: 7})
	path, _ := file(t, 1000)
	_, at := r.sink()
	for _, row := range []struct {
		flags []string
		says  string
	}{
		{nil, "no answer; "}, {[]string{"--vlan", "8"}, "no answer in VLAN 8; "}, {[]string{"--vlan", "0"}, "no answer in VLAN 0; "},
	} {
		args := append([]string{"send", "--connect-timeout", "1500", at, path}, row.flags...)
		r.start(lab.Sender, nil, args...).want(1, at, "timed out", row.says, "--connect-timeout")
	}
	r.clean()
}

// TestPriorityTag: a tag with ID 0 is in no VLAN, and a kernel without any takes it.
func TestPriorityTag(t *testing.T) {
	r := newRig(t, lab.Config{})
	const size = 100_000
	path, sum := file(t, size)
	capture := filepath.Join(t.TempDir(), "x.pcapng")
	s, at := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "--vlan", "0", "--pcap", capture, at, path)
	p.want(0)
	received(t, s, 1, size, sum)
	sound(t, p.report(), size)
	n, ids := tags(t, capture)
	if len(ids) != 1 || ids[0] == 0 || ids[0] == n {
		t.Errorf("%d packets, by VLAN %v; want ours tagged and the answers not", n, ids)
	}
}
