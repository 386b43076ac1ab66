package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/safchain/ethtool"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
)

// state is what a second reader sees of the sender's interface.
type nicState struct {
	mtu, rx, tx int
	features    string // all that are on
}

func (r *rig) nic() (s nicState) {
	r.t.Helper()
	if err := r.Do(lab.Sender, func() error {
		link, err := hw.Lookup("veth-a")
		if err != nil {
			return err
		}
		s.mtu, s.rx, s.tx = link.MTU, link.RxQueues, link.TxQueues
		e, err := ethtool.NewEthtool()
		if err != nil {
			return err
		}
		defer e.Close()
		all, err := e.Features("veth-a")
		var names []string
		for name, on := range all {
			if on {
				names = append(names, name)
			}
		}
		slices.Sort(names)
		s.features = strings.Join(names, " ")
		return err
	}); err != nil {
		r.t.Fatal(err)
	}
	return s
}

func (s nicState) has(feature string) bool {
	return slices.Contains(strings.Fields(s.features), feature)
}

// becomes waits until the interface is as it was, or no longer.
func (r *rig) becomes(what string, ok func(nicState) bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); !ok(r.nic()); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never %s: %+v", what, r.nic())
		}
	}
}

// stateDir gives the programs that the test starts a state directory of its own.
func stateDir(t *testing.T) string {
	dir := t.TempDir()
	t.Setenv("XSEND_STATE_DIR", dir)
	return dir
}

func empty(t *testing.T, dir string) {
	t.Helper()
	left, err := os.ReadDir(dir)
	if err != nil || len(left) > 0 {
		t.Errorf("%s holds %v, %v", dir, left, err)
	}
}

// setFlags change features with all that depends on them, channels and the MTU.
var setFlags = []string{"--set", "tx-checksum-ip-generic=on", "--set", "rx-gro=on", "--set-channels", "1", "--mtu", "1400"}

func asSet(s nicState) bool {
	return s.mtu == 1400 && s.rx == 1 && s.tx == 1 && s.has("tx-checksum-ip-generic") && s.has("tx-udp-segmentation") && s.has("rx-gro")
}

// What --set changes is there in mid-run and gone afterwards; a signal is an ordinary end; the transfer is whole.
func TestSettingsOfARun(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	before := r.nic()
	path, sum := file(t, 4_000_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, append(append([]string{"send", "--json", "--hash", "-b", "16M"}, setFlags...), to, path)...)
	r.becomes("as it is asked for", asSet)
	p.want(0)
	received(t, s, 1, 4_000_000, sum)
	if after := r.nic(); after != before {
		t.Errorf("afterwards %+v, want %+v", after, before)
	}
	rep := p.report()
	sound(t, rep, 4_000_000)
	for path, want := range map[string]any{
		"restored.exact": true, "settings.0.name": "rx-gro", "settings.0.requested": "on", "settings.0.before": "off", "settings.0.active": "on",
		"settings.1.name": "tx-checksum-ip-generic", "settings.2.name": "channels.rx", "settings.2.before": "2", "settings.2.active": "1", "settings.4.name": "mtu",
		"settings.4.active": "1400", "settings.5.name": "tx-udp-segmentation", "settings.5.requested": nil, "mtu": 1400.0, "start.queues": 1.0,
		"start.parameters.set": "tx-checksum-ip-generic=on,rx-gro=on", "start.parameters.mtu": "1400",
	} {
		if got := rep.at(path); got != want {
			t.Errorf("%s is %v, want %v", path, got, want)
		}
	}
	if n := rep.number(t, "restored.settings"); n < 40 {
		t.Errorf("%.0f settings were compared", n)
	}
	r.clean()
	empty(t, dir)

	p = r.start(lab.Sender, nil, append(append([]string{"send", "--pattern", "-t", "60", "-b", "16M"}, setFlags...), r.listen().Addr().String())...)
	r.becomes("as it is asked for", asSet)
	p.says("connected to")
	p.signal(syscall.SIGINT)
	p.want(130)
	for _, text := range []string{"settings    rx-gro on (was off), ", "mtu 1400 (was 1500); with it tx-udp-segmentation on (was off [requested on])", "restored    exact ("} {
		if !strings.Contains(p.out.String(), text) {
			t.Errorf("no %q in %s", text, p.out.String())
		}
	}
	if after := r.nic(); after != before {
		t.Errorf("after SIGINT %+v, want %+v", after, before)
	}
	empty(t, dir)
}

// kill -9 in mid-run: the guardian puts everything back, and the next run finds it so.
func TestSettingsOfAKilledRun(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	before := r.nic()
	for range 3 {
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--pattern", "-t", "60", "-b", "16M"}, setFlags...), r.listen().Addr().String())...)
		r.becomes("as it is asked for", asSet)
		p.says("connected to")
		p.signal(syscall.SIGKILL)
		p.want(-1, fmt.Sprintf("xsend: process %d was killed; veth-a restored: exact (", p.cmd.Process.Pid))
		if after := r.nic(); after != before {
			t.Errorf("afterwards %+v, want %+v", after, before)
		}
		r.clean()
		empty(t, dir)
	}
}

// With the guardian killed too, the next run is refused and "xsend restore" puts everything back.
func TestRestoreCommand(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	before := r.nic()
	path, _ := file(t, 1000)
	_, to := r.sink()
	p := r.start(lab.Sender, nil, append(append([]string{"send", "--pattern", "-t", "60", "-b", "16M"}, setFlags...), to)...)
	r.becomes("as it is asked for", asSet)
	p.says("connected to")
	r.start(lab.Sender, nil, "send", "--mtu", "1300", to, path).want(2, "veth-a: interface is in use by another run", strconv.Itoa(p.cmd.Process.Pid))
	r.start(lab.Sender, nil, "restore", "--all").want(2, "veth-a", "in use", strconv.Itoa(p.cmd.Process.Pid))
	for _, pid := range children(t, p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	p.signal(syscall.SIGKILL)
	p.want(-1)
	if !asSet(r.nic()) {
		t.Error("the control: nothing is left over")
	}
	r.start(lab.Sender, nil, "send", "--mtu", "1300", to, path).want(2, "veth-a", "have not been restored", `"xsend restore veth-a"`)
	r.start(lab.Sender, nil, "send", to, path).want(0) // it asks for no setting, so none is in its way
	list := r.start(lab.Sender, nil, "restore")
	list.want(0)
	if !strings.Contains(list.out.String(), dir) || !strings.Contains(list.out.String(), "veth-a") {
		t.Errorf("the list is %q", list.out.String())
	}
	r.start(lab.Receiver, nil, "restore", "--all").want(0) // another namespace: nothing there
	r.start(lab.Sender, nil, "restore", "lo").want(0)
	back := r.start(lab.Sender, nil, "restore", "veth-a")
	back.want(0)
	if !strings.Contains(back.out.String(), "veth-a  restored: exact (") {
		t.Errorf("restore said %q", back.out.String())
	}
	if after := r.nic(); after != before {
		t.Errorf("afterwards %+v, want %+v", after, before)
	}
	again := r.start(lab.Sender, nil, "restore", "veth-a")
	again.want(0)
	if !strings.Contains(again.out.String(), "veth-a: nothing to restore") {
		t.Errorf("restore said %q", again.out.String())
	}
	empty(t, dir)
}

// children are the processes that a process has started and that are still there.
func children(t *testing.T, pid int) (list []int) {
	t.Helper()
	threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, thread := range threads {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%s/children", pid, thread.Name()))
		for text := range strings.FieldsSeq(string(b)) {
			if n, err := strconv.Atoi(text); err == nil {
				list = append(list, n)
			}
		}
	}
	return list
}

// A run that can't start for another reason leaves nothing changed either.
func TestSettingsOfARunThatDoesNotStart(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	before := r.nic()
	path, _ := file(t, 1000)
	_, to := r.sink()
	r.start(lab.Sender, nil, append(append([]string{"send", "--mode", "zerocopy"}, setFlags...), to, path)...).want(2, "zero-copy")
	r.start(lab.Sender, nil, append(append([]string{"send"}, setFlags...), "10.77.0.2:9", path)...).want(1, "refused")
	if after := r.nic(); after != before {
		t.Errorf("afterwards %+v, want %+v", after, before)
	}
	empty(t, dir)
}

// The default route of this lab's namespace doesn't count, and an SSH connection that comes by the interface does.
func TestForceOnACommandLine(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	path, _ := file(t, 1000)
	_, to := r.sink()
	t.Setenv("SSH_CONNECTION", "10.77.0.2 50000 10.77.0.1 22")
	r.start(lab.Sender, nil, "send", "--mtu", "1400", to, path).want(2, "veth-a: set mtu 1400", "SSH connection", "--force")
	r.start(lab.Sender, nil, "send", "--set", "rx-gro=on", to, path).want(0)
	r.start(lab.Sender, nil, "send", "--mtu", "1400", "--force", to, path).want(0)
	for _, args := range [][]string{{"--set-channels", "1"}, {"--set-channels", "rx=1,tx=1"}, {"--mtu", "1400", "--set", "rx-gro=on"}} {
		r.start(lab.Sender, nil, append(append([]string{"send"}, args...), to, path)...).want(2, "veth-a: set ", "SSH connection", "--force")
	}
	// sudo takes the variable away; who called it has it.
	without := []string{"sh", "-c", `env -u SSH_CONNECTION "$@"; exit $?`, "sh"}
	r.startWith(lab.Sender, nil, without, "send", "--mtu", "1400", to, path).want(2, "veth-a: set mtu 1400", "SSH connection")
	t.Setenv("SSH_CONNECTION", "192.0.2.1 50000 192.0.2.2 22") // of another namespace
	r.startWith(lab.Sender, nil, without, "send", "--mtu", "1400", to, path).want(0)
	r.start(lab.Sender, nil, "send", "--mtu", "1400", to, path).want(0)
	r.start(lab.Sender, nil, "send", "--mtu", "1000", to, path).want(2, "veth-a: set mtu 1000", "IPv6 addresses", "--force")
}

// An interface with an MTU that no frame holds can be sent from all the same, and has it back afterwards.
func TestMTUOfARun(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{MTU: 9000})
	path, sum := file(t, 500_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--attach", "generic", "--mtu", "3000", to, path)
	p.want(0)
	received(t, s, 1, 500_000, sum)
	if rep := p.report(); rep.at("mtu") != 3000.0 || rep.at("restored.exact") != true || r.nic().mtu != 9000 {
		t.Errorf("mtu %v, restored %v, afterwards %+v", rep.at("mtu"), rep.at("restored"), r.nic())
	}
	r.clean()
	empty(t, dir)
}

// Steering that a veth can't do is refused before a byte moves; where all queues are bound there is nothing to steer, and the result says so.
func TestSteerOnACommandLine(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 4})
	path, sum := file(t, 4_000_000)
	_, nobody := r.sink()
	r.start(lab.Sender, nil, "send", "--steer", "--queues", "2", nobody, path).want(2, "veth-a: steer answers of 10.77.0.2 to queues 0 to 1: refused", "ntuple: ", "rss: ", "leave --queues out")
	for _, row := range []struct {
		args   []string
		why    string
		listed any
	}{{[]string{"--steer"}, "--queues is not given: all 4 RX queues of veth-a are bound", nil}, {[]string{"--steer", "--queues", "4"}, "veth-a has 4 RX queues, and all are bound", "steer"}} {
		s, to := r.sink("--once")
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--json"}, row.args...), to, path)...)
		p.want(0)
		received(t, s, 1, 4_000_000, sum)
		rep := p.report()
		if rep.at("offload.11.name") != "steer" || rep.at("offload.11.active") != "all" || rep.at("offload.11.evidence") != row.why || rep.at("settings.0.name") != row.listed {
			t.Errorf("%v: %v, %v", row.args, rep.at("offload.11"), rep.at("settings"))
		}
	}
	r.clean()
	empty(t, dir)
}

// Of a network namespace that is gone there is nothing to restore: "xsend restore" says so and removes its journal, and keeps those of others.
func TestRestoreOfANamespaceThatIsGone(t *testing.T) {
	dir := stateDir(t)
	stays := newRig(t, lab.Config{Queues: 2})
	before := stays.nic()
	gone := newRig(t, lab.Config{Queues: 2})
	for _, r := range []*rig{stays, gone} {
		p := r.start(lab.Sender, nil, append(append([]string{"send", "--pattern", "-t", "60", "-b", "16M"}, setFlags...), r.listen().Addr().String())...)
		r.becomes("as it is asked for", asSet)
		p.says("connected to")
		for _, pid := range children(t, p.cmd.Process.Pid) {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Error(err)
			}
		}
		p.signal(syscall.SIGKILL)
		p.want(-1)
	}
	list := stays.start(lab.Sender, nil, "restore")
	if list.want(0); strings.Count(list.out.String(), "changed ") != 2 || strings.Contains(list.out.String(), "removed") {
		t.Errorf("the control: both are there, and the list is %q", list.out.String())
	}
	if err := gone.Lab.Close(); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); ; {
		list = stays.start(lab.Sender, nil, "restore")
		list.want(0)
		if strings.Contains(list.out.String(), "removed") {
			break
		}
		if time.Now().After(end) {
			t.Skipf("needs Linux 6.18, which tells whether a namespace is gone: %q", list.out.String())
		}
	}
	if text := list.out.String(); !strings.Contains(text, "is gone, and veth-a with it: there is nothing to restore") || strings.Count(text, "changed ") != 1 {
		t.Errorf("the list is %q", text)
	}
	stays.start(lab.Sender, nil, "restore", "--all").want(0)
	if after := stays.nic(); after != before {
		t.Errorf("afterwards %+v, want %+v", after, before)
	}
	empty(t, dir)
}

// A journal that can't be read is named, with what to do, and is in the way of its own interface's runs only.
func TestJournalThatCannotBeRead(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	path, _ := file(t, 1000)
	_, to := r.sink()
	other := filepath.Join(dir, "1.eth9.abcdefgh.journal.json")
	if err := os.WriteFile(other, []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.start(lab.Sender, nil, "send", "--mtu", "1400", to, path).want(0, other, "remove the file", "isn't of veth-a")
	r.start(lab.Sender, nil, "restore", "--all").want(2, other, "remove the file")
	r.start(lab.Sender, nil, "restore").want(2, other, "remove the file")
	if err := os.Remove(other); err != nil {
		t.Fatal(err)
	}
	empty(t, dir)
}
