package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/xsend/xsend/internal/lab"
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
