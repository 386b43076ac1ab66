package main

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/gopacket"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"

	"github.com/xsend/xsend/internal/lab"
)

func TestDemo(t *testing.T) {
	r := newRig(t, lab.Config{}) // for its namespaces: the demo makes a lab of its own
	path, sum := file(t, 5_000_000)
	p := r.start(lab.Sender, nil, "demo", "--json", "--file", path, "--mtu", "1400")
	p.want(0, "kernel TCP receiver", "removed what was made", "the race of sendfile()")
	rep := p.report()
	if rep.at("race.verdict.shown") != true || rep.at("race.blocks.0.rows.3.sender") != "ack" {
		t.Errorf("%v", rep.at("race"))
	}
	if rep.at("sha256") != sum || rep.at("sha256_received") != sum || rep.at("send.sha256") != sum || rep.number(t, "kernel_out_segs") != 0 ||
		rep.number(t, "packets") < 3000 || rep.number(t, "mtu") != 1400 {
		t.Errorf("%v", rep)
	}
	text := r.start(lab.Sender, nil, "demo", "--race=false", "--file", path)
	text.want(0)
	for _, want := range []string{sum + ", that of the file", "the kernel's own TCP sent 0 segments"} {
		if !strings.Contains(text.out.String(), want) {
			t.Errorf("no %q in\n%s", want, text.out.String())
		}
	}
	leftNothing(t, p, text)
}

// TestDemoSettings: what is asked of the demonstration is asked of the sender, obeyed or refused, and in its report.
func TestDemoSettings(t *testing.T) {
	stateDir(t)
	r := newRig(t, lab.Config{})
	path, sum := file(t, 1_000_000)
	run := func(args ...string) *proc {
		return r.start(lab.Sender, nil, append([]string{"demo", "--json", "--race=false", "--file", path}, args...)...)
	}
	p := run("--mtu", "9000", "--checksum", "hw", "--rx-checksum", "verify", "--sg", "on", "--mode", "copy", "--attach", "generic")
	p.want(0)
	rep := p.report()
	for at, want := range map[string]any{
		"sha256_received": sum, "send.mode": "copy", "send.attach": "generic", "send.checksum": "hw", "send.sg": "on", "mtu": 9000.0,
		"send.offload.1.requested": "generic", "send.offload.3.requested": "verify",
	} {
		if got := rep.at(at); got != want {
			t.Errorf("%s is %v, want %v", at, got, want)
		}
	}
	kernel := []string{"--checksum", "kernel", "--sg", "on"}
	run(kernel...).want(2, "the kernel sums the first only", "removed what was made")
	fallen := run(append(kernel, "--allow-fallback")...)
	fallen.want(0)
	if rep := fallen.report(); rep.at("send.checksum") != "sw" || rep.at("sha256_received") != sum {
		t.Errorf("%v", rep.at("send.offload"))
	}
	zero := run("--mode", "zerocopy")
	zero.want(2, "zero-copy", "removed what was made")
	run("--sg", "maybe").want(2, "auto, off, on")
	tuned := run("--budget", "64", "--wakeup", "off", "--busy-poll", "20", "--queues", "1", "--set", "rx-gro=on", "--set-channels", "1", "--steer")
	tuned.want(0)
	rep = tuned.report()
	for at, want := range map[string]any{
		"sha256_received": sum, "send.start.parameters.budget": "64", "send.offload.5.active": "off", "send.offload.6.active": "64", "send.offload.7.active": "20µs",
		"send.offload.9.requested": "1", "send.offload.11.active": "all", "send.settings.0.name": "rx-gro", "send.settings.0.active": "on", "send.restored.exact": true,
	} {
		if got := rep.at(at); got != want {
			t.Errorf("%s is %v, want %v", at, got, want)
		}
	}
	run("--budget", "many").want(2, "--budget")
	run("--set", "no-such-feature=on").want(2, "no such feature", "removed what was made")
	run("--set", "rx-gro=perhaps").want(2, "choose on or off")
	leftNothing(t, p, fallen, zero)
}

// leftNothing fails the test if a demo's namespaces are still there.
func leftNothing(t *testing.T, demos ...*proc) {
	t.Helper()
	for _, p := range demos {
		for _, word := range strings.Fields(p.err.String()) {
			if word = strings.Trim(word, ","); strings.HasPrefix(word, "xsend-demo-") {
				if _, err := os.Stat(filepath.Join("/run/netns", word)); err == nil {
					t.Errorf("namespace %s is still there", word)
				}
			}
		}
	}
}

func TestDemoInterrupted(t *testing.T) {
	t.Parallel()
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM} {
		r := newRig(t, lab.Config{})
		tmp := t.TempDir()
		p := r.startWith(lab.Sender, nil, []string{"env", "TMPDIR=" + tmp}, "demo")
		p.says("listens on")
		p.signal(s)
		if p.want(128 + int(s)); !strings.Contains(p.err.String(), "removed what was made") {
			t.Errorf("said %q", p.err.String())
		}
		leftNothing(t, p)
		if left, _ := os.ReadDir(tmp); len(left) > 0 {
			t.Errorf("%s is still there", left[0].Name())
		}
	}
}

// TestPcap reads the capture with an independent decoder.
func TestPcap(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 300_000)
	capture := filepath.Join(t.TempDir(), "x.pcapng")
	_, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "--pcap", capture, "--dscp", "af21", "-M", "1000", "--cport", "4321", to, path)
	p.want(0)
	f, err := os.Open(capture)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	ng, err := pcapgo.NewNgReader(f, pcapgo.DefaultNgReaderOptions)
	if err != nil {
		t.Fatal(err)
	}
	var packets, payload, syn, fin int
	for {
		b, ci, err := ng.ReadPacketData()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		packets++
		ip, tcp := decode(t, b)
		if sent := ci.InterfaceIndex == 0; sent != (tcp.SrcPort == 4321) {
			t.Errorf("a packet from port %d has direction %d", tcp.SrcPort, ci.InterfaceIndex)
		} else if !sent {
			continue
		}
		if ip.TOS != 18<<2 || len(tcp.Payload) > 1000 {
			t.Errorf("TOS %#x, %d bytes of payload", ip.TOS, len(tcp.Payload))
		}
		payload += len(tcp.Payload)
		syn, fin = syn+btoi(tcp.SYN), fin+btoi(tcp.FIN)
	}
	if payload != 300_000 || syn != 1 || fin != 1 || float64(packets) != p.report().number(t, "pcap.packets") || p.report().number(t, "pcap.lost") != 0 {
		t.Errorf("%d packets, %d bytes, %d SYN, %d FIN; report %v", packets, payload, syn, fin, p.report().at("pcap"))
	}
}

func decode(t *testing.T, b []byte) (*layers.IPv4, *layers.TCP) {
	t.Helper()
	p := gopacket.NewPacket(b, layers.LayerTypeEthernet, gopacket.Default)
	ip, _ := p.Layer(layers.LayerTypeIPv4).(*layers.IPv4)
	tcp, _ := p.Layer(layers.LayerTypeTCP).(*layers.TCP)
	if ip == nil || tcp == nil || p.ErrorLayer() != nil {
		t.Fatalf("not TCP: %v", p)
	}
	return ip, tcp
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestNothingIsLeftOfACapture when the run didn't start.
func TestNothingIsLeftOfACapture(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 1)
	capture := filepath.Join(t.TempDir(), "x.pcapng")
	r.start(lab.Sender, nil, "send", "--frames", "3", "--pcap", capture, "10.77.0.2:9", path).want(2)
	if _, err := os.Stat(capture); err == nil {
		t.Error("an empty capture is left")
	}
}

func TestBench(t *testing.T) {
	if testing.Short() {
		t.Skip("short: takes 5 s")
	}
	r := newRig(t, lab.Config{})
	p := r.start(lab.Sender, nil, "bench", "--json", "--rounds", "1", "-n", "20M")
	p.want(0, "sendfile", "cubic", "raw")
	for _, name := range []string{"xsend", "sendfile", "raw"} {
		if p.report().number(t, "median_bits_per_second."+name) < 1e6 {
			t.Errorf("%s: %v", name, p.report().at("median_bits_per_second."+name))
		}
	}
}

func TestSinkText(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, sum := file(t, 12_345)
	out := filepath.Join(t.TempDir(), "received")
	s := r.start(lab.Receiver, nil, "sink", "--listen", "10.77.0.2:5001", "--once", "--out", out)
	s.says("listening on 10.77.0.2:5001")
	r.start(lab.Sender, nil, "send", "10.77.0.2:5001", path).want(0)
	s.want(0)
	if !strings.Contains(s.out.String(), "12345 bytes") || !strings.Contains(s.out.String(), sum) {
		t.Errorf("said %q", s.out.String())
	}
	want, _ := os.ReadFile(path)
	if got, err := os.ReadFile(out); err != nil || string(got) != string(want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
