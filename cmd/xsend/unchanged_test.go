package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
)

// settled is what ethtool and ip say of both ends' interfaces; what a driver hasn't got is said by ethtool, too.
func (r *rig) settled() string {
	r.t.Helper()
	var b strings.Builder
	for _, end := range []string{lab.Sender, lab.Receiver} {
		dev := r.Sender().Interface
		if end == lab.Receiver {
			dev = r.Receiver().Interface
		}
		for _, line := range []string{"ip -d link", "ip addr", "ethtool -k " + dev, "ethtool -g " + dev, "ethtool -l " + dev, "ethtool -c " + dev, "ethtool -a " + dev} {
			argv := strings.Fields(line)
			if _, err := exec.LookPath(argv[0]); err != nil {
				r.t.Skipf("needs %s", argv[0])
			}
			b.WriteString(line + "\n")
			_ = r.Exec(r.t.Context(), end, argv, lab.Stdio{Out: &b, Err: &b}) // a refusal is in the text
		}
	}
	return b.String()
}

// same waits until everything is as before: after SIGKILL the kernel and the guardian take a moment.
func (r *rig) same(what, before string) {
	r.t.Helper()
	now := r.settled()
	for end := time.Now().Add(patience); now != before && time.Now().Before(end); now = r.settled() {
		time.Sleep(10 * time.Millisecond)
	}
	if now == before {
		return
	}
	old := strings.Split(before, "\n")
	for _, line := range strings.Split(now, "\n") {
		if !slices.Contains(old, line) {
			r.t.Errorf("%s: now %s", what, line)
		}
	}
	r.t.Errorf("%s: something has changed", what)
}

// TestEveryCommandLeavesAllAsItWas: ip and ethtool say the same before and after each command, when it ends by itself and when it is killed in the middle. That
// they see what is changed meanwhile is the control.
func TestEveryCommandLeavesAllAsItWas(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2, TxChecksum: true, Segmentation: true})
	path, _ := file(t, 1_000_000)
	_, to := r.sink("--verify", "--no-hash")
	set := []string{"--set", "tx-scatter-gather=off", "--set", "rx-gro=on", "--set-channels", "1", "--mtu", "1400"}
	sending := append([]string{"send", "--pattern", "-t", "60", "-b", "16M"}, set...)
	spaces := namespaces(t)
	for name, c := range map[string]struct {
		end     string
		whole   []string // ends by itself, with 0
		endless []string // is killed when it has said so
		says    string   // "" = when a program is attached
		changes bool     // ip or ethtool see it in the middle
	}{
		"send":          {lab.Sender, []string{"send", to, path}, []string{"send", "--pattern", "-t", "60", "-b", "16M", to}, "connected to", true},
		"send, generic": {lab.Sender, []string{"send", "--attach", "generic", to, path}, []string{"send", "--attach", "generic", "--pattern", "-t", "60", "-b", "16M", to}, "connected to", true},
		"send, set":     {lab.Sender, append(append([]string{"send"}, set...), to, path), append(sending, to), "connected to", true},
		"probe":         {lab.Sender, []string{"probe", "veth-a"}, []string{"probe", "veth-a"}, "", true},
		"matrix": {lab.Sender, []string{"matrix", "veth-a", to, "--checksum", "sw", "--sg", "off", "--mode", "copy", "--attach", "generic", "--mtu", "1500,1400", "--turns", "1", "-t", "0.1"},
			[]string{"matrix", "veth-a", to, "--checksum", "sw", "--sg", "off", "--mode", "copy", "--attach", "generic", "--mtu", "1400", "--turns", "50", "-t", "0.2"}, "2/", true},
		"restore":        {lab.Sender, []string{"restore", "veth-a"}, nil, "", false},
		"restore, all":   {lab.Sender, []string{"restore", "--all"}, nil, "", false},
		"restore, lists": {lab.Sender, []string{"restore"}, nil, "", false},
		"sink":           {lab.Receiver, nil, []string{"sink", "--listen", "[::]:0"}, "listening on ", false},
		"demo":           {lab.Sender, []string{"demo", "--file", path}, []string{"demo"}, "sending ", false},
		"version":        {lab.Sender, []string{"version"}, nil, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			rt := &rig{t, r.Lab}
			before := rt.settled()
			if c.whole != nil {
				rt.start(c.end, nil, c.whole...).want(0)
				rt.same("ended", before)
			}
			if c.endless == nil {
				return
			}
			p := rt.start(c.end, nil, c.endless...)
			if c.says != "" {
				p.says(c.says)
			}
			for end := time.Now().Add(patience); c.changes && rt.settled() == before; {
				if time.Now().After(end) {
					t.Fatal("the control: nothing is changed in the middle")
				}
			}
			p.signal(syscall.SIGKILL)
			if p.wait() != -1 {
				t.Errorf("it ended with %d before it was killed", p.code)
			}
			rt.same("killed", before)
		})
	}
	empty(t, dir)
	for end := time.Now().Add(patience); !slices.Equal(namespaces(t), spaces); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("namespaces %v, there were %v", namespaces(t), spaces)
		}
	}
}

// namespaces are those of demonstrations that have a name.
func namespaces(t *testing.T) (names []string) {
	t.Helper()
	out, err := exec.Command("ip", "netns", "list").Output()
	if err != nil {
		t.Skipf("needs ip: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		if strings.HasPrefix(line, "xsend-demo-") {
			names = append(names, strings.TrimSpace(line))
		}
	}
	slices.Sort(names)
	return names
}

// TestRestoreIsKilled: whenever "xsend restore" is killed, another one finishes its work.
func TestRestoreIsKilled(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{Queues: 2})
	before := r.settled()
	_, to := r.sink("--verify", "--no-hash")
	p := r.start(lab.Sender, nil, append(append([]string{"send", "--pattern", "-t", "60", "-b", "16M"}, setFlags...), to)...)
	r.becomes("as it is asked for", asSet)
	p.says("connected to")
	for _, pid := range children(t, p.cmd.Process.Pid) {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Error(err)
		}
	}
	p.signal(syscall.SIGKILL)
	p.wait()
	for delay := time.Duration(0); delay < 30*time.Millisecond; delay += 2 * time.Millisecond { // from before its start to behind its end
		back := r.start(lab.Sender, nil, "restore", "veth-a")
		time.Sleep(delay)
		_ = back.cmd.Process.Kill()
		back.wait()
	}
	r.start(lab.Sender, nil, "restore", "veth-a").want(0)
	r.same("restored", before)
	empty(t, dir)
}

// TestProbeIsKilled: at whatever moment, in steps from its start to its end, nothing stays.
func TestProbeIsKilled(t *testing.T) {
	dir := stateDir(t)
	r := newRig(t, lab.Config{})
	before := r.settled()
	const moments = 12
	begin := time.Now()
	r.start(lab.Sender, nil, "probe", "veth-a").want(0)
	whole := time.Since(begin)
	for i := range moments {
		p := r.start(lab.Sender, nil, "probe", "veth-a")
		time.Sleep(whole * time.Duration(i) / moments)
		_ = p.cmd.Process.Kill()
		p.wait()
		r.same("killed", before)
	}
	r.start(lab.Sender, nil, "restore", "veth-a").want(0)
	for end := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) { // the last guardian's
		if left, err := filesIn(dir); err != nil || left == 0 {
			break
		}
		if time.Now().After(end) {
			empty(t, dir)
			break
		}
	}
}

func filesIn(dir string) (int, error) {
	entries, err := os.ReadDir(dir)
	return len(entries), err
}
