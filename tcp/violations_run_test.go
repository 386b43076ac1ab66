package tcp

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var whichViolations = flag.String("tcp.violations", "", "build the engine with each violation whose name matches this `regexp`, in any case, and play the scripts; "+
	"with all of them write docs/scripts.md, else print their rows")

const violationsTable = "../docs/scripts.md"

// apply gives the file's text with the mistake in it.
func (v *violation) apply() ([]byte, error) {
	text, err := os.ReadFile(v.file)
	if err != nil {
		return nil, err
	}
	if n := strings.Count(string(text), v.old); n != 1 {
		return nil, fmt.Errorf("%q: the old text stands %d times in %s", v.name, n, v.file)
	}
	return []byte(strings.Replace(string(text), v.old, v.new, 1)), nil
}

// overlay is this directory with the file replaced, and without the tests that play no scripts.
func (v *violation) overlay(broken string) ([]byte, error) {
	here, err := filepath.Abs(".")
	if err != nil {
		return nil, err
	}
	replace := map[string]string{filepath.Join(here, v.file): broken}
	tests, err := filepath.Glob("*_test.go")
	for _, name := range tests {
		if !strings.HasPrefix(name, "script_") {
			replace[filepath.Join(here, name)] = ""
		}
	}
	if err != nil {
		return nil, err
	}
	return json.Marshal(map[string]map[string]string{"Replace": replace})
}

// failing builds the engine with the violation, and gives the scripts that fail.
func (v *violation) failing(dir string) ([]string, error) {
	text, err := v.apply()
	if err != nil {
		return nil, err
	}
	broken, overlay := filepath.Join(dir, v.file), filepath.Join(dir, "overlay.json")
	list, err := v.overlay(broken)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(os.WriteFile(broken, text, 0o600), os.WriteFile(overlay, list, 0o600)); err != nil {
		return nil, err
	}
	out, err := exec.Command("go", "test", "-overlay", overlay, "-vet=off", "-ldflags=-s -w", "-count=1", "-timeout=60s", "-run=^TestScripts$", ".").CombinedOutput()
	var names []string
	for _, m := range failedScript.FindAllSubmatch(out, -1) {
		names = append(names, string(m[1]))
	}
	if (err == nil) != (len(names) == 0) {
		return nil, fmt.Errorf("%q: %v\n%s", v.name, err, out)
	}
	return names, nil
}

var failedScript = regexp.MustCompile(`(?m)^ *--- FAIL: TestScripts/(\S+)`)

// Every violation still applies, and the table names each with scripts that exist: it was
// made from these.
func TestViolationsApply(t *testing.T) {
	table, err := os.ReadFile(violationsTable)
	if err != nil {
		t.Fatal(err)
	}
	for k := range violations {
		v := &violations[k]
		if _, err := v.apply(); err != nil {
			t.Error(err)
		}
		if len(v.shownBy(string(table))) == 0 {
			t.Errorf("docs/scripts.md has no scripts for %q: make scripts", v.name)
		}
	}
	if rows := strings.Count(string(table), "\n| ") - 1; rows != len(violations) {
		t.Errorf("docs/scripts.md has %d rows for %d violations: make scripts", rows, len(violations))
	}
	for _, name := range scriptMentioned.FindAllStringSubmatch(string(table), -1) {
		if _, err := os.Stat(filepath.Join(scriptDir, name[1]+".pkt")); err != nil {
			t.Errorf("docs/scripts.md: %v: make scripts", err)
		}
	}
}

var scriptMentioned = regexp.MustCompile("`([a-z0-9-]+)`")

// shownBy is the scripts that the table has for v.
func (v *violation) shownBy(table string) (names []string) {
	for line := range strings.SplitSeq(table, "\n") {
		if strings.HasPrefix(line, "| "+v.name+" |") {
			for _, m := range scriptMentioned.FindAllStringSubmatch(line, -1) {
				names = append(names, m[1])
			}
		}
	}
	return names
}

// chosen are the violations whose names match, in any case.
func chosen(pattern string) (some []violation, err error) {
	re, err := regexp.Compile("(?i)" + pattern)
	if err != nil {
		return nil, err
	}
	for _, v := range violations {
		if re.MatchString(v.name) {
			some = append(some, v)
		}
	}
	if len(some) == 0 {
		return nil, fmt.Errorf("no violation's name matches %q", pattern)
	}
	return some, nil
}

func TestViolationsChosen(t *testing.T) {
	for pattern, want := range map[string]int{".": len(violations), "": len(violations), "^cubic halves$": 1, "^CUBIC halves$|two duplicates": 2} {
		if some, err := chosen(pattern); err != nil || len(some) != want {
			t.Errorf("%q chooses %d, %v; want %d", pattern, len(some), err, want)
		}
	}
	for _, pattern := range []string{"no such mistake", "("} {
		if some, err := chosen(pattern); err == nil {
			t.Errorf("%q chooses %d", pattern, len(some))
		}
	}
}

// The engine with a mistake in it fails scripts. Without the flag, two of them: that the
// way to the answer works.
func TestViolations(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package again")
	}
	if _, err := exec.LookPath("go"); err != nil {
		t.Skip("no go command to build with")
	}
	asked, run := *whichViolations != "", []violation{violations[3], violations[len(violations)-1]}
	if asked {
		var err error
		if run, err = chosen(*whichViolations); err != nil {
			t.Fatal(err)
		}
	}
	rows := rowsOf(t, run, asked)
	switch {
	case !asked || t.Failed() && len(run) == len(violations):
	case len(run) < len(violations):
		fmt.Print(rows)
	default:
		if err := os.WriteFile(violationsTable, []byte(violationsHead+rows), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// rowsOf builds the engine with each, and gives their rows of the table. Unless they are to be
// made anew, the scripts of the old ones must fail.
func rowsOf(t *testing.T, run []violation, anew bool) string {
	table, err := os.ReadFile(violationsTable)
	if err != nil && !anew {
		t.Fatal(err)
	}
	var rows strings.Builder
	for k := range run {
		v := &run[k]
		names, err := v.failing(t.TempDir())
		switch {
		case err != nil:
			t.Error(err)
		case len(names) == 0:
			t.Errorf("%q: no script fails", v.name)
		}
		for _, name := range v.shownBy(string(table)) {
			if !anew && !slices.Contains(names, name) {
				t.Errorf("%q: %s passes; docs/scripts.md has it fail", v.name, name)
			}
		}
		fmt.Fprintf(&rows, "| %s | [%s](%s) | %s | %s |\n", v.name, v.paragraph(), v.rfc, v.file, v.list(t, names))
	}
	return rows.String()
}

// list is the scripts for the table: first those that watch over the paragraph, and of
// many only some.
func (v *violation) list(t *testing.T, names []string) string {
	const most = 10
	watches := func(name string) int {
		text, err := os.ReadFile(filepath.Join(scriptDir, name+".pkt"))
		if err != nil {
			t.Error(err)
		}
		if strings.Contains(string(text), v.rfc) {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(names, func(a, b string) int { return watches(a) - watches(b) })
	if len(names) <= most {
		return "`" + strings.Join(names, "` `") + "`"
	}
	return fmt.Sprintf("`%s` and %d more", strings.Join(names[:most], "` `"), len(names)-most)
}

// paragraph is the link in words.
func (v *violation) paragraph() string {
	name, section, _ := strings.Cut(v.rfc, "#section-")
	if number, ok := strings.CutPrefix(name, rfcs); ok {
		name = "RFC " + number
	} else {
		name = "draft-" + strings.TrimPrefix(name, draft)
	}
	return name + " section " + section
}

const violationsHead = `# What the scripts would catch

Made by ` + "`make scripts`" + `: the engine is built with each of these mistakes (tcp/violations_test.go), the scripts of tcp/testdata/scripts are played,
and those that fail stand beside it. A mistake that no script shows fails the target; so does one whose text the engine no longer has.

| mistake | breaks | in | scripts that fail |
|---|---|---|---|
`
