package main

import (
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/wire"
)

// offload is what the report says of a setting.
func (r report) offload(t *testing.T, name string) report {
	t.Helper()
	all, _ := r.at("offload").([]any)
	for _, k := range all {
		if k := report(k.(map[string]any)); k.at("name") == name {
			return k
		}
	}
	t.Errorf("no offload %q in %v", name, all)
	return report{}
}

// checksumRun is a transfer with --checksum, and what must come of it.
type checksumRun struct {
	args          []string
	active, where string
	proved        bool
	evidence      string
	says          string // on standard error
}

// check sends a file, which must arrive, and looks at what is said of checksums. It returns the report.
func (c checksumRun) check(t *testing.T, r *rig, host string) report {
	t.Helper()
	const size = 1_000_000
	path, sum := file(t, size)
	s, to := r.sink("--once")
	_, port, _ := net.SplitHostPort(to)
	args := append([]string{"send", "--json"}, c.args...)
	p := r.start(lab.Sender, nil, append(args, net.JoinHostPort(host, port), path)...)
	p.want(0, c.says)
	received(t, s, 1, size, sum)
	rep := p.report()
	sound(t, rep, size)
	k := rep.offload(t, "checksum")
	evidence, _ := k.at("evidence").(string)
	if k.at("active") != c.active || k.at("where") != c.where || k.at("proved") != c.proved || !strings.Contains(evidence, c.evidence) {
		t.Errorf("%v: %v", c.args, k)
	}
	if rep.at("checksum") != c.active || rep.at("checksum_where") != c.where {
		t.Errorf("%v: checksum %v by %v", c.args, rep.at("checksum"), rep.at("checksum_where"))
	}
	return rep
}

// checksumOff: with tx-checksum off at the sender somebody has to compute, and whoever does is proved.
var checksumOff = []checksumRun{
	{args: nil, active: "sw", where: "engine", proved: true, evidence: "summed"},
	{args: []string{"--checksum", "hw"}, active: "hw", where: "kernel", proved: true, evidence: "canary proved"},
	{args: []string{"--checksum", "hw", "--rewrite", "--keepalive", "0.01"}, active: "hw", where: "kernel", proved: true, evidence: "canary proved"},
	{args: []string{"--checksum", "kernel"}, active: "kernel", where: "kernel", proved: true, evidence: "canary proved"},
	{args: []string{"--checksum", "auto"}, active: "sw", where: "engine", proved: true, evidence: "tx-checksumming is off", says: "checksum auto: the engine computes them: tx-checksumming is off"},
	{args: []string{"--checksum", "hw", "--binding", "asavie", "--allow-fallback"}, active: "sw", where: "engine", proved: true, evidence: "fell back: github.com/asavie/xdp", says: "the engine computes them"},
	{args: []string{"--checksum", "kernel", "--mode", "copy", "--attach", "generic"}, active: "kernel", where: "kernel", proved: true, evidence: "canary proved"},
}

// checksumOn: with it on, nobody computes and nobody looks.
var checksumOn = []checksumRun{
	{args: []string{"--checksum", "hw"}, active: "hw", where: "nic-or-kernel", evidence: "unproved: the link does not check", says: "is unproved: the link does not check"},
	{args: []string{"--checksum", "auto"}, active: "sw", where: "engine", proved: true, evidence: "the link does not check, so that every segment is summed", says: "the engine computes them"},
	{args: []string{"--checksum", "kernel"}, active: "kernel", where: "kernel", proved: true, evidence: "canary proved"},
}

// TestChecksum sends with every setting, over IPv4 and IPv6, and leaves the interface's own as it is.
func TestChecksum(t *testing.T) {
	for on, runs := range map[bool][]checksumRun{false: checksumOff, true: checksumOn} {
		r := newRig(t, lab.Config{TxChecksum: on})
		for _, host := range []string{r.Receiver().IPv4.Addr().String(), r.Receiver().IPv6.Addr().String()} {
			for _, c := range runs {
				c.check(t, r, host)
			}
		}
		s, err := lab.ReadStatus(r.Name())
		if err != nil || s.Sender.TxChecksum != on {
			t.Errorf("tx-checksumming was %v and is %v: %v", on, s.Sender.TxChecksum, err)
		}
		r.clean()
	}
}

// TestChecksumUnderLoss: 5 % of the packets are lost, other ones each time. A link that does not check is never proved, one
// that does is never taken for one that does not, nor for one that drops requests; every file arrives.
func TestChecksumUnderLoss(t *testing.T) {
	proved := 0
	for seed := range uint64(6) {
		for _, on := range []bool{false, true} {
			r := newRig(t, lab.Config{TxChecksum: on, Loss: 5, LossSeed: 100 + seed})
			const size = 200_000
			path, sum := file(t, size)
			s, to := r.sink("--once")
			p := r.start(lab.Sender, nil, "send", "--json", "--checksum", "hw", to, path)
			p.want(0)
			received(t, s, 1, size, sum)
			k := p.report().offload(t, "checksum")
			evidence, _ := k.at("evidence").(string)
			unchecked := strings.Contains(evidence, "the link does not check")
			switch {
			case on && (!unchecked || k.at("proved") != false), !on && (unchecked || strings.Contains(evidence, "dropped")):
				t.Errorf("seed %d, tx-checksum %v: %v", seed, on, k)
			case k.at("proved") == true:
				proved++
			}
		}
	}
	t.Logf("%d of 6 proved", proved)
	if proved < 4 {
		t.Errorf("%d of 6 were proved", proved)
	}
}

// TestChecksumRefused: what cannot be had is refused before anything is sent, with the remedy.
func TestChecksumRefused(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 10)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"--checksum", "kernel", "--mode", "zerocopy"}, "use --mode copy, or --checksum sw"},
		{[]string{"--checksum", "hw", "--binding", "asavie"}, "use the native binding, or --checksum sw"},
		{[]string{"--checksum", "gpu"}, "choose one of sw, hw, kernel, auto"},
		{[]string{"--rx-checksum", "maybe"}, "choose one of auto, verify, trust"},
	} {
		r.start(lab.Sender, nil, append(append([]string{"send"}, c.args...), "10.77.0.2:9", path)...).want(2, c.says)
	}
	r.clean()
}

// TestRXChecksum: a kernel peer on a veth leaves its checksums to a NIC that is never reached, unless it is told not to.
func TestRXChecksum(t *testing.T) {
	for _, on := range []bool{false, true} {
		r := newRig(t, lab.Config{TxChecksum: on})
		path, _ := file(t, 100_000)
		for asked, active := range map[string]string{"auto": "trust", "trust": "trust", "verify": "verify"} {
			_, to := r.sink("--once")
			p := r.start(lab.Sender, nil, "send", "--json", "--rx-checksum", asked, "--connect-timeout", "1500ms", to, path)
			wrong := on && active == "verify"
			if wrong {
				p.want(1, "ethtool -K IFACE tx off", "--rx-checksum trust")
			} else {
				p.want(0)
			}
			rep := p.report()
			k := rep.offload(t, "rx-checksum")
			if n := rep.number(t, "rx.checksum"); k.at("requested") != asked || k.at("active") != active || wrong != (n > 0) {
				t.Errorf("%s, peer's tx-checksum %v: %.0f wrong, %v", asked, on, n, k)
			}
		}
	}
}

// kprobeSays is what is said of the kernel's own checksums where it computes none: a kernel without kprobes cannot tell.
func kprobeSays() string {
	if _, err := os.Stat("/sys/bus/event_source/devices/kprobe"); err != nil {
		return "attach a kprobe to skb_checksum_help: this kernel has none"
	}
	return "kprobe on skb_checksum_help: 0 calls for the canary's connection, control 3 of 3 before and 3 of 3 after"
}

// TestOffloadLines: people read it too.
func TestOffloadLines(t *testing.T) {
	r := newRig(t, lab.Config{TxChecksum: true})
	path, _ := file(t, 1000)
	_, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--checksum", "hw", to, path)
	p.want(0)
	if strings.Contains(p.out.String(), "default >") {
		t.Errorf("what nobody asked for is told without -V:\n%s", p.out.String())
	}
	_, to = r.sink("--once")
	all := r.start(lab.Sender, nil, "send", "-V", to, path)
	if all.want(0); !strings.Contains(all.out.String(), "\n            queues: default > 1 (1 of 1 RX queues of veth-a have a socket that is bound)\n") {
		t.Errorf("-V doesn't tell of queues:\n%s", all.out.String())
	}
	for _, text := range []string{
		"checksum hw (nic-or-kernel), sg off, attach", "\noffload     mode: auto > copy (XDP_OPTIONS of the socket)\n",
		"\n            checksum: hw by nic-or-kernel, unproved (queue 0: unproved: the link does not check; copy mode: ",
		kprobeSays(),
		"\n            rx-checksum: auto > trust (veth-a is a veth: ",
	} {
		if !strings.Contains(p.out.String(), text) {
			t.Errorf("%q is not in\n%s", text, p.out.String())
		}
	}
}

// TestCaptureOfOffload: a capture shows checksums as they have to leave: right, but for the canary's poisoned probes: two by
// three, and three more for each that a busy machine made it send again.
func TestCaptureOfOffload(t *testing.T) {
	r := newRig(t, lab.Config{})
	capture := filepath.Join(t.TempDir(), "x.pcapng")
	path, _ := file(t, 100_000)
	_, to := r.sink("--once")
	r.start(lab.Sender, nil, "send", "--checksum", "hw", "--pcap", capture, to, path).want(0)
	f, err := os.Open(capture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ng, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	sent, wrong := 0, 0
	for {
		b, _, err := ng.ReadPacketData()
		if err == io.EOF {
			break
		}
		var seg wire.Segment
		if err != nil || wire.Parse(b, false, &seg) != nil {
			t.Fatal(err)
		}
		if seg.Flow.LocalPort == netip.MustParseAddrPort(to).Port() { // the receiver's end: we sent it
			sent++
			if wire.Parse(b, true, &seg) == wire.ErrChecksum {
				wrong++
				if seg.PayloadLen != 1 {
					t.Errorf("%d bytes of payload with a wrong checksum", seg.PayloadLen)
				}
			}
		}
	}
	if sent < 70 || wrong < 6 || wrong%3 != 0 {
		t.Errorf("%d of %d packets have a wrong checksum", wrong, sent)
	}
}
