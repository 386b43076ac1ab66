package policy

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// file is one parsed Go file of the module.
type file struct {
	path      string // below the module, with slashes
	pkg       string // its directory, below the module
	test      bool
	generated bool
	set       *token.FileSet
	syntax    *ast.File
}

// finding is one breach of a rule.
type finding struct{ at, text string }

func (f finding) String() string { return f.at + ": " + f.text }

// finds makes a finding at a node of the file.
func (f *file) finds(n ast.Node, format string, args ...any) finding {
	return finding{fmt.Sprintf("%s:%d", f.path, f.set.Position(n.Pos()).Line), fmt.Sprintf(format, args...)}
}

func parse(name string, src []byte) (*file, error) {
	f := &file{path: name, pkg: path.Dir(name), test: strings.HasSuffix(name, "_test.go"), set: token.NewFileSet()}
	var err error
	f.syntax, err = parser.ParseFile(f.set, name, src, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	f.generated = ast.IsGenerated(f.syntax)
	return f, nil
}

// load parses every Go file below root but those that no package is made of.
func load(root string) (files []*file, err error) {
	err = filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if skipped(d.Name()) && name != root {
				return fs.SkipDir
			}
			return nil
		}
		if !strings.HasSuffix(name, ".go") || skipped(d.Name()) {
			return nil
		}
		src, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		below, err := filepath.Rel(root, name)
		if err != nil {
			return err
		}
		f, err := parse(filepath.ToSlash(below), src)
		files = append(files, f)
		return err
	})
	return files, err
}

// skipped are the names that the go command ignores as well.
func skipped(name string) bool {
	return name == "testdata" || name == "vendor" || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "_")
}

// matches says whether a path below the module is meant by a pattern.
func matches(pattern, name string) bool {
	if prefix, deep := strings.CutSuffix(pattern, "/..."); deep {
		return name == prefix || strings.HasPrefix(name, prefix+"/")
	}
	return name == pattern
}

func matchesAny(patterns []string, name string) bool {
	return slices.ContainsFunc(patterns, func(p string) bool { return matches(p, name) })
}

// importPath is the path that an import names.
func importPath(s *ast.ImportSpec) string {
	p, err := strconv.Unquote(s.Path.Value)
	if err != nil {
		return s.Path.Value
	}
	return p
}

// ours cuts the module off an import path; false where the import is not ours.
func ours(p string) (string, bool) {
	return strings.CutPrefix(p, module+"/")
}

// localName is the name by which a file refers to an import; "" where it does not.
func (f *file) localName(importing string) string {
	for _, s := range f.syntax.Imports {
		if importPath(s) != importing {
			continue
		}
		if s.Name != nil {
			return s.Name.Name
		}
		return path.Base(importing)
	}
	return ""
}

// packages groups files by directory, in order.
func packages(files []*file) (list [][]*file) {
	byDir := map[string][]*file{}
	var dirs []string
	for _, f := range files {
		if byDir[f.pkg] == nil {
			dirs = append(dirs, f.pkg)
		}
		byDir[f.pkg] = append(byDir[f.pkg], f)
	}
	slices.Sort(dirs)
	for _, d := range dirs {
		list = append(list, byDir[d])
	}
	return list
}
