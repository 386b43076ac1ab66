package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/lifecycle"
	"github.com/xsend/xsend/internal/netem"
)

func checked(t *testing.T, args ...string) (lifecycle.Result, int) {
	t.Helper()
	out, code := runHere(t, append([]string{"trace", "check", "--json"}, args...)...)
	var r lifecycle.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	return r, code
}

// TestTrace sends over a wire that loses, duplicates and reorders, with a trace and a capture at the peer, in both layouts: every
// release is legal, and the tools show and export what there is.
func TestTrace(t *testing.T) {
	trouble := netem.Impairment{Loss: 1, Duplicate: 2, Reorder: 1, Delay: time.Millisecond}
	r := newRig(t, lab.Config{Wire: &netem.Config{Forward: trouble, Reverse: netem.Impairment{Delay: time.Millisecond}}})
	path, sum := file(t, 4_000_000)
	for _, sg := range []string{"off", "on"} {
		dir := t.TempDir()
		s, to := r.sink("--once")
		capture, stop := captureAtPeer(t, r, filepath.Join(dir, "peer.pcap"))
		traced := filepath.Join(dir, "x.trace")
		p := r.start(lab.Sender, nil, "send", "--json", "--sg", sg, "--trace", traced, to, path)
		p.want(0)
		received(t, s, 1, 4_000_000, sum)
		rep := p.report()
		res, code := checked(t, traced)
		if code != 0 || float64(res.Events) != rep.number(t, "trace.events") || rep.number(t, "trace.lost") != 0 ||
			float64(res.Submitted) != rep.number(t, "descriptors.submitted") || res.Releases != res.Commits || res.Releases == 0 {
			t.Errorf("exit code %d, %+v", code, res)
		}
		showsAndExports(t, traced, dir)
		if capture == "" {
			t.Log("tcpdump is missing: nothing to compare with")
			continue
		}
		for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) { // tcpdump writes what it saw in its own time
			if res, code = checked(t, "--pcap", capture, traced); code != 2 || time.Now().After(deadline) {
				break
			}
		}
		stop()
		if code != 0 || res.ACKs != res.Releases || res.Compared == 0 {
			t.Errorf("with the peer's capture: exit code %d, %+v", code, res)
		}
	}
}

// captureAtPeer runs tcpdump beside the receiver until stop; "" where there is none.
func captureAtPeer(t *testing.T, r *rig, path string) (file string, stop func()) {
	t.Helper()
	dump, err := exec.LookPath("tcpdump")
	if err != nil {
		return "", func() {}
	}
	var said locked
	cmd := exec.Command(dump, "-i", r.Receiver().Interface, "-U", "-s", "0", "--immediate-mode", "-B", "65536", "-w", path, "-Z", "root", "tcp")
	cmd.Stderr = &said
	if err := r.Start(lab.Receiver, cmd); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); !strings.Contains(said.String(), "listening on"); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("tcpdump says %q", said.String())
		}
	}
	return path, func() {
		cmd.Process.Signal(os.Interrupt)
		cmd.Wait()
	}
}

func showsAndExports(t *testing.T, traced, dir string) {
	t.Helper()
	if out, code := runHere(t, "trace", "show", traced); code != 0 || !strings.Contains(out, "4000000 ACKed") {
		t.Errorf("show: exit code %d\n%s", code, out)
	}
	out, code := runHere(t, "trace", "show", "--conn", "1", "--json", traced)
	if code != 0 || !strings.Contains(out, "sent before") || !strings.Contains(out, `"kind":"release"`) {
		t.Errorf("show --conn 1: exit code %d\n%.500s", code, out)
	}
	if out, code := runHere(t, "trace", "show", "--frame", "99999999", traced); code != 2 || strings.Contains(out, " lend ") {
		t.Errorf("a frame that isn't there: exit code %d\n%s", code, out)
	}
	export := filepath.Join(dir, "x.pcapng")
	if _, code := runHere(t, "trace", "pcapng", traced, export); code != 0 {
		t.Errorf("export: exit code %d", code)
	}
	if b, err := os.ReadFile(export); err != nil || !bytes.Contains(b, []byte("sent before, [")) {
		t.Errorf("export: %v", err)
	}
	if _, code := runHere(t, "trace", "pcapng", traced, traced); code != 2 {
		t.Errorf("export over the trace: exit code %d", code)
	}
}

// TestTraceFindsWrongReleases: with a --release that is wrong on purpose the check says so. (With acked there is nothing to find
// here: veth completes before the ACK comes. The simulator has it.)
func TestTraceFindsWrongReleases(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 2_000_000)
	for mode, why := range map[string]string{"completion": "but the peer has ACKed", "submit": "the kernel has not completed"} {
		s, to := r.sink("--once")
		traced := filepath.Join(t.TempDir(), "x.trace")
		r.start(lab.Sender, nil, "send", "--release", mode, "--trace", traced, to, path).want(3)
		s.wait()
		out, code := runHere(t, "trace", "check", traced)
		if code != 1 || !strings.Contains(out, why) {
			t.Errorf("%s: exit code %d\n%s", mode, code, out)
		}
	}
}

// TestTraceFilesThatAreNone: what can't be used is exit code 2, and says what it is.
func TestTraceFilesThatAreNone(t *testing.T) {
	path, _ := file(t, 1000)
	for _, args := range [][]string{
		{"check", path}, {"show", path}, {"pcapng", path, filepath.Join(t.TempDir(), "x")}, {"check", "/nonexistent"}, {"check"},
		{"show", "--frame", "1", "--conn", "2", path}, {"show", "--conn", "0", path}, {"check", "--pcap", path, path},
	} {
		if out, code := runHere(t, append([]string{"trace"}, args...)...); code != 2 {
			t.Errorf("%v: exit code %d\n%s", args, code, out)
		}
	}
}
