package probe

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/safchain/ethtool"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/umem"
	xdpprog "github.com/xsend/xsend/xdp-prog"
)

// nic is an interface with settings that the machine at hand hasn't.
func nic(change ...func(*facts)) *facts {
	f := &facts{
		nic:      hw.Interface{Name: "eth1", Driver: "ice", MTU: 1500, Up: true},
		channels: Channels{Combined: 2, MaxCombined: 8},
		claims:   hw.XDPClaims{Features: hw.XDPBasic | hw.XDPRedirect | hw.XDPZeroCopy, ZeroCopyMaxSegs: 8},
		features: map[string]ethtool.FeatureState{}, native: true,
	}
	for _, c := range change {
		c(f)
	}
	return f
}

func driver(name string) func(*facts)  { return func(f *facts) { f.nic.Driver = name } }
func mtu(n int) func(*facts)           { return func(f *facts) { f.nic.MTU = n } }
func noProgram(f *facts)               { f.native = false }
func noClaims(f *facts)                { f.claims = hw.XDPClaims{} }
func channels(c Channels) func(*facts) { return func(f *facts) { f.channels = c } }
func feature(name string) func(*facts) {
	return func(f *facts) { f.features[name] = ethtool.FeatureState{Active: true, Available: true} }
}
func fixed(name string) func(*facts) {
	return func(f *facts) { f.features[name] = ethtool.FeatureState{Active: true} }
}

// TestRefusals: errno and settings decide the reason and the remedy, also where no device here answers so. In each
// group the setting that is blamed is missing from another row.
func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name           string
		err            error
		on             *facts
		reason, remedy string
	}{
		{"native_attach", unix.EINVAL, nic(feature("rx-lro")), "LRO is on", "ethtool -K eth1 rx-lro off"},
		{"native_attach", unix.EOPNOTSUPP, nic(feature("rx-lro")), "LRO is on", "ethtool -K eth1 rx-lro off"},
		{"native_attach", unix.EINVAL, nic(feature("rx-gro-hw")), "hardware GRO is on", "ethtool -K eth1 rx-gro-hw off"},
		{"native_attach", unix.EINVAL, nic(fixed("rx-gro-hw")), "hardware GRO is on", "--attach generic: rx-gro-hw is fixed"},
		{"native_attach", unix.EINVAL, nic(mtu(9000)), "MTU of 9000", "ip link set dev eth1 mtu 1500"},
		{"native_attach", unix.ERANGE, nic(mtu(9000)), "MTU of 9000", "ip link set dev eth1 mtu 1500"},
		{"native_attach", unix.EINVAL, nic(channels(Channels{Combined: 8, MaxCombined: 8})), "too few channels", "ethtool -L eth1 combined 4"},
		{"native_attach", unix.ENOMEM, nic(), "too few channels", "ethtool -L eth1 combined 4"},
		{"native_attach", unix.ENOSPC, nic(driver("veth"), channels(Channels{Rx: 1, MaxRx: 4})), "too few channels", "ethtool -L eth1 rx 4"},
		{"native_attach", unix.ENOSPC, nic(driver("veth"), channels(Channels{Rx: 4, MaxRx: 4})), "too few channels", "ethtool -L PEER tx 4"},
		{"native_attach", unix.EINVAL, nic(), "the kernel's log", "dmesg"},
		{"native_attach", unix.EOPNOTSUPP, nic(), "no native XDP", "xsend send --attach generic"},
		{"native_attach", unix.EOPNOTSUPP, nic(noClaims, mtu(65536)), "no native XDP", "xsend send --attach generic"},
		{"native_attach", unix.EOPNOTSUPP, nic(driver("virtio_net")), "the host merges packets", "guest_csum=off"},
		{"generic_attach", unix.EOPNOTSUPP, nic(), "no generic program", "--interface"},
		{"zero_copy_bind", unix.EOPNOTSUPP, nic(noClaims), "the driver has no zero-copy", "xsend send --mode copy"},
		{"zero_copy_bind", unix.EOPNOTSUPP, nic(), "claims zero-copy and refuses", "xsend send --mode copy"},
		{"zero_copy_bind", unix.EINVAL, nic(mtu(9000)), "MTU of 9000 doesn't fit a chunk", "ip link set dev eth1 mtu 3814"},
		{"zero_copy_bind", unix.EINVAL, nic(mtu(3814)), "the queue or its rings", "ethtool -g eth1"},
		{"zero_copy_bind", unix.EINVAL, nic(noProgram), "no program is attached", "native attach"},
		{"zero_copy_bind", unix.EINVAL, nic(driver("virtio_net")), "IOMMU", "iommu_platform=on"},
		{"zero_copy_bind", unix.ENOMEM, nic(), "IOMMU refuses", "iommu=pt"},
		{"zero_copy_bind", unix.ENETDOWN, nic(), "down", "ip link set dev eth1 up"},
		{"sg_zero_copy_bind", unix.EOPNOTSUPP, nic(), "one descriptor per packet", "--mode copy"},
		{"sg_bind", unix.EINVAL, nic(), "this kernel doesn't have it", "Linux 6.6"},
		{"tx_metadata", unix.EINVAL, nic(), "this kernel doesn't have it", "Linux 6.11"},
		{"tx_software_checksum", unix.EOPNOTSUPP, nic(), "virtio_net", "xsend itself"},
		{"tx_budget", unix.ENOPROTOOPT, nic(), "this kernel doesn't have it", "Linux 6.18"},
		{"tx_budget", unix.EACCES, nic(), "refuses the number", ""},
		{"busy_poll", unix.ENOPROTOOPT, nic(), "this kernel doesn't have it", "CONFIG_NET_RX_BUSY_POLL"},
		{"prefer_busy_poll", unix.EPERM, nic(), "CAP_NET_ADMIN", "root"},
		{"huge_pages", fmt.Errorf("%w: %w", umem.ErrHugePages, unix.ENOMEM), nic(), "no huge page is reserved", "sysctl vm.nr_hugepages=18"},
		{"default_memory", fmt.Errorf("%w: %w", afxdp.ErrMemlock, unix.ENOBUFS), nic(), "RLIMIT_MEMLOCK", "ulimit -l 32768, or CAP_IPC_LOCK"},
		{"copy_bind", fmt.Errorf("%w: %w", afxdp.ErrQueueBusy, unix.EBUSY), nic(), "another AF_XDP socket", "ss --xdp"},
		{"copy_bind", unix.EAFNOSUPPORT, nic(), "CONFIG_XDP_SOCKETS", "CONFIG_XDP_SOCKETS"},
		{"copy_bind", errors.New("what nobody knows"), nic(), "what nobody knows", ""},
	} {
		errno, reason, remedy := c.on.refusal(c.name, c.err)
		if !strings.Contains(reason, c.reason) || !strings.Contains(remedy, c.remedy) || (c.remedy == "") != (remedy == "") {
			t.Errorf("%s, %v: %q, do %q; want %q, %q", c.name, c.err, reason, remedy, c.reason, c.remedy)
		}
		if e := unix.Errno(0); errors.As(c.err, &e) != (errno != "") || strings.ToUpper(errno) != errno {
			t.Errorf("%s, %v: errno %q", c.name, c.err, errno)
		}
	}
	if got := errnoName(unix.ENOTSUP); got != "EOPNOTSUPP" {
		t.Errorf("EOPNOTSUPP is called %s", got)
	}
}

// TestBinds: each ability is tried with what it is about, and with nothing else. A kernel that has them all can't tell.
func TestBinds(t *testing.T) {
	for _, b := range binds {
		c := b.cfg
		got := fmt.Sprint(!c.NoWakeup, c.SG, c.TxMetadataLen > 0, c.TxSoftwareChecksum, c.Mode)
		want := fmt.Sprint(b.name == "need_wakeup", b.name == "sg_bind", strings.HasPrefix(b.name, "tx_"), b.name == "tx_software_checksum", afxdp.ModeCopy)
		if got != want {
			t.Errorf("%s: wakeup, scatter-gather, metadata, software checksum, mode: %s, want %s", b.name, got, want)
		}
	}
	if len(binds) != 4 {
		t.Errorf("%d of them", len(binds))
	}
}

// TestGenericCosts: what the kernel would switch off for good is left on, and a generic program not tried.
func TestGenericCosts(t *testing.T) {
	for _, name := range []string{"rx-lro", "rx-gro-hw"} {
		p := &prober{facts: *nic(feature(name)), ctx: t.Context(), findings: Findings{{Name: "generic_attach"}}}
		p.nic.Index = 1 << 30 // nothing has it: an attempt would be refused
		if prog := p.tryAttach("generic_attach", xdpprog.ModeGeneric); prog != nil {
			t.Fatal("attached")
		}
		want(t, p.findings, map[string]string{"generic_attach": "untried|switches " + name + " off|ethtool -K eth1 " + name + " off"})
	}
	if reason, _ := nic().genericCosts(); reason != "" {
		t.Errorf("without them: %s", reason)
	}
}

func TestNUMANode(t *testing.T) {
	sys := t.TempDir()
	for bus, text := range map[string]string{"0000:01:00.0": "1\n", "0000:02:00.0": "-1\n", "0000:03:00.0": "what\n"} {
		dir := filepath.Join(sys, "bus/pci/devices", bus)
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.WriteFile(filepath.Join(dir, "numa_node"), []byte(text), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	for bus, want := range map[string]int{"0000:01:00.0": 1, "0000:02:00.0": -1, "0000:03:00.0": -1, "0000:04:00.0": -1, "": -1, "../0000:01:00.0": -1} {
		if got := numaNode(sys, bus); got != want {
			t.Errorf("%q: node %d, want %d", bus, got, want)
		}
	}
}

// TestClaims: what the kernel doesn't say is said to be unknown, and nothing is claimed then.
func TestClaims(t *testing.T) {
	p := &prober{facts: *nic()}
	for _, a := range abilities {
		p.findings = append(p.findings, findingOf(a))
	}
	p.noteClaims()
	for name, want := range map[string]string{
		"native_attach": Yes, "zero_copy_bind": Yes, "sg_zero_copy_bind": Yes, "tx_checksum_zero_copy": No, "tx_checksum_copy": No, "sg_bind": "",
	} {
		if got := p.at(name).Claimed; got != want {
			t.Errorf("%s: claimed %q, want %q", name, got, want)
		}
	}
	old := &prober{facts: *nic(noClaims, func(f *facts) { f.noClaims = fmt.Errorf("eth1: %w", hw.ErrNoClaims) })}
	for _, a := range abilities {
		old.findings = append(old.findings, findingOf(a))
	}
	old.noteClaims()
	if c := old.claimed(); !strings.Contains(c.Unknown, "Linux 6.3") || old.at("zero_copy_bind").Claimed != "" {
		t.Errorf("%+v, claimed %q", c, old.at("zero_copy_bind").Claimed)
	}
}
