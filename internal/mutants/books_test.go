package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestVerdictsHold as long as what they are about: the mutated file, and for a
// survivor the tests too.
func TestVerdictsHold(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verdicts.jsonl")
	v, err := openVerdicts(path, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range []entry{{"a", killed, "TestA", "s", "t"}, {"b", survived, "", "s", "t"}, {"c", notCompiling, "", "s", "t"}, {"b", survived, "", "s", "u"}} {
		if err := v.add(e); err != nil {
			t.Fatal(err)
		}
	}
	v.close()
	cut, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprint(cut, `{"mutant":"a","verdict":"surv`) // the power went
	cut.Close()
	for _, c := range []struct {
		mutant, source, tests string
		want                  bool
	}{
		{"a", "s", "t", true}, {"a", "s", "changed", true}, {"a", "changed", "t", false},
		{"b", "s", "u", true}, {"b", "s", "t", false}, {"b", "changed", "u", false},
		{"c", "s", "changed", true}, {"d", "s", "t", false},
	} {
		v, err := openVerdicts(path, false)
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := v.find(c.mutant, c.source, c.tests); ok != c.want {
			t.Errorf("%+v: found %v", c, ok)
		}
		v.close()
	}
	v, err = openVerdicts(path, true)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	if _, ok := v.find("a", "s", "t"); ok {
		t.Error("a fresh run knows something")
	}
}

// TestAddAfterCut: a line that was cut short does not swallow the next.
func TestAddAfterCut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "verdicts.jsonl")
	if err := os.WriteFile(path, []byte(`{"mutant":"a"`), 0o666); err != nil {
		t.Fatal(err)
	}
	v, err := openVerdicts(path, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.add(entry{Mutant: "b", Verdict: killed}); err != nil {
		t.Fatal(err)
	}
	v.close()
	v, err = openVerdicts(path, false)
	if err != nil {
		t.Fatal(err)
	}
	defer v.close()
	if _, ok := v.find("b", "", ""); !ok {
		t.Error("the verdict is lost")
	}
}

func TestParseReasons(t *testing.T) {
	got, err := parseReasons("# people\na «x»\nb\n\tthe same,\n\tbecause\n\nc\n  other\n")
	if err != nil || len(got) != 3 || got["a «x»"] != "the same, because" || got["b"] != "the same, because" || got["c"] != "other" {
		t.Errorf("%q %v", got, err)
	}
	for _, wrong := range []string{"a\n", "a\nb\n", "\treason\n", "a\n\tx\na\n\ty\n", "a\n\tx\nb\n"} {
		if got, err := parseReasons(wrong); err == nil {
			t.Errorf("%q: %q", wrong, got)
		}
	}
}

// FuzzParseReasons: every survivor that is read has a reason.
func FuzzParseReasons(f *testing.F) {
	f.Add("# people\na «x»\nb\n\tthe same,\n\tbecause\n\nc\n  other\n")
	f.Add("\xa0a\n\x85\n")
	f.Fuzz(func(t *testing.T, text string) {
		reasons, err := parseReasons(text)
		for name, reason := range reasons {
			if err == nil && (name == "" || reason == "") {
				t.Errorf("%q: %q has the reason %q", text, name, reason)
			}
		}
	})
}

// judged is a report over mutants of one file: killed, survived or not tried.
func judged(verdicts string, reasons ...string) *report {
	r := &report{reasons: map[string]string{}, whole: true}
	for i, v := range verdicts {
		m := &mutant{mutation: mutation{name: fmt.Sprintf("m%d", i), file: "f.go"}}
		r.all = append(r.all, m)
		if v == '-' {
			continue
		}
		r.chosen = append(r.chosen, m)
		r.entries = append(r.entries, entry{Mutant: m.name, Verdict: map[rune]verdict{'k': killed, 's': survived, 'n': notCompiling}[v]})
	}
	for _, name := range reasons {
		r.reasons[name] = "because"
	}
	return r
}

// TestReport: what fails it, and what doesn't.
func TestReport(t *testing.T) {
	const nine = "kkkkkkkkk"
	for name, c := range map[string]struct {
		r    *report
		want string // of the error; "": none
		says string
	}{
		"all killed":                   {judged(nine), "", "killed     9"},
		"a survivor with a reason":     {judged(nine+"s", "m9"), "", "90 %"},
		"a survivor without":           {judged(nine + "s"), "1 survivors have no reason", "m9"},
		"too many with reasons":        {judged("kkkkkkkks", "m8"), "88 % of the mutants", ""},
		"what doesn't compile is none": {judged(nine+"snnnn", "m9"), "", "not compiling    4"},
		"the reason of a dead one":     {judged(nine, "m3"), "1 reasons have no survivor", "m3"},
		"the reason of none":           {judged(nine, "x"), "1 reasons have no survivor", "x"},
		"the reason of one not tried":  {judged(nine+"-", "m9"), "", "tried 9 of 10 mutants (90.0 %)"},
	} {
		var out bytes.Buffer
		err := c.r.write(&out)
		if c.want == "" && err != nil || c.want != "" && (!errors.Is(err, errVerdict) || !strings.Contains(err.Error(), c.want)) || !strings.Contains(out.String(), c.says) {
			t.Errorf("%s: %v\n%s", name, err, &out)
		}
	}
	part := judged(nine, "x", "m3")
	part.whole = false
	if got := part.stale(nil); !slices.Equal(got, []string{"m3"}) {
		t.Errorf("in a part of the targets: %q", got)
	}
}

// TestSample: as many as asked for, the same for the same seed, others for another,
// and one mutant less changes no other's luck.
func TestSample(t *testing.T) {
	all := judged(strings.Repeat("k", 200)).all
	some := sample(all, 50, 1)
	if len(some) != 50 || !slices.Equal(some, sample(all, 50, 1)) || slices.Equal(some, sample(all, 50, 2)) {
		t.Errorf("%d mutants", len(some))
	}
	if !slices.IsSortedFunc(some, func(a, b *mutant) int { return slices.Index(all, a) - slices.Index(all, b) }) {
		t.Error("not in order")
	}
	fewer := slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return m == some[7] })
	if kept := without(some, sample(fewer, 50, 1)); len(kept) != 1 {
		t.Errorf("one less, and %d are not in the sample any more", len(kept))
	}
	if len(sample(all, 0, 1)) != 200 || len(sample(all, 200, 1)) != 200 {
		t.Error("nothing to choose, and something is missing")
	}
}

// TestForEver is what TestLimits runs as a child: a mutant that goes on for ever, with
// or without work.
func TestForEver(t *testing.T) {
	switch os.Getenv(chooser) {
	case "1":
		for n := 0; n >= 0; n /= 2 {
		}
	case "2":
		time.Sleep(time.Hour)
	case "3":
		var all [][]byte
		for len(all) >= 0 {
			all = append(all, make([]byte, 256<<20))
		}
	case "4":
		t.Error("seen")
	}
}

func TestLimits(t *testing.T) {
	b := bench{root: ".", idle: 2 * time.Second}
	for chosen, want := range []string{"", byTime, byTime, "fatal error", "TestForEver"} {
		o, err := b.try(t.Context(), os.Args[0], suite{pkg: ".", args: []string{"-test.run=^TestForEver$"}}, chosen, 100*time.Millisecond)
		if err != nil || o.passed != (chosen == 0) || o.by != want {
			t.Errorf("%d: passed %v, by %q, %v\n%s", chosen, o.passed, o.by, err, o.output)
		}
	}
}

// TestTargets: the table names what is there.
func TestTargets(t *testing.T) {
	root := filepath.Join("..", "..")
	for _, tt := range targets {
		names, err := tt.files(root)
		if err != nil || len(names) == 0 {
			t.Errorf("%s: %v %v", tt.pkg, names, err)
		}
		if text, err := tt.tests(root); err != nil || len(text) < 10000 {
			t.Errorf("%s: %d bytes of tests, %v", tt.pkg, len(text), err)
		}
	}
	text, err := os.ReadFile("survivors.txt")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parseReasons(string(text)); err != nil {
		t.Error(err)
	}
}
