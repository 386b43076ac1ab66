package main

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/grid"
)

// TestBenchWire runs the smallest grid, goes on with it, and refuses to go on with other settings.
func TestBenchWire(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and AF_XDP sockets")
	}
	state := filepath.Join(t.TempDir(), "state")
	args := func(more ...string) []string {
		return append([]string{"bench", "wire", "--congestion", "reno,vegas", "--loss", "0.5", "--rtt", "2ms", "--turns", "2",
			"--time", "400ms", "--rate", "20M", "--realtime=false", "--state", state}, more...)
	}
	out, code := runHere(t, args("--json")...)
	var r grid.Result
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if len(r.Cells) != 1 || len(r.Skipped) != 1 || r.Skipped[0].Congestion != "vegas" {
		t.Fatalf("%+v", r)
	}
	c := r.Cells[0]
	if c.N != 2 || c.Congestion != [2]string{"reno", "reno"} || c.Xsend < 1e6 || c.Xsend > 20e6 || c.Linux < 1e6 || c.Linux > 20e6 {
		t.Errorf("%+v", c)
	}
	again, code := runHere(t, args("--json")...)
	if again != out || code != 0 {
		t.Errorf("gone on with: exit code %d, %s, want what it had: %s", code, again, out)
	}
	if text, _ := runHere(t, args()...); !strings.Contains(text, "SKIPPED: xsend has no congestion control vegas") || !strings.Contains(text, "COARSE") {
		t.Errorf("printed %q", text)
	}
	if _, code := runHere(t, args("--queue", "50")...); code != 2 {
		t.Errorf("other settings: exit code %d", code)
	}
}

// TestBenchKernelReadsBack: the contender says which congestion control it had.
func TestBenchKernelReadsBack(t *testing.T) {
	ln, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	go func() {
		conn, err := ln.Accept()
		if err != nil {
			return
		}
		conn.Read(make([]byte, 1000))
		conn.(*net.TCPConn).SetLinger(0) // a reset
		conn.Close()
	}()
	out, code := runHere(t, "bench", "kernel", ln.Addr().String(), "reno")
	var r grid.KernelReport
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 || r.Congestion != "reno" || r.Bytes == 0 {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if _, code := runHere(t, "bench", "kernel", ln.Addr().String(), "none such"); code != 1 {
		t.Errorf("no such congestion control: exit code %d", code)
	}
}

// TestBenchFair runs the shortest races. What they say about fairness is nothing.
func TestBenchFair(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces and AF_XDP sockets")
	}
	out, code := runHere(t, "bench", "fair", "--congestion", "reno", "--rate", "20M", "--rtt", "2ms", "--time", "300ms", "--rounds", "1", "--realtime=false", "--json")
	var r grid.FairResult
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("exit code %d, %v: %s", code, err, out)
	}
	if len(r.Races) != 2 || r.Mixed <= 0 || r.Mixed >= 1 || r.Own <= 0 || r.Own > 0.5 || r.Races[0].Rates[0] > 20e6 {
		t.Errorf("%+v", r)
	}
	if _, code := runHere(t, "bench", "fair", "--congestion", "vegas"); code != 2 {
		t.Errorf("no such congestion control: exit code %d", code)
	}
}
