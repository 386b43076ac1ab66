package simnet

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/xsend/xsend/tcp"
)

const tracesFile = "testdata/traces.txt"

// trace is a trial and what came of it, as one line of the golden file has it.
type trace struct {
	scenario   string
	congestion tcp.Congestion
	seed       uint64
	hash       uint64
	events     uint64
}

// The same seed gives the same trace on every CPU and in every commit that does not mean
// to change what is sent when: those that do write the file anew and say so. Each scenario
// and each congestion control has a line; which pairs and seeds is for the file to say.
func TestGoldenTraces(t *testing.T) {
	traces := readTraces(t)
	if *update {
		traces = complete(slices.DeleteFunc(traces, trace.gone))
	}
	for i := range traces {
		traces[i].run(t)
	}
	if t.Failed() {
		t.Log("in a commit that means to change what is sent when: make golden")
	}
	if *update {
		writeTraces(t, traces)
	} else if all := complete(traces); len(all) > len(traces) {
		t.Errorf("%s lacks %+v: write it anew with -simnet.update", tracesFile, all[len(traces):])
	}
}

// gone reports that there is no such scenario or congestion control any more.
func (tr trace) gone() bool {
	return !slices.ContainsFunc(scenarios, func(s scenario) bool { return s.name == tr.scenario }) ||
		!slices.Contains(tcp.Congestions(), tr.congestion)
}

// run compares a trace, or takes it down.
func (tr *trace) run(t *testing.T) {
	if tr.gone() {
		t.Errorf("%s: there is no %s with %s any more", tracesFile, tr.scenario, tr.congestion)
		return
	}
	r, err := byName(tr.scenario).trialWith(tr.seed, tr.congestion).Do()
	if err != nil {
		t.Errorf("%s with %s: %v", tr.scenario, tr.congestion, err)
		return
	}
	hash, events := r.World.Hash(), r.World.Events()
	if !*update && (hash != tr.hash || events != tr.events) {
		t.Errorf("%s with %s, seed %d: %d events, hash %016x; %s says %d, %016x", tr.scenario, tr.congestion, tr.seed, events, hash, tracesFile, tr.events, tr.hash)
	}
	tr.hash, tr.events = hash, events
}

// complete adds a line for each scenario and each congestion control that has none. There
// the controls take turns, so that a new one adds few lines and changes none.
func complete(traces []trace) []trace {
	controls := tcp.Congestions()
	has := func(is func(trace) bool) bool { return slices.ContainsFunc(traces, is) }
	for i, s := range scenarios {
		if !has(func(tr trace) bool { return tr.scenario == s.name }) {
			traces = append(traces, trace{scenario: s.name, congestion: controls[i%len(controls)], seed: uint64(i + 1)})
		}
	}
	for i, cc := range controls {
		if !has(func(tr trace) bool { return tr.congestion == cc }) {
			for _, name := range []string{"long-haul", "rate-changes", "bursts", "ack-compression", "everything"} {
				traces = append(traces, trace{scenario: name, congestion: cc, seed: uint64(100 + i)})
			}
		}
	}
	return traces
}

func readTraces(t *testing.T) (traces []trace) {
	f, err := os.Open(tracesFile)
	if err != nil {
		if *update {
			return nil
		}
		t.Fatal(err)
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		var tr trace
		if n, _ := fmt.Sscanf(s.Text(), "%s %s %d %d %x", &tr.scenario, &tr.congestion, &tr.seed, &tr.events, &tr.hash); n == 5 {
			traces = append(traces, tr)
		}
	}
	return traces
}

func writeTraces(t *testing.T, traces []trace) {
	var b strings.Builder
	b.WriteString("# go test ./internal/simnet -run GoldenTraces -simnet.update\n# scenario congestion seed events hash\n")
	for _, tr := range traces {
		fmt.Fprintf(&b, "%s %s %d %d %016x\n", tr.scenario, tr.congestion, tr.seed, tr.events, tr.hash)
	}
	if err := os.WriteFile(tracesFile, []byte(b.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}

// The control: a nanosecond, or a byte more, shows in the trace.
func TestTraceSeesTheLeastChange(t *testing.T) {
	hash := func(change func(*Trial)) uint64 {
		trial := byName("loss").trial(*first)
		change(&trial)
		r, err := trial.Do()
		if err != nil {
			t.Fatal(err)
		}
		return r.World.Hash()
	}
	same := hash(func(*Trial) {})
	for what, change := range map[string]func(*Trial){
		"nanosecond": func(t *Trial) { t.Back.Delay++ },
		"byte":       func(t *Trial) { t.Bytes++ },
	} {
		if hash(change) == same {
			t.Errorf("a %s more does not show", what)
		}
	}
}

// The golden file was written on amd64; the same test runs on arm64 (make hash-arm64).
func TestGoldenTracesOnArm64(t *testing.T) {
	if testing.Short() || runtime.GOARCH == "arm64" || *update {
		t.Skip("builds for another CPU: not with -short, on arm64 or with -simnet.update")
	}
	if _, err := exec.LookPath("qemu-aarch64-static"); err != nil {
		t.Skip("needs qemu-aarch64-static (apt-get install qemu-user-static)")
	}
	test := exec.Command("go", "test", "-vet=off", "-exec", "qemu-aarch64-static", "-count=1", "-v", "-run", "^TestGoldenTraces$", ".")
	test.Env = append(os.Environ(), "GOARCH=arm64", "CGO_ENABLED=0")
	out, err := test.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "--- PASS: TestGoldenTraces") {
		t.Errorf("on arm64: %v\n%s", err, out)
	}
}
