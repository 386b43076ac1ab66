package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// weakSurvivors are what the weak tests of the toy let pass, all of it.
var weakSurvivors = []string{
	"weak/toy.go dozen: const dozen = «12 → 11»",
	"weak/toy.go Between: func Between(n, low, high int) bool { return low «<= → <» n && n < high }",
	"weak/toy.go Between: func Between(n, low, high int) bool { return low <= n && n «< → <=» high }",
	"weak/toy.go Tally.Add: if n «< → <=» 0 {",
	"weak/toy.go Tally.Add: if n < «0 → 1» {",
	"weak/toy.go Tally.Add: if n < «0 → -1» {",
	"weak/toy.go Tally.Add: «return → »",
	"weak/toy.go Tally.Add: «t.calls++ → »",
	"weak/toy.go Tally.Add: t.calls«++ → --»",
	"weak/toy.go Find: if have «< → <=» 0 {",
	"weak/toy.go Find: if have < «0 → 1» {",
	"weak/toy.go Find: if have < «0 → -1» {",
	"weak/toy.go Find: if have < 0 «{ … → {}»",
	"weak/toy.go Find: «continue → break»",
	"weak/toy.go Find: return «len(list) → 0», false",
	"weak/toy.go Find: return len(list), «false → true»",
}

// toy runs the tool over a package of the toy module, and returns what it printed.
func toy(t *testing.T, o options, pkg, reasons string) (out, progress string, err error) {
	t.Helper()
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command")
	}
	o.root = filepath.Join("testdata", "toy")
	o.reasons = filepath.Join(t.TempDir(), "survivors.txt")
	if err := os.WriteFile(o.reasons, []byte(reasons), 0o666); err != nil {
		t.Fatal(err)
	}
	var report, told strings.Builder
	err = run(t.Context(), o, []target{{pkg: pkg, suites: []suite{{pkg: pkg}}}}, &report, &told)
	return report.String(), told.String(), err
}

// TestWeakTests: the tool finds exactly what they let pass. Asked again it compiles
// nothing, and with a reason for each survivor there is still too little that dies.
func TestWeakTests(t *testing.T) {
	o := options{dir: t.TempDir(), jobs: 2}
	out, _, err := toy(t, o, "weak", "")
	_, list, _ := strings.Cut(out, "survivors without a reason:\n")
	if got := strings.Split(strings.TrimSpace(list), "\n"); !slices.Equal(got, weakSurvivors) {
		t.Errorf("survivors:\n%s", list)
	}
	if !errors.Is(err, errVerdict) {
		t.Errorf("a run with survivors ends with %v", err)
	}
	again, progress, err := toy(t, o, "weak", strings.Join(weakSurvivors, "\n")+"\n\tit is a toy\n")
	if !strings.Contains(progress, "32 mutants, of 32 the verdict is known") {
		t.Errorf("the second run: %s", progress)
	}
	if strings.Contains(again, "without") || err == nil || !strings.Contains(err.Error(), "48 %") {
		t.Errorf("%s%v", again, err)
	}
}

// TestStrongTests is the counterpart: the same code, and nothing survives.
func TestStrongTests(t *testing.T) {
	out, _, err := toy(t, options{dir: t.TempDir(), jobs: 2}, "strong", "")
	if err != nil || strings.Contains(out, "survivors") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestInterrupted: what was judged before the interruption is not judged again.
func TestInterrupted(t *testing.T) {
	o := options{dir: t.TempDir(), only: "strong/toy.go Tally"}
	all, err := gather(options{root: filepath.Join("testdata", "toy"), only: o.only}, []target{{pkg: "strong", suites: []suite{{pkg: "strong", args: nil}}}})
	if err != nil {
		t.Fatal(err)
	}
	known, err := openVerdicts(filepath.Join(o.dir, "verdicts.jsonl"), false)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	root, _ := filepath.Abs(filepath.Join("testdata", "toy"))
	stop := writer(func(line string) { // the first suite was measured
		if strings.Contains(line, "needs") {
			cancel()
		}
	})
	if err := try(ctx, options{root: root}, all, known, stop); !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	m := all[0]
	if err := known.add(entry{Mutant: m.name, Verdict: killed, Source: m.source, Tests: m.tests}); err != nil {
		t.Fatal(err)
	}
	known.close()
	_, progress, err := toy(t, o, "strong", "")
	if want := "of 1 the verdict is known"; err != nil || !strings.Contains(progress, want) {
		t.Errorf("%v\n%s", err, progress)
	}
}

type writer func(string)

func (w writer) Write(b []byte) (int, error) { w(string(b)); return len(b), nil }

// TestRefusals: what can't be judged is no verdict.
func TestRefusals(t *testing.T) {
	root := filepath.Join("testdata", "toy")
	reasons := filepath.Join(t.TempDir(), "survivors.txt")
	if err := os.WriteFile(reasons, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		o       options
		targets []target
		want    string
	}{
		"no such mutant": {options{only: "strong/x.go"}, []target{{pkg: "strong", suites: []suite{{pkg: "strong", args: nil}}}}, "no mutant's name"},
		"no such file":   {options{}, []target{{pkg: "strong", without: map[string]string{"x.go": "a toy"}}}, "no x.go to leave out"},
		"no such test":   {options{}, []target{{pkg: "strong", suites: []suite{{pkg: "strong", args: []string{"-test.run=X"}}}}}, "no tests to run"},
		"tests that fail": {options{}, []target{{pkg: "strong", suites: []suite{{pkg: "strong", args: []string{"-no.such.flag"}}}}},
			"fail as the code stands"},
	} {
		c.o.root, c.o.dir, c.o.reasons = root, t.TempDir(), reasons
		err := run(t.Context(), c.o, c.targets, io.Discard, io.Discard)
		if err == nil || errors.Is(err, errVerdict) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
