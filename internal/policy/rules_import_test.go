package policy

import (
	"path"
	"slices"
	"strings"
)

// checkArrows finds imports of ours that go against the arrows.
func checkArrows(f *file) (found []finding) {
	row := rowFor(f.pkg)
	if row < 0 {
		return []finding{f.finds(f.syntax.Name, "package %s has no row in the table of arrows", f.pkg)}
	}
	for _, s := range f.syntax.Imports {
		what, is := ours(importPath(s))
		if !is || mayImport(f, arrows[row].may, what) {
			continue
		}
		found = append(found, f.finds(s, "%s imports %s: against the arrows", f.pkg, what))
	}
	return found
}

// rowFor is the most exact row of arrows for a package, -1 for none.
func rowFor(pkg string) int {
	best := -1
	for i, a := range arrows {
		if matches(a.of, pkg) && (best < 0 || len(a.of) > len(arrows[best].of)) {
			best = i
		}
	}
	return best
}

func mayImport(f *file, may []string, what string) bool {
	if f.test && (what == f.pkg || matchesAny(testArrows, what) || isTestOnly(what)) {
		return true
	}
	for _, n := range never {
		if matches(n.of, f.pkg) && matches(n.what, what) && !matches(n.what, f.pkg) {
			return false
		}
	}
	return matchesAny(may, what)
}

// isTestOnly says whether a package is there for tests alone.
func isTestOnly(pkg string) bool {
	return matchesAny(testOnly, pkg) || strings.HasSuffix(path.Base(pkg), "test")
}

// checkTestOnly finds test packages in what is shipped.
func checkTestOnly(f *file) (found []finding) {
	if f.test || isTestOnly(f.pkg) {
		return nil
	}
	for _, s := range f.syntax.Imports {
		if what, is := ours(importPath(s)); is && isTestOnly(what) {
			found = append(found, f.finds(s, "%s is for tests only", what))
		}
	}
	return found
}

// checkPure finds what a pure package may not import.
func checkPure(f *file) (found []finding) {
	if f.test || !matchesAny(pure, f.pkg) {
		return nil
	}
	for _, s := range f.syntax.Imports {
		p := importPath(s)
		if _, is := ours(p); is || slices.Contains(pureImports, p) || excepted(f, p) {
			continue
		}
		found = append(found, f.finds(s, "%s imports %s: not on its list", f.pkg, p))
	}
	return found
}

func excepted(f *file, p string) bool {
	for _, e := range pureExceptions {
		if e.path == p && (e.in == f.pkg || e.in == f.path) {
			return true
		}
	}
	return false
}

// checkUnsafe finds unsafe, and names linked behind the compiler's back, outside
// the files that are named for it.
func checkUnsafe(f *file) (found []finding) {
	if f.generated || strings.HasSuffix(strings.TrimSuffix(f.path, "_test.go"), "_unsafe") || strings.HasSuffix(f.path, "_unsafe.go") {
		return nil
	}
	for _, s := range f.syntax.Imports {
		if p := importPath(s); p == "unsafe" || p == "C" {
			found = append(found, f.finds(s, "%s outside *_unsafe.go", p))
		}
	}
	for _, group := range f.syntax.Comments {
		for _, c := range group.List {
			if strings.HasPrefix(c.Text, "//go:linkname") {
				found = append(found, f.finds(c, "linkname outside *_unsafe.go"))
			}
		}
	}
	return found
}
