package main

import (
	"go/parser"
	"go/token"
	"slices"
	"strings"
	"testing"
)

// TestOperators: each piece of code and all that is made of it.
func TestOperators(t *testing.T) {
	for code, want := range map[string][]string{
		"if a < b { f(); g() }": {"if a < b «{ f(); g() } → {}»", "if a «< → <=» b", "if a «< → >=» b", "«f() → »", "«g() → »"},
		"if a >= b { f() }":     {"«>= → >»", "«>= → <»", "«f() → »"},
		"if a == b { return }":  {"«== → !=»", "«return → »"},
		"if ok { return }":      {"if « → !»ok", "«return → »"},
		"if !ok { return }":     {"if «! → »ok", "«return → »"},
		"x = a && f()":          {"«x = a && f() → »", "« → !»a", "«&& → ||»", "« → !»f()"},
		"x = a + b":             {"«x = a + b → »", "«+ → -»"},
		"x = a &^ b":            {"«x = a &^ b → »", "«&^ → &»"},
		"x += b":                {"«x += b → »", "x «+= → -=» b"},
		"x++":                   {"«x++ → »", "x«++ → --»"},
		"x := 7":                {"«7 → 8»", "«7 → 6»"},
		"x := 0x10":             {"«0x10 → 17»", "«0x10 → 15»"},
		"x := true":             {"«true → false»"},
		"x := `1 + 1`":          nil,
		"var x [8]byte":         nil,
		"for { break }":         {"«break → continue»"},
		"for a < b { }":         {"«< → <=»", "«< → >=»"},
		"for f() { }":           {"« → !»f()"},
		"switch { case a < b, ok: f(); g(); default: h() }": {"« → !»ok", "«< → <=»", "«< → >=»", "«: f(); g() → :»", "«f() → »", "«g() → »", "«h() → »"},
		"switch a { case b: return }":                       {"«return → »"},
		"if a == b { f() } else { f(); g() }":               {"«== → !=»", "«f() → »", "«{ f(); g() } → {}»", "«f() → »", "«g() → »"},
		"defer f()":                                         {"«defer f() → »"},
		"f(func() int { return a })":                        {"«f(func() int { return a }) → »", "return «a → 0»"},
		"f(func() (E, error) { return g() })":               {"«f(func() (E, error) { return g() }) → »", "«return g() → return *new(E), nil»"},
		"f(func() (a, b []int) { return x, nil })":          {"«f(func() (a, b []int) { return x, nil }) → »", "return «x → nil», nil"},
	} {
		made, err := mutate("p.go", []byte("package p\n\nfunc f() {\n"+code+" // as it is\n}\n"))
		if err != nil {
			t.Fatal(err)
		}
		for i, m := range made {
			if i >= len(want) || !slices.ContainsFunc(want, func(w string) bool { return strings.Contains(m.name, w) }) {
				t.Errorf("%s: made %s", code, m.name)
			}
		}
		if len(made) < len(want) {
			t.Errorf("%s: made only %d", code, len(made))
		}
	}
}

const specimen = `package p

func (p *T[E]) f(a, b int) (int, error) {
	if a < b { // why
		a = b
		p.n = 1
	}
	g(a,
		1)
	g(1, 1)
	return a, nil
}

const most = 3
`

// TestNames: a mutant is known by its line, wherever that is.
func TestNames(t *testing.T) {
	made, err := mutate("d/p.go", []byte(specimen))
	if err != nil {
		t.Fatal(err)
	}
	names := namesOf(made)
	for _, want := range []string{
		"d/p.go T.f: if a «< → <=» b {",
		"d/p.go T.f: if a < b «{ // why … → {}»",
		"d/p.go T.f: «g(a, … → »",
		"d/p.go T.f: g(1, «1 → 2»)",
		"d/p.go T.f: return «a → 0», nil",
		"d/p.go most: const most = «3 → 4»",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("no %s in\n%s", want, strings.Join(names, "\n"))
		}
	}
	if len(slices.Compact(slices.Sorted(slices.Values(names)))) != len(names) {
		t.Error("two mutants have the same name")
	}
	moved, err := mutate("d/p.go", []byte(strings.Replace(specimen, "\n\tif", "\n\t// More.\n\n\tif", 1)))
	if err != nil || !slices.Equal(namesOf(moved), names) {
		t.Errorf("%v: the names changed with the line's place:\n%s", err, strings.Join(namesOf(moved), "\n"))
	}
}

func namesOf(made []mutation) (names []string) {
	for _, m := range made {
		names = append(names, m.name)
	}
	return names
}

// TestEachParses: no mutation breaks the syntax, and each changes something.
func TestEachParses(t *testing.T) {
	made, err := mutate("p.go", []byte(specimen))
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range made {
		changed := string(m.apply([]byte(specimen)))
		if _, err := parser.ParseFile(token.NewFileSet(), "p.go", changed, 0); err != nil || changed == specimen {
			t.Errorf("%s: %v", m.name, err)
		}
	}
}

// FuzzMutate: mutants of any file have names of their own and change what they say.
func FuzzMutate(f *testing.F) {
	f.Add(specimen)
	f.Add("package p\nfunc f() (a, b int) { return g() }\nvar v = func() int { return 1 }()")
	f.Add("package p\nfunc f() { switch { case a: default: x <- 1; go f() } }")
	f.Fuzz(func(t *testing.T, text string) {
		made, err := mutate("p.go", []byte(text))
		if err != nil {
			return
		}
		seen := map[string]bool{}
		for _, m := range made {
			if seen[m.name] || m.from > m.to || string(m.apply([]byte(text))) == text {
				t.Errorf("%q: %+v", text, m)
			}
			seen[m.name] = true
		}
	})
}
