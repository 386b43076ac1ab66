package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/lab"
)

// bad is one row: the arguments behind "send", and what must come of them.
type bad struct {
	name  string
	args  []string
	code  int
	texts []string // subject, cause and remedy
}

func TestBadInput(t *testing.T) {
	state := stateDir(t)
	r := newRig(t, lab.Config{})
	dir := t.TempDir()
	path, _ := file(t, 1000)
	_, open := r.sink()
	closed := "10.77.0.2:9"
	rows := []bad{
		{"no arguments", nil, 2, []string{"arg(s)", "--help"}},
		{"nothing to send", []string{open}, 2, []string{"nothing to send", "FILE", "--pattern"}},
		{"unknown flag", []string{"--nope", open, path}, 2, []string{"--nope", "--help"}},
		{"no port", []string{"10.77.0.2", path}, 2, []string{`"10.77.0.2"`, "missing port", "HOST:PORT"}},
		{"port 0", []string{"10.77.0.2:0", path}, 2, []string{"1 to 65535"}},
		{"port name", []string{"10.77.0.2:http", path}, 2, []string{"1 to 65535"}},
		{"no host", []string{":9000", path}, 2, []string{"no host"}},
		{"unknown host", []string{"no-such-host.invalid:9000", path}, 2, []string{"no-such-host.invalid"}},
		{"no such file", []string{open, dir + "/none"}, 2, []string{dir + "/none", "no such file", "check the name"}},
		{"directory", []string{open, dir}, 2, []string{dir, "is a directory", "tar c"}},
		{"file and pattern", []string{"--pattern", open, path}, 2, []string{"choose one"}},
		{"-n without pattern", []string{"-n", "1M", open, path}, 2, []string{"--pattern"}},
		{"-n and -t", []string{"--pattern", "-n", "1M", "-t", "1", open}, 2, []string{"choose one"}},
		{"-n 0", []string{"--pattern", "-n", "0", open}, 2, []string{"more than 0"}},
		{"-n nonsense", []string{"--pattern", "-n", "1X", open}, 2, []string{`"1X"`, "K, M, G"}},
		{"-b nonsense", []string{"-b", "fast", open, path}, 2, []string{`"fast"`}},
		{"-P 0", []string{"-P", "0", open, path}, 2, []string{"-P 0", "1 to 128"}},
		{"-P with standard input", []string{"-P", "2", open, "-"}, 2, []string{"standard input", "once"}},
		{"-4 and -6", []string{"-4", "-6", open, path}, 2, []string{"-4", "-6"}},
		{"-6 with an IPv4 address", []string{"-6", open, path}, 2, []string{"10.77.0.2"}},
		{"--dscp", []string{"--dscp", "af99", open, path}, 2, []string{"af99", "0 to 63"}},
		{"--vlan too large", []string{"--vlan", "4095", open, path}, 2, []string{"--vlan", `VLAN ID "4095"`, "0 to 4094", "reserved"}},
		{"--vlan negative", []string{"--vlan", "-1", open, path}, 2, []string{"--vlan", `VLAN ID "-1"`, "0 to 4094"}},
		{"--vlan nonsense", []string{"--vlan", "blue", open, path}, 2, []string{"--vlan", `VLAN ID "blue"`, "0 to 4094"}},
		{"-M too small", []string{"-M", "10", open, path}, 2, []string{"MSS 10"}},
		{"congestion control", []string{"-C", "vegas", open, path}, 2, []string{"vegas", "reno"}},
		{"--rto-min 0", []string{"--rto-min", "0", open, path}, 2, []string{"--rto-min 0", "more than 0"}},
		{"--rto-min too small", []string{"--rto-min", "0.5", open, path}, 2, []string{"--rto-min 500µs", "from 1ms to 2m0s"}},
		{"--rto-min too large", []string{"--rto-min", "5m", open, path}, 2, []string{"--rto-min 5m0s", "from 1ms to 2m0s"}},
		{"--rto-min nonsense", []string{"--rto-min", "soon", open, path}, 2, []string{"--rto-min", `"soon"`, "500ms"}},
		{"--user-timeout below --rto-min", []string{"--user-timeout", "100", open, path}, 2, []string{"--user-timeout 100ms", "--rto-min 200ms", "0 for none"}},
		{"--keepalive too short", []string{"--keepalive", "1ms", open, path}, 2, []string{"--keepalive 1ms", "at least 10ms", "0 for none"}},
		{"--hold-time 0", []string{"--hold-time", "0", open, path}, 2, []string{"--hold-time 0s", "at least 10ms", "--hold-policy backpressure"}},
		{"--hold-abort before --hold-time", []string{"--hold-time", "20", "--hold-abort", "5", open, path}, 2, []string{"--hold-abort 5s", "--hold-time 20s", "0 for never"}},
		{"--hold-policy unknown", []string{"--hold-policy", "wait", open, path}, 2, []string{"--hold-policy", "backpressure, demote, abort"}},
		{"--hold-policy in a wrong mode", []string{"--release", "submit", "--hold-policy", "demote", open, path}, 2, []string{"--hold-policy demote", "--release submit", "leave it out"}},
		{"--arena too small", []string{"--arena", "1K", open, path}, 2, []string{"arena of 1024 bytes", "4096"}},
		{"--user-timeout negative", []string{"--user-timeout", "-1", open, path}, 2, []string{"--user-timeout", "must be from 0"}},
		{"fixed window of another control", []string{"--fixed-window", "1M", open, path}, 2, []string{"--fixed-window", "-C cubic", "-C fixed"}},
		{"--json and --json-stream", []string{"--json", "--json-stream", open, path}, 2, []string{"--json", "--json-stream", "choose"}},
		{"release mode", []string{"--release", "never", open, path}, 2, []string{"never", "completion"}},
		{"binding", []string{"--binding", "dpdk", open, path}, 2, []string{"dpdk", "native"}},
		{"source is no address", []string{"-B", "here", open, path}, 2, []string{"here", "address of this host"}},
		{"source is not ours", []string{"-B", "10.77.0.77", open, path}, 2, []string{"10.77.0.77"}},
		{"no such interface", []string{"-I", "nope0", open, path}, 2, []string{"nope0", "no such interface", "veth-a"}},
		{"loopback", []string{"-I", "lo", open, path}, 2, []string{"lo"}},
		{"this host", []string{"10.77.0.1:9000", path}, 2, []string{"10.77.0.1", "this host"}},
		{"no route", []string{"192.0.2.1:9000", path}, 2, []string{"192.0.2.1", "no route"}},
		{"no neighbour", []string{"10.77.0.99:9000", path}, 2, []string{"10.77.0.99", "no neighbour"}},
		{"refused", []string{closed, path}, 1, []string{closed, "refused", "start the receiver"}},
		{"all refused", []string{"-P", "3", closed, path}, 1, []string{"stream 1 and 2 more", "refused"}},
		{"refused in a wrong mode", []string{"--release", "submit", closed, path}, 1, []string{"WRONG ON PURPOSE", "refused"}},
		{"too few frames", []string{"--frames", "100", open, path}, 2, []string{"100 frames", "needed"}},
		{"chunk", []string{"--chunk", "1000", open, path}, 2, []string{"1000", "2048", "4096"}},
		{"queues", []string{"--queues", "9", open, path}, 2, []string{"9 queues", "veth-a"}},
		{"zero-copy on veth", []string{"--mode", "zerocopy", open, path}, 2, []string{"veth-a", "zero-copy"}},
		{"--set without a value", []string{"--set", "tx-scatter-gather", open, path}, 2, []string{"--set", `"tx-scatter-gather"`, "tx-scatter-gather=on"}},
		{"--set neither on nor off", []string{"--set", "rx-gro=1", open, path}, 2, []string{"--set", "rx-gro=1", "on or off"}},
		{"--set both", []string{"--set", "rx-gro=on", "--set", "rx-gro=off", open, path}, 2, []string{"--set", "rx-gro", "choose one"}},
		{"--set by ethtool's name", []string{"--set", "tso=on", open, path}, 2, []string{"veth-a: set tso=on", "no such feature", "tx-tcp-segmentation"}},
		{"--set of a fixed one", []string{"--set", "rx-lro=on", open, path}, 2, []string{"veth-a: set rx-lro=on", "[fixed]", "leave it out"}},
		{"--set without what it needs", []string{"--set", "tx-tcp-segmentation=on", open, path}, 2, []string{"veth-a: set tx-tcp-segmentation=on", "depends on another feature", "--set"}},
		{"--set-ring on veth", []string{"--set-ring", "rx=512", open, path}, 2, []string{"veth-a: set ring.rx=512", "operation not supported", "leave --set-ring out"}},
		{"--set-ring nonsense", []string{"--set-ring", "512", open, path}, 2, []string{"--set-ring", `"512"`, "rx=512,tx=512"}},
		{"--set-ring 0", []string{"--set-ring", "rx=0", open, path}, 2, []string{"--set-ring", "rx=0", "from 1 to"}},
		{"--set-ring of what", []string{"--set-ring", "up=5", open, path}, 2, []string{"--set-ring", `"up"`, "rx-jumbo"}},
		{"--set-channels 0", []string{"--set-channels", "0", open, path}, 2, []string{"--set-channels", `"0"`, "from 1 to"}},
		{"--set-channels too many", []string{"--set-channels", "64", open, path}, 2, []string{"veth-a: set channels.rx=64", "at most 1", "choose"}},
		{"--set-channels of what", []string{"--set-channels", "up=5", open, path}, 2, []string{"--set-channels", `"up"`, "combined"}},
		{"--set-coalesce on veth", []string{"--set-coalesce", "rx-usecs=8", open, path}, 2, []string{"veth-a: set coalesce.rx-usecs=8", "operation not supported", "leave --set-coalesce out"}},
		{"--set-coalesce nonsense", []string{"--set-coalesce", "rx-usecs=fast", open, path}, 2, []string{"--set-coalesce", "rx-usecs=fast", "number from 0"}},
		{"--set-coalesce of what", []string{"--set-coalesce", "up=5", open, path}, 2, []string{"--set-coalesce", `"up"`, "rx-usecs"}},
		{"--set-coalesce adaptive", []string{"--set-coalesce", "adaptive-rx=1", open, path}, 2, []string{"--set-coalesce", "adaptive-rx=1", "on or off"}},
		{"--set-pause on veth", []string{"--set-pause", "rx=off", open, path}, 2, []string{"veth-a: set pause.rx=off", "operation not supported", "leave --set-pause out"}},
		{"--set-pause nonsense", []string{"--set-pause", "rx=2", open, path}, 2, []string{"--set-pause", "rx=2", "on or off"}},
		{"--set-pause twice", []string{"--set-pause", "rx=on,rx=off", open, path}, 2, []string{"--set-pause", "pause.rx", "choose one"}},
		{"--mtu too small", []string{"--mtu", "67", open, path}, 2, []string{"--mtu", `"67"`, "from 68 to 65535"}},
		{"--mtu nonsense", []string{"--mtu", "big", open, path}, 2, []string{"--mtu", `"big"`, "from 68 to 65535"}},
		{"--mtu too large for a frame", []string{"--mtu", "9000", "--sg", "off", open, path}, 2, []string{"veth-a", "9000", "--sg off"}},
		{"--mtu too large for the NIC", []string{"--mtu", "65536", open, path}, 2, []string{"--mtu", `"65536"`, "from 68 to 65535"}},
		{"capture file", []string{"--pcap", dir + "/none/x", open, path}, 2, []string{dir + "/none/x"}},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			at := &rig{t, r.Lab}
			p := at.start(lab.Sender, nil, append([]string{"send"}, row.args...)...)
			p.want(row.code, row.texts...)
			if out := p.out.String(); row.code == 2 && out != "" {
				t.Errorf("printed %q on standard output", out)
			}
			at.clean()
			empty(t, state)
		})
	}
}

func TestBadInputOfTheOtherCommands(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{})
	for _, row := range []bad{
		{"sink: address", []string{"sink", "--listen", "192.0.2.9:1"}, 2, []string{"192.0.2.9:1", "no interface here"}},
		{"sink: count alone", []string{"sink", "--count", "3"}, 2, []string{"--once"}},
		{"sink: count 0", []string{"sink", "--once", "--count", "0"}, 2, []string{"at least 1"}},
		{"sink: output", []string{"sink", "--out", "/nonexistent/x"}, 2, []string{"/nonexistent/x", "no such file"}},
		{"sink: argument", []string{"sink", "x"}, 2, []string{"x"}},
		{"lab: up twice", []string{"lab", "up", "--name", r.Name()}, 2, []string{"exists already", "lab down --name " + r.Name()}},
		{"lab: name", []string{"lab", "up", "--name", "a/b"}, 2, []string{"a/b"}},
		{"lab: MTU", []string{"lab", "up", "--name", "x", "--mtu", "7"}, 2, []string{"MTU 7"}},
		{"lab: rate", []string{"lab", "up", "--name", "x", "--rate", "300M"}, 2, []string{"--rate 300M", "choose up to 200M"}},
		{"lab: mark", []string{"lab", "up", "--name", "x", "--mark", "0"}, 2, []string{"--mark 0", "1 packet or more"}},
		{"lab: queue", []string{"lab", "up", "--name", "x", "--queue", "0"}, 2, []string{"--queue 0", "1 packet or more"}},
		{"lab: jitter", []string{"lab", "up", "--name", "x", "--jitter", "5", "--delay", "1"}, 2, []string{"jitter of 5ms", "up to the delay, which is 1ms"}},
		{"lab: delay", []string{"lab", "up", "--name", "x", "--delay", "2s"}, 2, []string{"delay of 2s", "choose 0 to 1s"}},
		{"lab: loss on a wire", []string{"lab", "up", "--name", "x", "--delay", "1", "--loss", "101"}, 2, []string{"loss of 101 percent"}},
		{"lab: corrupt", []string{"lab", "up", "--name", "x", "--corrupt", "-1"}, 2, []string{"corrupt of -1 percent"}},
		{"lab: VLAN", []string{"lab", "up", "--name", "x", "--vlan", "4095"}, 2, []string{"VLAN 4095", "1 to 4094"}},
		{"lab: down without", []string{"lab", "down", "--name", "none" + r.Name()}, 0, nil},
		{"lab: status without", []string{"lab", "status", "--name", "none" + r.Name()}, 1, nil},
		{"lab: exec without", []string{"lab", "exec", "--name", "none" + r.Name(), "a", "--", "true"}, 2, []string{"no such lab"}},
		{"lab: exec nothing", []string{"lab", "exec", "--name", r.Name(), "a"}, 2, []string{"at least 2"}},
		{"lab: exit code", []string{"lab", "exec", "--name", r.Name(), "a", "--", "sh", "-c", "exit 7"}, 7, nil},
		{"lab: flags of the command", []string{"lab", "exec", "--name", r.Name(), "b", "ls", "-d", "/sys/class/net/veth-b"}, 0, nil},
		{"demo: file", []string{"demo", "--file", "/nonexistent"}, 2, []string{"/nonexistent", "no such file"}},
		{"demo: directory", []string{"demo", "--file", "/"}, 2, []string{"regular file"}},
		{"demo: MTU", []string{"demo", "--mtu", "9", "--file", "/etc/hostname"}, 2, []string{"MTU 9"}},
		{"restore: interface and --all", []string{"restore", "veth-a", "--all"}, 2, []string{"veth-a", "--all", "choose one"}},
		{"restore: no such interface", []string{"restore", "nope0"}, 2, []string{"nope0", "no such interface", "veth-a"}},
		{"restore: two interfaces", []string{"restore", "lo", "veth-a"}, 2, []string{"at most 1"}},
		{"guard by hand", []string{"guard", "/nonexistent", "/nonexistent"}, 1, []string{"guardian", "xsend starts it by itself"}},
		{"bench wire: rate", []string{"bench", "wire", "--rate", "300M"}, 2, []string{"300000000", "choose 1M to 200M"}},
		{"bench wire: turns", []string{"bench", "wire", "--turns", "0"}, 2, []string{"--turns 0"}},
		{"bench fair: rate", []string{"bench", "fair", "--rate", "300M"}, 2, []string{"300000000", "choose 1M to 200M"}},
		{"no such command", []string{"sned"}, 2, []string{"sned", "--help"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			(&rig{t, r.Lab}).start(lab.Sender, nil, row.args...).want(row.code, row.texts...)
		})
	}
}

func TestWithoutPrivileges(t *testing.T) {
	if _, err := exec.LookPath("setpriv"); err != nil {
		t.Skipf("needs setpriv: %v", err)
	}
	r := newRig(t, lab.Config{})
	path, _ := file(t, 1)
	p := r.startWith(lab.Sender, nil, []string{"setpriv", "--bounding-set=-all", "--inh-caps=-all"}, "send", "10.77.0.2:9000", path)
	p.want(2, "CAP_NET_ADMIN", "CAP_NET_RAW", "CAP_BPF", "setcap")
}

func TestPortInUse(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 1)
	_, to := r.sink()
	held := r.start(lab.Sender, nil, "sink", "--listen", "10.77.0.1:7777")
	held.says("listening on ")
	r.start(lab.Sender, nil, "send", "--cport", "7777", to, path).want(2, "7777", "in use")
	r.clean()
}

func TestMTUAboveTheChunk(t *testing.T) {
	r := newRig(t, lab.Config{MTU: 9000})
	path, _ := file(t, 1)
	_, to := r.sink()
	r.start(lab.Sender, nil, "send", "--sg", "off", to, path).want(2, "veth-a", "9000", "--sg off")
	r.start(lab.Sender, nil, "send", "--binding", "asavie", to, path).want(2, "veth-a", "9000", "mtu")
	r.start(lab.Sender, nil, "send", "--binding", "asavie", "--sg", "on", to, path).want(2, "--sg on", "--binding native")
	r.clean()
}

func TestInterfaceDown(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 1)
	if err := r.SetLink(lab.Sender, false); err != nil {
		t.Fatal(err)
	}
	r.start(lab.Sender, nil, "send", "-I", "veth-a", "10.77.0.2:9000", path).want(2, "veth-a", "down", "ip link set")
}

// TestInterfaceInUse: a program that is attached already is never evicted, and its transfer goes on.
func TestInterfaceInUse(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, sum := file(t, 6_000_000)
	s, to := r.sink("--once")
	first := r.start(lab.Sender, nil, "send", "-b", "60M", "--json", "-i", "0.1", to, path)
	first.saysInJSONMode(r)
	r.start(lab.Sender, nil, "send", to, path).want(2, "veth-a", "XDP program", "xsend")
	first.want(0)
	received(t, s, 1, 6_000_000, sum)
	r.clean()
}

// saysInJSONMode waits until the sender's program is attached: with --json it says nothing.
func (p *proc) saysInJSONMode(r *rig) {
	p.t.Helper()
	for {
		s, err := lab.ReadStatus(r.Name())
		if err != nil {
			p.t.Fatal(err)
		}
		if s.Sender.XDPProgram != 0 {
			return
		}
		select {
		case <-p.done:
			p.t.Fatalf("%q ended: %s", p.args, p.err.String())
		default:
		}
	}
}

func TestHelpAndCompletion(t *testing.T) {
	for _, args := range [][]string{
		{"--help"}, {"send", "--help"}, {"sink", "--help"}, {"demo", "--help"}, {"race", "--help"}, {"lab", "--help"}, {"lab", "exec", "--help"},
		{"bench", "--help"}, {"restore", "--help"}, {"matrix", "--help"}, {"probe", "--help"}, {"version", "--help"}, {"completion", "bash"}, {"completion", "zsh"}, {"version"},
	} {
		out, code := runHere(t, args...)
		if code != 0 || len(out) < 20 {
			t.Errorf("%q: exit code %d, %d bytes", args, code, len(out))
		}
	}
	if out, _ := runHere(t, "send", "--help"); !strings.Contains(out, "Examples:") || !strings.Contains(out, "tar c dir | xsend send") {
		t.Error("the help for send has no examples")
	}
	if out, _ := runHere(t, "__complete", "send", "--release", ""); !strings.Contains(out, "completion") {
		t.Errorf("completion of --release offers %q", out)
	}
}
