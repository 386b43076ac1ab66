package probe

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/safchain/ethtool"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/hw"
	lib "github.com/xsend/xsend/internal/ethtool"
	"github.com/xsend/xsend/umem"
)

// rig is the near end of a pair, on the test's own thread.
type rig struct {
	*testing.T
	*pair
	quirks bool // probe tries those of the kernel too
}

// onPair runs f at the near end of a pair that is gone afterwards.
func onPair(t *testing.T, f func(*rig)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces, AF_XDP sockets and XDP programs")
	}
	if err := withPair(func(p *pair) error { f(&rig{T: t, pair: p}); return nil }); err != nil {
		t.Fatal(err)
	}
}

func (r *rig) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

// probe probes and demands that nothing is different afterwards, by a snapshot of the test's own.
func (r *rig) probe(cfg Config) *Report {
	r.Helper()
	if cfg.Interface == "" {
		cfg.Interface = nearName
	}
	cfg.noQuirks = !r.quirks // most tests are not about the kernel
	cfg.StateDir = r.TempDir()
	nic, err := hw.Lookup(cfg.Interface)
	r.ok(err)
	before, err := takeSnapshot(nic.Index)
	r.ok(err)
	rep, err := Run(r.Context(), cfg)
	r.ok(err)
	after, err := takeSnapshot(nic.Index)
	r.ok(err)
	if d := before.diff(after); len(d) > 0 || !rep.Restored.Exact || rep.Restored.Settings != len(before) || len(rep.Restored.Differences) > 0 {
		r.Errorf("afterwards: %q; reported %+v", d, rep.Restored)
	}
	return rep
}

// want compares findings: "yes", "no EOPNOTSUPP", "untried", and then words of the reason or the remedy.
func want(t *testing.T, list Findings, wants map[string]string) {
	t.Helper()
	for name, want := range wants {
		f := list.Named(name)
		if f == nil {
			t.Errorf("no finding %s", name)
			continue
		}
		got := strings.Join([]string{f.Found, f.Errno, f.Reason, f.Remedy}, "|")
		for word := range strings.SplitSeq(want, "|") {
			if !strings.Contains(got, word) {
				t.Errorf("%s: %s, want %q in it", name, got, word)
			}
		}
	}
}

// onVeth is what any veth has to show.
var onVeth = map[string]string{
	"native_attach": "yes", "generic_attach": "yes", "link_reset": "no", "copy_bind": "yes",
	"zero_copy_bind":    "no|EOPNOTSUPP|the driver has no zero-copy|xsend send --mode copy",
	"sg_zero_copy_bind": "untried|no zero-copy", "need_wakeup": "yes", "sg_bind": "yes",
	"tx_metadata": "yes", "tx_software_checksum": "yes", "tx_checksum_copy": "untried", "tx_checksum_zero_copy": "untried",
	"tx_budget": "yes", "prefer_busy_poll": "yes", "busy_poll": "yes", "busy_poll_budget": "yes", "default_memory": "yes",
}

// wantVeth compares with onVeth. A kernel before 6.18 may say of some that it doesn't have them.
func wantVeth(t *testing.T, list Findings) {
	t.Helper()
	for name, expected := range onVeth {
		if f := list.Named(name); older(t) && f != nil && f.Found == No && f.Reason == "this kernel doesn't have it" {
			t.Logf("%s: %s", name, f.Reason)
			continue
		}
		want(t, list, map[string]string{name: expected})
	}
}

// older reports whether the kernel is older than what all of this was found on.
func older(t *testing.T) bool {
	t.Helper()
	var major, minor int
	if _, err := fmt.Sscanf(kernelRelease(), "%d.%d", &major, &minor); err != nil {
		t.Fatal(err)
	}
	return major < 6 || major == 6 && minor < 18
}

// TestVeth: what is claimed and found, nothing changed, and the same again.
func TestVeth(t *testing.T) {
	onPair(t, func(r *rig) {
		addr, err := netlink.ParseAddr("10.99.0.1/24")
		r.ok(err)
		r.ok(netlink.AddrAdd(r.near, addr))
		r.quirks = true
		first := r.probe(Config{Version: "v0"})
		wantVeth(t, first.Abilities)
		for name, claim := range map[string]string{
			"native_attach": Yes, "zero_copy_bind": No, "sg_zero_copy_bind": No, "tx_checksum_copy": Yes, "tx_checksum_zero_copy": No,
			"generic_attach": "", "copy_bind": "",
		} {
			if f := first.Abilities.Named(name); f.Claimed != claim || (claim != "") != (f.ClaimedBy != "") {
				t.Errorf("%s: claimed %q by %q, want %q", name, f.Claimed, f.ClaimedBy, claim)
			}
		}
		i := first.Interface
		if first.Schema != Schema || first.Version != "v0" || first.Kernel == "" || i.Name != nearName || i.Driver != "veth" || i.MTU != 1500 ||
			i.Speed != 10000 || i.Duplex != "full" || i.Unusable != "" || !i.Carrier || i.NUMANode != -1 || i.Channels.Rx < 1 || i.XDPProgram != 0 {
			t.Errorf("%+v", first)
		}
		second := r.probe(Config{Version: "v0"})
		for n := range first.Abilities {
			if first.Abilities[n] != second.Abilities[n] {
				t.Errorf("first %+v, then %+v", first.Abilities[n], second.Abilities[n])
			}
		}
		for n := range first.Quirks {
			a, b := first.Quirks[n], second.Quirks[n]
			if a.Name == "deferred_close" { // takes another time each time
				a.Value, a.Reason, b.Value, b.Reason = 0, "", 0, ""
			}
			if a != b {
				t.Errorf("first %+v, then %+v", a, b)
			}
		}
	})
}

// TestClaimFollowsFeature: the control of what is claimed by a feature is the feature being off.
func TestClaimFollowsFeature(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(r.setChecksum(false))
		rep := r.probe(Config{NoAttach: true})
		if f := rep.Abilities.Named("tx_checksum_copy"); f.Claimed != No {
			t.Errorf("with tx-checksum-ip-generic off: claimed %q", f.Claimed)
		}
		for _, f := range rep.Claims.Ethtool {
			if f.Name == "tx-checksum-ip-generic" && (f.Active || f.Requested || !f.Changeable) || f.Name == "rx-lro" && f.Changeable {
				t.Errorf("%+v", f)
			}
		}
		want(t, rep.Abilities, map[string]string{
			"native_attach": "untried|--no-attach", "generic_attach": "untried|--no-attach", "link_reset": "untried",
			"zero_copy_bind": "untried|--no-attach", "copy_bind": "yes", "sg_bind": "yes",
		})
	})
}

// TestMTU: a program that takes fragments, as ours does, minds no MTU on veth.
func TestMTU(t *testing.T) {
	onPair(t, func(r *rig) {
		for _, mtu := range []int{9000, 65000} {
			r.ok(netlink.LinkSetMTU(r.near, mtu))
			rep := r.probe(Config{})
			wantVeth(t, rep.Abilities)
			if rep.Interface.MTU != mtu {
				t.Errorf("MTU %d, want %d", rep.Interface.MTU, mtu)
			}
		}
	})
}

// run runs a remedy, word for word.
func (r *rig) run(remedy string) {
	r.Helper()
	words := strings.Fields(remedy)
	if len(words) == 0 {
		r.Fatal("no remedy")
	}
	if _, err := exec.LookPath(words[0]); err != nil {
		r.Skipf("needs %s to run the remedy", words[0])
	}
	if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
		r.Fatalf("%s: %v\n%s", remedy, err, out)
	}
}

// addWide adds a pair with two queues, wide-a and wide-b, both in this namespace.
func (r *rig) addWide() {
	r.Helper()
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.NumTxQueues, attrs.NumRxQueues = "wide-a", 2, 2
	veth := netlink.NewVeth(attrs)
	veth.PeerName, veth.PeerNumTxQueues, veth.PeerNumRxQueues = "wide-b", 2, 2
	r.ok(netlink.LinkAdd(veth))
	for _, name := range []string{"wide-a", "wide-b"} {
		l, err := netlink.LinkByName(name)
		r.ok(err)
		r.ok(netlink.LinkSetUp(l))
	}
}

// TestTooFewChannels: a peer with more TX queues than we have RX queues; the remedy works.
func TestTooFewChannels(t *testing.T) {
	onPair(t, func(r *rig) {
		r.addWide()
		_, err := lib.Ask("wide-a", func(e *ethtool.Ethtool) (ethtool.Channels, error) {
			return e.SetChannels("wide-a", ethtool.Channels{RxCount: 1, TxCount: 1})
		})
		r.ok(err)
		rep := r.probe(Config{Interface: "wide-a"})
		want(t, rep.Abilities, map[string]string{"native_attach": "no|ENOSPC|too few channels|ethtool -L wide-a rx 2", "generic_attach": "yes"})
		r.run(rep.Abilities.Named("native_attach").Remedy)
		wantVeth(t, r.probe(Config{Interface: "wide-a"}).Abilities)
	})
}

// attach attaches a program that passes everything.
func (r *rig) attach(flags link.XDPAttachFlags) (id uint32, detach func()) {
	r.Helper()
	prog, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: "foreign", Type: ebpf.XDP, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, 2), asm.Return()}})
	r.ok(err)
	l, err := link.AttachXDP(link.XDPOptions{Program: prog, Interface: r.near.Attrs().Index, Flags: flags})
	r.ok(err)
	info, err := prog.Info()
	r.ok(err)
	n, _ := info.ID()
	return uint32(n), func() { r.ok(errors.Join(l.Detach(), l.Close(), prog.Close())) }
}

// TestForeignProgram: it stays, and nothing is done that could stop its traffic; without it all is tried.
func TestForeignProgram(t *testing.T) {
	for mode, flags := range map[string]link.XDPAttachFlags{"native": link.XDPDriverMode, "generic": link.XDPGenericMode} {
		onPair(t, func(r *rig) {
			id, detach := r.attach(flags)
			rep := r.probe(Config{})
			taken := "untried|is attached, " + mode + "|\"foreign\"|link detach id"
			want(t, rep.Abilities, map[string]string{
				"native_attach": taken, "generic_attach": taken, "zero_copy_bind": taken, "sg_zero_copy_bind": "untried",
				"link_reset": "untried|nothing was attached", "copy_bind": "yes", "tx_metadata": "yes",
			})
			if rep.Interface.XDPProgram != id || rep.Interface.XDPMode != mode {
				t.Errorf("shows program %d, %s", rep.Interface.XDPProgram, rep.Interface.XDPMode)
			}
			if now, err := hw.Lookup(nearName); err != nil || now.XDPProgID != id || now.XDPMode != mode {
				t.Errorf("program %d was replaced by %d, %s, %v", id, now.XDPProgID, now.XDPMode, err)
			}
			detach()
			wantVeth(t, r.probe(Config{}).Abilities)
		})
	}
}

// TestQueueInUse: somebody else's socket goes on sending.
func TestQueueInUse(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(r.tryOn(t.Context(), afxdp.Config{}, func(s *trial) error {
			want(t, r.probe(Config{}).Abilities, map[string]string{
				"copy_bind": "no|EBUSY|another AF_XDP socket", "zero_copy_bind": "no|EBUSY", "tx_metadata": "untried|no socket", "native_attach": "yes",
			})
			s.send(s.put(0, quirkLen))
			if got := s.receive(arrival); len(got) != quirkLen {
				t.Errorf("the socket that had the queue: %d bytes arrived", len(got))
			}
			return nil
		}))
		wantVeth(t, r.probe(Config{}).Abilities)
	})
}

func TestInterfaceDown(t *testing.T) {
	onPair(t, func(r *rig) {
		r.ok(netlink.LinkSetDown(r.near))
		rep := r.probe(Config{})
		want(t, rep.Abilities, map[string]string{"native_attach": "yes", "copy_bind": "yes", "link_reset": "untried|no carrier"})
		if rep.Interface.Up || !strings.Contains(rep.Interface.Unusable, "is down") || !strings.Contains(rep.Interface.Unusable, "ip link set dev "+nearName+" up") {
			t.Errorf("%+v", rep.Interface)
		}
	})
}

// TestLoopback has no native XDP, and claims none.
func TestLoopback(t *testing.T) {
	onPair(t, func(r *rig) {
		rep := r.probe(Config{Interface: "lo"})
		want(t, rep.Abilities, map[string]string{
			"native_attach": "no|EOPNOTSUPP|no native XDP|--attach generic", "generic_attach": "yes", "zero_copy_bind": "no|EOPNOTSUPP", "copy_bind": "yes",
		})
		if f := rep.Abilities.Named("native_attach"); f.Claimed != No || !strings.Contains(rep.Interface.Unusable, "not an Ethernet interface") {
			t.Errorf("claimed %q; %+v", f.Claimed, rep.Interface)
		}
	})
}

// TestNoEthernet is refused both ways of attaching.
func TestNoEthernet(t *testing.T) {
	onPair(t, func(r *rig) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "tun-p"
		err := netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TUN})
		if errors.Is(err, os.ErrNotExist) {
			t.Skipf("needs /dev/net/tun: %v", err)
		}
		r.ok(err)
		rep := r.probe(Config{Interface: "tun-p"})
		want(t, rep.Abilities, map[string]string{
			"native_attach": "no|no Ethernet header", "generic_attach": "no|no Ethernet header", "link_reset": "untried|nothing was attached",
		})
	})
}

func TestUnknownInterface(t *testing.T) {
	onPair(t, func(r *rig) {
		if _, err := Run(t.Context(), Config{Interface: "nosuch"}); !errors.Is(err, hw.ErrNoInterface) {
			t.Errorf("%v, want ErrNoInterface", err)
		}
	})
}

// dropCaps takes capabilities from the thread, which ends with the pair.
func (r *rig) dropCaps(caps ...uint) {
	r.Helper()
	h := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var d [2]unix.CapUserData
	r.ok(unix.Capget(&h, &d[0]))
	for _, c := range caps {
		d[c/32].Effective &^= 1 << (c % 32)
	}
	r.ok(unix.Capset(&h, &d[0]))
}

// TestWithoutCapabilities: each that is missing is named, and nothing was tried.
func TestWithoutCapabilities(t *testing.T) {
	for name, caps := range map[string][]uint{
		"CAP_NET_ADMIN": {unix.CAP_NET_ADMIN}, "CAP_NET_RAW": {unix.CAP_NET_RAW}, "CAP_BPF": {unix.CAP_BPF, unix.CAP_SYS_ADMIN},
	} {
		onPair(t, func(r *rig) {
			r.dropCaps(caps...)
			_, err := Run(t.Context(), Config{Interface: nearName})
			if !errors.Is(err, ErrPrivileges) || !strings.Contains(err.Error(), "need "+name+":") || !strings.Contains(err.Error(), "setcap") {
				t.Errorf("without %s: %v", name, err)
			}
		})
	}
}

// TestPutsBack: a feature that changed meanwhile is given back; what can't be is reported.
func TestPutsBack(t *testing.T) {
	onPair(t, func(r *rig) {
		rep := r.probe(Config{meddle: func() { r.ok(r.setChecksum(false)) }})
		if features, err := readFeatures(nearName); err != nil || !features["tx-checksum-ip-generic"].Active {
			t.Errorf("the feature is not given back: %v; %+v", err, rep.Restored)
		}
		r.probe(Config{meddle: func() { r.ok(netlink.LinkSetMTU(r.near, 1400)) }})
		meddled := Config{Interface: nearName, noQuirks: true, StateDir: t.TempDir(), meddle: func() { r.ok(netlink.LinkSetAlias(r.near, "x")) }}
		rep, err := Run(t.Context(), meddled)
		if err != nil || rep.Restored.Exact || len(rep.Restored.Differences) != 1 || rep.Restored.Differences[0] != "alias: nothing, now x" {
			t.Errorf("%+v, %v", rep.Restored, err)
		}
		if left, err := os.ReadDir(meddled.StateDir); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
}

// TestSnapshotSees: each thing that could be left behind is in it.
func TestSnapshotSees(t *testing.T) {
	onPair(t, func(r *rig) {
		index := r.near.Attrs().Index
		addr, err := netlink.ParseAddr("10.99.0.1/24")
		r.ok(err)
		var detach func()
		for _, c := range []struct {
			name string
			do   func()
		}{
			{"address 10.99.0.1/24", func() { r.ok(netlink.AddrAdd(r.near, addr)) }},
			{"MTU", func() { r.ok(netlink.LinkSetMTU(r.near, 1400)) }},
			{"promiscuous", func() { r.ok(netlink.SetPromiscOn(r.near)) }},
			{"alias", func() { r.ok(netlink.LinkSetAlias(r.near, "x")) }},
			{"transmit queue length", func() { r.ok(netlink.LinkSetTxQLen(r.near, 7)) }},
			{"feature tx-checksum-ip-generic", func() { r.ok(r.setChecksum(false)) }},
			{"XDP program", func() { _, detach = r.attach(link.XDPGenericMode) }},
			{"up", func() { r.ok(netlink.LinkSetDown(r.near)) }},
		} {
			before, err := takeSnapshot(index)
			r.ok(err)
			c.do()
			after, err := takeSnapshot(index)
			r.ok(err)
			if d := strings.Join(before.diff(after), "\n"); !strings.Contains(d, c.name+": ") {
				t.Errorf("%s: sees %q", c.name, d)
			}
			if d := after.diff(after); len(d) > 0 {
				t.Errorf("the same is different: %q", d)
			}
		}
		detach()
	})
}

// TestHugePages: whichever it is, the finding follows what is reserved.
func TestHugePages(t *testing.T) {
	onPair(t, func(r *rig) {
		region, err := umem.Map(umem.Config{Frames: 512, ChunkSize: umem.MaxChunk, HugePages: true})
		expect := "no|ENOMEM|no huge page is reserved|sysctl vm.nr_hugepages="
		if err == nil {
			expect = "yes"
			r.ok(region.Close())
		}
		want(t, r.probe(Config{NoAttach: true}).Abilities, map[string]string{"huge_pages": expect})
	})
}

// TestSendsNothing: no frame of ours arrives at the other end. The quirks' own are on another pair; the control is
// TestQueueInUse, where one arrives.
func TestSendsNothing(t *testing.T) {
	onPair(t, func(r *rig) {
		r.probe(Config{})
		if got := r.receive(50 * time.Millisecond); got != nil {
			t.Errorf("%d bytes were sent", len(got))
		}
	})
}

// newProber is one with all its rows.
func (r *rig) newProber(name string) *prober {
	r.Helper()
	n, err := hw.Lookup(name)
	r.ok(err)
	p := &prober{facts: readFacts(n), ctx: r.Context()}
	for _, a := range abilities {
		p.findings = append(p.findings, findingOf(a))
	}
	return p
}

// TestOptionsRefused: a TX ring that is too small, and a capability that the others take. TestVeth is the control.
func TestOptionsRefused(t *testing.T) {
	onPair(t, func(r *rig) {
		region, err := umem.Map(umem.Config{Frames: tryFrames})
		r.ok(err)
		defer region.Close()
		s, err := afxdp.Open(t.Context(), afxdp.Config{Region: region, Ifindex: r.near.Attrs().Index, Mode: afxdp.ModeCopy, TxRing: ringSize / 2})
		r.ok(err)
		defer s.Close()
		r.dropCaps(unix.CAP_NET_ADMIN)
		p := r.newProber(nearName)
		p.tryOptions(s)
		want(t, p.findings, map[string]string{
			"prefer_busy_poll": "no|EPERM|CAP_NET_ADMIN", "busy_poll_budget": "no|EPERM|CAP_NET_ADMIN",
		})
		if !older(t) {
			want(t, p.findings, map[string]string{"tx_budget": "no|EACCES|refuses the number"})
		}
	})
}

// TestLinkReset: a carrier that is gone for a while is waited for, and the time told. TestVeth is the control.
func TestLinkReset(t *testing.T) {
	onPair(t, func(r *rig) {
		r.addWide()
		p := r.newProber("wide-a")
		p.attached = true
		peer, err := netlink.LinkByName("wide-b")
		r.ok(err)
		here, err := netlink.NewHandle() // its socket stays in this namespace
		r.ok(err)
		defer here.Close()
		r.ok(here.LinkSetDown(peer))
		up := make(chan error, 1)
		time.AfterFunc(100*time.Millisecond, func() { up <- here.LinkSetUp(peer) })
		p.awaitCarrier()
		r.ok(<-up)
		p.linkReset()
		now, err := hw.Lookup("wide-a")
		if f := p.at("link_reset"); f.Found != Yes || f.Unit != "ms" || f.Value < 10 || !now.Carrier || err != nil {
			t.Errorf("%+v; carrier %v, %v", f, now.Carrier, err)
		}
	})
}
