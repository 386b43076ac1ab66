package main

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/netem"
)

// TestLabUpWithAWire: what the flags ask for is what the status shows and what packets meet, and nothing of it
// outlives the lab.
func TestLabUpWithAWire(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and AF_XDP sockets")
	}
	name := fmt.Sprintf("e2e%d-wire", os.Getpid())
	t.Cleanup(func() { lab.Down(name) })
	_, code := runHere(t, "lab", "up", "--name", name, "--delay", "2", "--jitter", "500us", "--loss", "1", "--loss-seed", "7",
		"--reorder", "1", "--duplicate", "2", "--corrupt", "0.5", "--rate", "50M", "--queue", "100", "--mark", "40")
	if code != 0 {
		t.Fatalf("lab up: exit code %d", code)
	}
	l, err := lab.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{t, l}
	path, sum := file(t, 4_000_000)
	s, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", to, path)
	p.want(0)
	received(t, s, 1, 4_000_000, sum)
	sound(t, p.report(), 4_000_000)

	var st lab.Status
	out, code := runHere(t, "lab", "status", "--name", name, "--json")
	if err := json.Unmarshal([]byte(out), &st); err != nil || code != 0 || st.Wire == nil || st.Wire.Unintended() != 0 {
		t.Fatalf("status: exit code %d, %v, %s", code, err, out)
	}
	f := st.Wire.Status.Forward
	for what, n := range map[string]uint64{"lost": f.Lost, "reordered": f.Reordered, "duplicated": f.Duplicated, "corrupted": f.Corrupted} {
		if n == 0 {
			t.Errorf("nothing was %s: %+v", what, f)
		}
	}
	want := netem.Impairment{Loss: 1, Reorder: 1, Duplicate: 2, Corrupt: 0.5, Delay: 2e6, Jitter: 5e5, Rate: 50e6, Queue: 100, Mark: 40}
	if c := st.Wire.Status.Config; c.Forward != want || c.Seed != 7 || c.Reverse.Delay != 2e6 || c.Reverse.Loss != 0 {
		t.Errorf("configured as %+v, want %+v", c, want)
	}
	if out, _ := runHere(t, "lab", "status", "--name", name); !strings.Contains(out, "wire of 50.0 Mbit/s, delay 2ms") {
		t.Errorf("status says %q", out)
	}
	if _, code := runHere(t, "lab", "down", "--name", name); code != 0 {
		t.Errorf("lab down: exit code %d", code)
	}
	if s, err := lab.ReadStatus(name); err != nil || s.Exists {
		t.Errorf("after lab down: %+v, %v", s, err)
	}
}
