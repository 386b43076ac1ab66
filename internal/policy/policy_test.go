package policy

import (
	"bufio"
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// rules are everything that fails. A rule looks at one file, or at all.
var rules = []struct {
	name  string
	check func([]*file) []finding
}{
	{"arrows", each(checkArrows)},
	{"tests only", each(checkTestOnly)},
	{"pure", each(checkPure)},
	{"quiet", each(checkQuiet)},
	{"unsafe", each(checkUnsafe)},
	{"clock", each(checkClock)},
	{"floats", each(checkFloats)},
	{"package comment", checkPackageDoc},
	{"exported", each(checkExported)},
	{"words", each(checkWords)},
}

func each(check func(*file) []finding) func([]*file) []finding {
	return func(files []*file) (found []finding) {
		for _, f := range files {
			found = append(found, check(f)...)
		}
		return found
	}
}

// root is the module's directory.
func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	mod, err := os.ReadFile(filepath.Join(dir, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	if first := bufio.NewScanner(bytes.NewReader(mod)); !first.Scan() || first.Text() != "module "+module {
		t.Fatalf("the module is not %s", module)
	}
	return dir
}

func TestTree(t *testing.T) {
	files, err := load(root(t))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < 100 {
		t.Fatalf("only %d files found: the walk is wrong", len(files))
	}
	for _, r := range rules {
		t.Run(r.name, func(t *testing.T) {
			for _, f := range r.check(files) {
				t.Error(f)
			}
		})
	}
}

// TestTold lists what is looked at by people and fails nothing.
func TestTold(t *testing.T) {
	files, err := load(root(t))
	if err != nil {
		t.Fatal(err)
	}
	for _, look := range []func(*file) []finding{unlinkedRFCs, longFiles} {
		for _, f := range each(look)(files) {
			t.Log(f)
		}
	}
	for _, p := range tablePaths() {
		if !slices.ContainsFunc(files, func(f *file) bool { return matches(p, f.pkg) || matches(p, f.path) }) {
			t.Logf("table: %s is not in the tree", p)
		}
	}
}

// tablePaths are the places that the tables speak of.
func tablePaths() (list []string) {
	for _, a := range arrows {
		list = append(list, a.of)
		list = append(list, a.may...)
	}
	for _, e := range pureExceptions {
		list = append(list, e.in)
	}
	for _, more := range [][]string{testArrows, testOnly, pure, timeless, clockFiles, integers, public} {
		list = append(list, more...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// TestLoad: what the go command ignores is ignored, and a file that can't be
// parsed is an error, not an exception.
func TestLoad(t *testing.T) {
	dir := t.TempDir()
	write := func(name, src string) {
		t.Helper()
		name = filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(src), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"a/b.go", "a/b_test.go", "a/testdata/c.go", ".git/d.go", "_e/f.go", "a/_g.go", "a/h.txt"} {
		write(name, "package a\n")
	}
	files, err := load(dir)
	if err != nil || len(files) != 2 || files[0].path != "a/b.go" || files[0].test || !files[1].test {
		t.Errorf("%d files, %v", len(files), err)
	}
	write("a/broken.go", "package")
	if _, err := load(dir); err == nil || !strings.Contains(err.Error(), "broken.go") {
		t.Errorf("got %v", err)
	}
}
