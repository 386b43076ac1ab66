package hw

import (
	"errors"
	"math"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestLookupVeth(t *testing.T) {
	l := newLab(t)
	i, err := Lookup("va")
	l.ok(err)
	want := Interface{
		Name: "va", Index: l.index(), MTU: 1500, MAC: i.MAC, Up: true, Carrier: true, Ethernet: true, Kind: "veth",
		Driver: "veth", DriverVersion: "1.0", RxQueues: 2, TxQueues: 2, QueueSource: "ethtool",
	}
	if i.MAC.String() != l.link(l.here, "va").Attrs().HardwareAddr.String() || len(i.MAC) != 6 {
		t.Errorf("MAC %v", i.MAC)
	}
	byIndex, err := LookupIndex(l.index())
	l.ok(err)
	for _, got := range []Interface{i, byIndex} {
		got.MAC = want.MAC
		if !equalInterfaces(got, want) {
			t.Errorf("got  %+v\nwant %+v", got, want)
		}
	}
	if err := i.Usable(); err != nil {
		t.Error(err)
	}
}

func equalInterfaces(a, b Interface) bool {
	same := a.MAC.String() == b.MAC.String()
	a.MAC, b.MAC = nil, nil
	return same && a.comparable() == b.comparable()
}

// comparable returns all fields but MAC as one comparable value.
func (i Interface) comparable() any {
	return struct {
		a [8]string
		n [6]int
		v [2]uint16
		b [4]bool
		x uint32
	}{
		[8]string{i.Name, i.Kind, i.Driver, i.DriverVersion, i.Firmware, i.Bus, i.QueueSource, i.XDPMode},
		[6]int{i.Index, i.MTU, i.RxQueues, i.TxQueues, i.Lower}, [2]uint16{i.VLAN, i.VLANProtocol},
		[4]bool{i.Up, i.Carrier, i.Ethernet, i.Loopback}, i.XDPProgID,
	}
}

func TestLookupMissing(t *testing.T) {
	newLab(t)
	for _, name := range []string{"nosuch", "", "a/b", "..", "va ", strings.Repeat("x", 15), strings.Repeat("x", 16), strings.Repeat("x", 127), strings.Repeat("x", 500), "v\x00a"} {
		_, err := Lookup(name)
		wantIs(t, err, ErrNoInterface)
		if err != nil && !strings.Contains(err.Error(), "lo, va") {
			t.Errorf("%q: %v doesn't list the interfaces", name, err)
		}
	}
	for _, index := range []int{0, -1, 4711, math.MaxInt32, math.MaxInt} {
		_, err := LookupIndex(index)
		wantIs(t, err, ErrNoInterface)
	}
}

func TestLookupAlternativeName(t *testing.T) {
	l := newLab(t)
	long := "an-alternative-name-of-more-than-15-bytes"
	l.ok(l.here.LinkAddAltName(l.va, long))
	l.ok(l.here.LinkAddAltName(l.va, "alt"))
	for _, name := range []string{long, "alt"} {
		i, err := Lookup(name)
		l.ok(err)
		if i.Name != "va" || i.QueueSource != "ethtool" {
			t.Errorf("%s: %+v", name, i)
		}
	}
}

func TestLookupState(t *testing.T) {
	l := newLab(t)
	l.ok(l.there.LinkSetDown(l.vb))
	i, err := Lookup("va")
	l.ok(err)
	if !i.Up || i.Carrier {
		t.Errorf("peer down: up %v carrier %v", i.Up, i.Carrier)
	}
	l.ok(l.here.LinkSetDown(l.va))
	i, err = Lookup("va")
	l.ok(err)
	if i.Up || i.Carrier {
		t.Errorf("down: up %v carrier %v", i.Up, i.Carrier)
	}
	wantIs(t, i.Usable(), ErrLinkDown)
	lo, err := Lookup("lo")
	l.ok(err)
	if !lo.Loopback || lo.Ethernet {
		t.Errorf("lo: %+v", lo)
	}
	wantIs(t, lo.Usable(), ErrNotEthernet)
}

func TestLookupFindsAttachedProgram(t *testing.T) {
	for name, flags := range map[string]link.XDPAttachFlags{"generic": link.XDPGenericMode, "native": link.XDPDriverMode} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			if i, _ := Lookup("va"); i.XDPProgID != 0 || i.XDPMode != "" {
				t.Fatalf("before: program %d %q", i.XDPProgID, i.XDPMode)
			}
			prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
			l.ok(err)
			defer prog.Close()
			attached, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: l.index(), Flags: flags})
			l.ok(err)
			defer attached.Close()
			info, err := prog.Info()
			l.ok(err)
			id, _ := info.ID()
			if i, _ := Lookup("va"); i.XDPProgID != uint32(id) || i.XDPMode != name {
				t.Errorf("program %d %q, want %d %q", i.XDPProgID, i.XDPMode, id, name)
			}
		})
	}
}

func TestQueuesWithoutChannels(t *testing.T) {
	l := newLab(t)
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumTxQueues, attrs.NumRxQueues = "ifbx", 3, 2
	l.ok(l.here.LinkAdd(&netlink.Ifb{LinkAttrs: attrs}))
	i, err := Lookup("ifbx")
	l.ok(err)
	// /sys shows the namespace in which it was mounted, so it must not be believed here.
	if i.RxQueues != 2 || i.TxQueues != 3 || i.QueueSource != "rtnetlink" {
		t.Errorf("rx %d tx %d from %s", i.RxQueues, i.TxQueues, i.QueueSource)
	}
}

func TestSysfsQueues(t *testing.T) {
	root := t.TempDir()
	for _, q := range []string{"rx-0", "rx-1", "tx-0"} {
		if err := os.MkdirAll(filepath.Join(root, "eth7", "queues", q), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, text := range map[string]string{"ifindex": "7\n", "address": "02:00:00:00:00:07\n"} {
		if err := os.WriteFile(filepath.Join(root, "eth7", name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 7}
	for _, c := range []struct {
		name   string
		m      linkMessage
		rx, tx int
	}{
		{"same interface", linkMessage{name: "eth7", index: 7, mac: mac}, 2, 1},
		{"other index", linkMessage{name: "eth7", index: 8, mac: mac}, 0, 0},
		{"other address", linkMessage{name: "eth7", index: 7, mac: net.HardwareAddr{2, 0, 0, 0, 0, 8}}, 0, 0},
		{"absent", linkMessage{name: "eth8", index: 7, mac: mac}, 0, 0},
	} {
		if rx, tx := sysfsQueues(root, c.m); rx != c.rx || tx != c.tx {
			t.Errorf("%s: rx %d tx %d, want %d %d", c.name, rx, tx, c.rx, c.tx)
		}
	}
}

// TestDescribeSurvivesDriver feeds what drivers answer that no device here has.
func TestDescribeSurvivesDriver(t *testing.T) {
	m := linkMessage{name: "nosuch-nic", index: 3, rx: 4, tx: 5, mtu: 1500, xdp: xdpAttachment{mode: 9, progID: 1}}
	for _, c := range []struct {
		name     string
		channels channelCounts
		err      error
		rx, tx   int
		source   string
	}{
		{"channels", channelCounts{rx: 2, tx: 3}, nil, 2, 3, "ethtool"},
		{"no channels", channelCounts{}, unix.EOPNOTSUPP, 4, 5, "rtnetlink"},
		{"zero channels", channelCounts{}, nil, 4, 5, "rtnetlink"},
		{"device gone", channelCounts{}, unix.ENODEV, 4, 5, "rtnetlink"},
	} {
		k := &kernel{
			driver:   func(string) (driverInfo, error) { return driverInfo{}, unix.EOPNOTSUPP },
			channels: func(string) (channelCounts, error) { return c.channels, c.err },
		}
		i := k.describe(m)
		if i.RxQueues != c.rx || i.TxQueues != c.tx || i.QueueSource != c.source || i.XDPMode != "mode 9" {
			t.Errorf("%s: %+v", c.name, i)
		}
	}
}

func TestLinkErrno(t *testing.T) {
	k := &kernel{
		linkByIndex: func(int) (linkMessage, error) { return linkMessage{}, unix.ENOMEM },
		linkByName:  func(string) (linkMessage, error) { return linkMessage{}, unix.EPERM },
	}
	if _, err := k.link(1); !errors.Is(err, unix.ENOMEM) || errors.Is(err, ErrNoInterface) {
		t.Error(err)
	}
	if _, err := k.linkByZone("x"); !errors.Is(err, unix.EPERM) || errors.Is(err, ErrNoInterface) {
		t.Error(err)
	}
}
