package main

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/xsend/xsend/vm/capture/capturetest"
)

// guest is what a scenario with one run left behind, written by leave.
type guest struct {
	file   []byte
	want   uint16 // the VLAN that the scenario names
	send   map[string]any
	sink   map[string]any
	resend []byte // sent again as bytes 1000 to 2000, when there is something
	passed []byte // what the wire shows, the file itself unless set
	vlan   bool   // the wire is VLAN 7
	flip   bool   // the FIN leaves with a bit changed
	probes int    // probes before the stream
	bad    int    // of these, poisoned
}

func sound() *guest {
	g := &guest{file: make([]byte, 5000)}
	rand.New(rand.NewSource(1)).Read(g.file)
	g.sink = map[string]any{"sha256": fmt.Sprintf("%x", sha256.Sum256(g.file))}
	g.send = map[string]any{
		"mode": "zerocopy", "bytes_written": 5000, "bytes_released": 5000, "bytes_demoted": 0, "lent_while_held": 0, "rewritten_in_flight": 0,
		"frames":      map[string]any{"leaked": 0},
		"descriptors": map[string]any{"submitted": 9, "completed": 8, "quarantined": 1},
	}
	return g
}

// asking is a sound run in copy mode whose checksums were computed there, with what the kprobe counted.
func asking(where string, calls int) *guest {
	g := sound()
	g.probes, g.bad = 3, 2
	g.send["mode"] = "copy"
	g.send["offload"] = []any{
		map[string]any{"name": "mode", "where": "nic"},
		map[string]any{"name": "checksum", "where": where, "evidence": fmt.Sprintf(
			"queue 0: canary proved: of 9; copy mode: kprobe on skb_checksum_help: %d calls for the canary's connection, control 3 of 3 before and 3 of 3 after", calls)},
	}
	return g
}

func (g *guest) leave(t *testing.T, expect string) string {
	t.Helper()
	dir := t.TempDir()
	write := func(name string, content []byte) {
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	object := func(v map[string]any) []byte {
		text, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	write("runs", fmt.Appendf(nil, "one %d %d %s\n", capturetest.SinkPort, g.want, expect))
	write("one.sha256", fmt.Appendf(nil, "%x\n", sha256.Sum256(g.file)))
	write("one.send.json", object(g.send))
	write("one.sink.json", object(g.sink))
	write("wire.pcap", g.wire(t))
	return dir
}

func (g *guest) wire(t *testing.T) []byte {
	passed := g.file
	if g.passed != nil {
		passed = g.passed
	}
	r := capturetest.New(t)
	r.VLAN = g.vlan
	r.SYN()
	r.ACK(0)
	for i := range g.probes {
		r.Data(-1, []byte{0})
		if i < g.bad {
			r.File.Bytes()[r.File.Len()-1-5] ^= 1 // the byte itself; padding follows
		}
	}
	for at := 0; at < len(passed); at += 1000 {
		r.Data(at, passed[at:at+1000])
	}
	if g.resend != nil {
		r.Data(1000, g.resend)
	}
	r.FIN(len(passed))
	file := r.File.Bytes()
	if g.flip {
		file[len(file)-1-10] ^= 1 // its window; six bytes of padding and the urgent pointer and checksum follow
	}
	return file
}

func TestVerdict(t *testing.T) {
	marker := []byte(strings.Repeat("x", 1000))
	for name, c := range map[string]struct {
		expect  string
		change  func(*guest)
		problem string // a part of one; empty when there must be none
	}{
		"all is well":                {intact, func(*guest) {}, ""},
		"resent and the same":        {intactResent, func(g *guest) { g.resend = g.file[1000:2000] }, ""},
		"broken on the wire":         {broken, func(g *guest) { g.resend = marker }, ""},
		"broken by its own count":    {broken, func(g *guest) { g.send["rewritten_in_flight"] = 3 }, ""},
		"nothing resent":             {intactResent, func(*guest) {}, "proves nothing"},
		"control without power":      {broken, func(*guest) {}, "no power"},
		"rewritten":                  {intactResent, func(g *guest) { g.resend = marker }, "1 resent ranges carried different bytes"},
		"wrong checksum":             {intact, func(g *guest) { g.flip = true }, "wrong TCP checksum"},
		"counted as rewritten":       {intact, func(g *guest) { g.send["rewritten_in_flight"] = 3 }, "rewritten_in_flight 3"},
		"lent too early":             {intact, func(g *guest) { g.send["lent_while_held"] = 3 }, "lent_while_held 3"},
		"sink got something else":    {broken, func(g *guest) { g.sink["sha256"] = "00"; g.resend = marker }, "the sink received"},
		"wire shows something else":  {intact, func(g *guest) { g.passed = make([]byte, 5000) }, "left first as SHA-256"},
		"leak":                       {intact, func(g *guest) { g.send["frames"] = map[string]any{"leaked": 1} }, "1 frames leaked"},
		"descriptor lost":            {intact, func(g *guest) { g.send["descriptors"].(map[string]any)["completed"] = 7 }, "9 descriptors submitted, 8"},
		"bytes kept":                 {intact, func(g *guest) { g.send["bytes_released"] = 4999 }, "4999 released"},
		"copy mode":                  {intact, func(g *guest) { g.send["mode"] = "copy" }, `mode "copy"`},
		"in the VLAN":                {intact, func(g *guest) { g.vlan, g.want = true, 7 }, ""},
		"not in the VLAN":            {intact, func(g *guest) { g.want = 7 }, "are in VLAN 7"},
		"in another VLAN":            {intact, func(g *guest) { g.vlan, g.want = true, 8 }, "0 of the sender's 7 frames are in VLAN 8"},
		"tags that nobody asked for": {intact, func(g *guest) { g.vlan = true }, "are in VLAN 0"},
		"name no longer there":       {intact, func(g *guest) { delete(g.send, "lent_while_held") }, "no lent_while_held"},
	} {
		t.Run(name, func(t *testing.T) {
			g := sound()
			c.change(g)
			runs, err := load(g.leave(t, c.expect))
			if err != nil {
				t.Fatal(err)
			}
			problems := strings.Join(judge(runs[0]), "\n")
			if c.problem == "" && problems != "" || !strings.Contains(problems, c.problem) {
				t.Errorf("problems %q, want %q", problems, c.problem)
			}
		})
	}
}

// A run whose checksums are left to others must name whom it should, on evidence that fits.
func TestVerdictOnChecksums(t *testing.T) {
	evidence := func(replace, by string) func(*guest) {
		return func(g *guest) {
			knob := g.send["offload"].([]any)[1].(map[string]any)
			knob["evidence"] = strings.Replace(knob["evidence"].(string), replace, by, 1)
		}
	}
	nothing := func(*guest) {}
	for name, c := range map[string]struct {
		expect  string
		guest   *guest
		change  func(*guest)
		problem string
	}{
		"the NIC":                       {byNIC, asking("nic", 0), nothing, ""},
		"the kernel":                    {byKernel, asking("kernel", 9), nothing, ""},
		"the NIC, and it should not":    {byKernel, asking("nic", 0), nothing, `computed by "nic"`},
		"the kernel, and it should not": {byNIC, asking("kernel", 9), nothing, `computed by "kernel"`},
		"nobody tells":                  {byNIC, asking("nic-or-kernel", 0), nothing, `computed by "nic-or-kernel"`},
		"the NIC against evidence":      {byNIC, asking("nic", 1), nothing, "does not fit"},
		"the kernel against it":         {byKernel, asking("kernel", 0), nothing, "does not fit"},
		"a control that misses":         {byNIC, asking("nic", 0), evidence("3 of 3 after", "0 of 3 after"), "does not say"},
		"by the features alone":         {byKernel, asking("kernel", 9), evidence("kprobe on ", ""), "does not say"},
		"no canary's verdict":           {byNIC, asking("nic", 0), evidence("canary proved", "unproved"), "does not say"},
		"no such entry":                 {byNIC, asking("nic", 0), func(g *guest) { delete(g.send, "offload") }, "no offload named checksum"},
		"in zero-copy":                  {byNIC, asking("nic", 0), func(g *guest) { g.send["mode"] = "zerocopy" }, "expected copy"},
		"no poisoned probe":             {byNIC, asking("nic", 0), func(g *guest) { g.bad = 0 }, "0 of 3 probes"},
		"only poisoned probes":          {byNIC, asking("nic", 0), func(g *guest) { g.bad = 3 }, "3 of 3 probes"},
		"a poisoned segment":            {byNIC, asking("nic", 0), func(g *guest) { g.flip = true }, "1 of the sender's segments"},
		"poisoned without asking":       {intact, sound(), func(g *guest) { g.probes, g.bad = 3, 1 }, "1 of the sender's probes"},
	} {
		t.Run(name, func(t *testing.T) {
			c.change(c.guest)
			runs, err := load(c.guest.leave(t, c.expect))
			if err != nil {
				t.Fatal(err)
			}
			problems := strings.Join(judge(runs[0]), "\n")
			if c.problem == "" && problems != "" || !strings.Contains(problems, c.problem) {
				t.Errorf("problems %q, want %q", problems, c.problem)
			}
		})
	}
}

func TestIncompleteFolders(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"no report":      func(dir string) error { return os.Remove(filepath.Join(dir, "one.send.json")) },
		"empty report":   func(dir string) error { return os.Truncate(filepath.Join(dir, "one.sink.json"), 0) },
		"no capture":     func(dir string) error { return os.Remove(filepath.Join(dir, "wire.pcap")) },
		"no runs":        func(dir string) error { return os.Truncate(filepath.Join(dir, "runs"), 0) },
		"no file's hash": func(dir string) error { return os.Remove(filepath.Join(dir, "one.sha256")) },
		"odd expectation": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "runs"), []byte("one 5001 0 splendid\n"), 0o600)
		},
	} {
		dir := sound().leave(t, intact)
		if err := spoil(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := load(dir); err == nil {
			t.Errorf("%s: loaded without an error", name)
		}
	}
}

// FuzzReport: whatever a guest wrote as its report, a figure is one that is in it, and
// all else is an error.
func FuzzReport(f *testing.F) {
	f.Add([]byte(`{"frames":{"leaked":0},"mode":"zerocopy"}`), "frames.leaked")
	f.Add([]byte(`{"frames":[1]}`), "frames.0")
	f.Add([]byte(`{"":{"":1}}`), ".")
	f.Add([]byte(`null`), "x")
	f.Add([]byte(`{"a":1e999}`), "a")
	path := filepath.Join(f.TempDir(), "report.json")
	f.Fuzz(func(t *testing.T, text []byte, name string) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		r, err := readReport(path)
		if err != nil {
			return
		}
		_, notNumber := r.number(name)
		_, notText := r.text(name)
		if notNumber == nil && notText == nil {
			t.Errorf("%s is a number and a text", name)
		}
		if _, err := r.value(name); err != nil && (notNumber == nil || notText == nil) {
			t.Errorf("%s is missing and has a value", name)
		}
	})
}

// FuzzRuns: whatever the list of runs says, there is at least one run, or an error.
func FuzzRuns(f *testing.F) {
	f.Add([]byte("one 5201 intact\n"))
	f.Add([]byte("one 65536 intact\n\n"))
	f.Add([]byte("../one 1 broken\n"))
	path := filepath.Join(f.TempDir(), "runs")
	f.Fuzz(func(t *testing.T, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if runs, err := load(filepath.Dir(path)); err == nil && len(runs) == 0 {
			t.Error("nothing to judge, and no error")
		}
	})
}
