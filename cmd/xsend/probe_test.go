package main

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
)

// state is what ip and ethtool say of the sender's interface.
func (r *rig) state() string {
	r.t.Helper()
	dev := r.Sender().Interface
	var b strings.Builder
	for _, line := range []string{"ip -d addr show dev " + dev, "ip -d route show table all dev " + dev, "tc qdisc show dev " + dev,
		"ethtool -k " + dev, "ethtool -l " + dev, "ethtool -i " + dev} {
		argv := strings.Fields(line)
		if _, err := exec.LookPath(argv[0]); err != nil {
			r.t.Skipf("needs %s", argv[0])
		}
		b.WriteString(line + "\n")
		if err := r.Exec(r.t.Context(), lab.Sender, argv, lab.Stdio{Out: &b, Err: &b}); err != nil {
			r.t.Fatalf("%s: %v\n%s", line, err, b.String())
		}
	}
	return b.String()
}

// program is the XDP program on the sender's interface; 0: none.
func (r *rig) program() (id uint32) {
	r.t.Helper()
	if err := r.Do(lab.Sender, func() error {
		i, err := hw.Lookup(r.Sender().Interface)
		id = i.XDPProgID
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return id
}

// TestProbe: the table, --why, --json and --no-attach, and an interface that ip and ethtool see no change of.
func TestProbe(t *testing.T) {
	r := newRig(t, lab.Config{})
	before, dev := r.state(), r.Sender().Interface
	table := r.start(lab.Sender, nil, "probe", dev)
	table.want(0)
	if table.err.String() != "" {
		t.Errorf("said %q", table.err.String())
	}
	for _, want := range []string{
		"interface  veth-a, ", "driver     veth ", ", MTU 1500\n", "claims     xdp-features basic", "ethtool    off: ", "\nABILITY ",
		"\nnative attach              yes       yes\n", "\nzero-copy                  no        no       EOPNOTSUPP: the driver has no zero-copy; do: xsend send --mode copy\n",
		"\nTHE KERNEL, ON A VETH PAIR ", "\ndescriptors per doorbell          yes      32 descriptors\n", "\nrestored: exact (",
	} {
		if !strings.Contains(table.out.String(), want) {
			t.Errorf("no %q in\n%s", want, table.out.String())
		}
	}
	why := r.start(lab.Sender, nil, "probe", "--why", "--no-attach", dev)
	why.want(0)
	if found, means := strings.Count(why.out.String(), "    found: "), strings.Count(why.out.String(), "    means: "); found != 27 || means < found+10 ||
		strings.Contains(table.out.String(), "means:") || !strings.Contains(why.out.String(), "untried  not to be attached: --no-attach") {
		t.Errorf("%d lines say how it was found, %d what it means:\n%s", found, means, why.out.String())
	}
	object := r.start(lab.Sender, nil, "probe", "--json", dev)
	object.want(0)
	rep := object.report()
	for path, want := range map[string]any{
		"schema": "xsend.probe/1", "interface.name": dev, "abilities.native_attach.found": "yes", "abilities.native_attach.claimed": "yes",
		"abilities.zero_copy_bind.errno": "EOPNOTSUPP", "quirks.max_fragments.unit": "descriptors", "restored.exact": true,
	} {
		if rep.at(path) != want {
			t.Errorf("%s is %v, want %v", path, rep.at(path), want)
		}
	}
	if after := r.state(); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// TestProbeIsNotStarted: nothing is printed but the reason.
func TestProbeIsNotStarted(t *testing.T) {
	r := newRig(t, lab.Config{})
	dev := r.Sender().Interface
	for _, c := range []struct {
		front []string
		args  []string
		says  string
	}{
		{nil, []string{"nosuch0"}, `interface "nosuch0": no such interface; this network namespace has lo, veth-a`},
		{nil, nil, "accepts 1 arg(s), received 0"},
		{nil, []string{dev, dev}, "accepts 1 arg(s), received 2"},
		{nil, []string{"--whatever", dev}, "unknown flag: --whatever"},
		{without("net_admin"), []string{dev}, "need CAP_NET_ADMIN:"},
		{without("net_raw"), []string{dev}, "need CAP_NET_RAW:"},
		{without("bpf", "sys_admin"), []string{dev}, "need CAP_BPF:"},
		{without("all"), []string{"--json", dev}, "need CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF:"},
	} {
		if c.front != nil && !have(c.front[0]) {
			t.Skipf("needs %s to drop capabilities", c.front[0])
		}
		p := r.startWith(lab.Sender, nil, c.front, append([]string{"probe"}, c.args...)...)
		if p.want(2, c.says); p.out.String() != "" {
			t.Errorf("%q printed %q", c.args, p.out.String())
		}
	}
}

// without runs a program without capabilities.
func without(caps ...string) []string {
	return []string{"setpriv", "--bounding-set", "-" + strings.Join(caps, ",-")}
}

func have(program string) bool {
	_, err := exec.LookPath(program)
	return err == nil
}

// TestProbeWithLess: what a missing capability or limit forbids is a finding; the same limit with the capability is the
// control of the second, and TestProbe that of the first.
func TestProbeWithLess(t *testing.T) {
	r := newRig(t, lab.Config{})
	dev := r.Sender().Interface
	for _, c := range []struct {
		front []string
		want  map[string]any
	}{
		{without("sys_admin"), map[string]any{
			"abilities.native_attach.found": "yes", "quirks.max_fragments.found": "untried", "quirks.max_fragments.errno": "EPERM",
			"quirks.max_fragments.remedy": "run as root: it takes CAP_SYS_ADMIN",
		}},
		{append([]string{"prlimit", "--memlock=4194304:4194304"}, without("ipc_lock")...), map[string]any{
			"abilities.copy_bind.found": "yes", "abilities.default_memory.found": "no", "abilities.default_memory.errno": "ENOBUFS",
			"abilities.default_memory.remedy": "ulimit -l 32768, or CAP_IPC_LOCK, or fewer --frames", "quirks.max_fragments.found": "yes",
		}},
		{[]string{"prlimit", "--memlock=4194304:4194304"}, map[string]any{
			"abilities.copy_bind.found": "yes", "abilities.default_memory.found": "yes", // by CAP_IPC_LOCK
		}},
	} {
		if !have(c.front[0]) || !have("setpriv") {
			t.Skipf("needs %s and setpriv", c.front[0])
		}
		p := r.startWith(lab.Sender, nil, c.front, "probe", "--json", dev)
		p.want(0)
		rep := p.report()
		for path, want := range c.want {
			if rep.at(path) != want {
				t.Errorf("%q: %s is %v, want %v", c.front, path, rep.at(path), want)
			}
		}
		if rep.at("restored.exact") != true {
			t.Errorf("%q: %v", c.front, rep.at("restored"))
		}
	}
}

// TestProbeEndsEarly: by whatever signal, the program is gone and the interface as before.
func TestProbeEndsEarly(t *testing.T) {
	r := newRig(t, lab.Config{})
	before := r.state()
	for signal, code := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGKILL: -1} {
		p := r.start(lab.Sender, nil, "probe", r.Sender().Interface)
		for end := time.Now().Add(patience); r.program() == 0; {
			if time.Now().After(end) {
				t.Fatal("no program was attached")
			}
		}
		p.signal(signal)
		if p.want(code); p.out.String() != "" {
			t.Errorf("%v: printed %q", signal, p.out.String())
		}
		for end := time.Now().Add(patience); r.program() != 0; { // after SIGKILL the kernel takes a moment
			if time.Now().After(end) {
				t.Fatalf("%v: program %d is left behind", signal, r.program())
			}
		}
		if after := r.state(); after != before {
			t.Errorf("%v: before:\n%s\nafter:\n%s", signal, before, after)
		}
	}
}
