package demo

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
)

func TestTCPCounter(t *testing.T) {
	const snmp = "Ip: Forwarding\nIp: 1\nTcp: RtoAlgorithm OutSegs OutRsts\nTcp: 1 42 7\nUdp: x\n"
	for name, want := range map[string]int64{"OutSegs": 42, "OutRsts": 7} {
		if n, err := tcpCounter(snmp, name); n != want || err != nil {
			t.Errorf("%s: %d, %v", name, n, err)
		}
	}
	for _, bad := range []string{"", "Tcp: a\n", "Tcp: a\nTcp: 1\n", "Tcp: OutSegs\nTcp: x\n", "Tcp: OutSegs\nTcp:\n"} {
		if n, err := tcpCounter(bad, "OutSegs"); err == nil {
			t.Errorf("%q: %d", bad, n)
		}
	}
	text, err := os.ReadFile("/proc/net/snmp")
	if err != nil {
		t.Skipf("needs /proc: %v", err)
	}
	if _, err := tcpCounter(string(text), "OutSegs"); err != nil {
		t.Error(err)
	}
}

// FuzzTCPCounter: whatever stands in the file, a counter is the number below its name.
func FuzzTCPCounter(f *testing.F) {
	f.Add("Tcp: RtoAlgorithm OutSegs OutRsts\nTcp: 1 42 7\n", "OutSegs")
	f.Add("Tcp: a a\nTcp: 1", "a")
	f.Add("Tcp:\nTcp:\n", "Tcp:")
	f.Add("Ip: 1\n\nTcp: x\nTcp: -9223372036854775809\n", "x")
	f.Fuzz(func(t *testing.T, snmp, name string) {
		n, err := tcpCounter(snmp, name)
		if err == nil && !(strings.Contains(snmp, name) && strings.Contains(snmp, strings.TrimPrefix(strconv.FormatInt(n, 10), "-"))) {
			t.Errorf("%s: %d, which is not in %q", name, n, snmp)
		}
	})
}

// What is asked of the demonstration is asked of the sender; the rest is left to it.
func TestArguments(t *testing.T) {
	for want, cfg := range map[string]Config{
		"send --hash": {},
		"send --hash --checksum hw --rx-checksum verify --sg on --mode copy --attach generic --allow-fallback": {
			Checksum: "hw", RXChecksum: "verify", SG: "on", Mode: "copy", Attach: "generic", Fallback: true,
		},
	} {
		if got := strings.Join(cfg.arguments(), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestProof(t *testing.T) {
	good := Result{Bytes: 5, ReceivedBytes: 5, SHA256: "aa", Received: "aa", Packets: 7}
	if err := good.prove(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Result){
		"hash":     func(r *Result) { r.Received = "bb" },
		"length":   func(r *Result) { r.ReceivedBytes = 4 },
		"kernel":   func(r *Result) { r.KernelOutSegs = 1 },
		"no frame": func(r *Result) { r.Packets = 0 },
	} {
		r := good
		if spoil(&r); !errors.Is(r.prove(), ErrProof) {
			t.Errorf("%s: accepted", name)
		}
	}
}
