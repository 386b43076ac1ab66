package main

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/importer"
	"go/parser"
	"go/token"
	"go/types"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// checker says in milliseconds whether a mutant compiles. Of the package's other files
// it keeps only what is declared.
type checker struct {
	fset  *token.FileSet
	from  types.Importer
	path  string
	files map[string]*ast.File // by name below the root, without bodies
}

func newChecker(root, pkg string) (*checker, error) {
	c := &checker{fset: token.NewFileSet(), files: map[string]*ast.File{}}
	exports, err := c.list(root, pkg)
	if err != nil {
		return nil, err
	}
	c.from = importer.ForCompiler(c.fset, "gc", func(path string) (io.ReadCloser, error) {
		if exports[path] == "" {
			return nil, fmt.Errorf("no export data of %s", path)
		}
		return os.Open(exports[path])
	})
	return c, nil
}

// list asks the go command for the package's files, and for what the packages that it
// imports export.
func (c *checker) list(root, pkg string) (exports map[string]string, err error) {
	const format = `{{.ImportPath}} {{if .DepOnly}}{{.Export}}{{else}}{{range .GoFiles}}{{.}} {{end}}{{end}}`
	cmd := exec.Command("go", "list", "-export", "-deps", "-f", format, "./"+pkg)
	cmd.Dir = root
	var fault bytes.Buffer
	cmd.Stderr = &fault
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list ./%s: %w\n%s", pkg, err, fault.Bytes())
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	exports = map[string]string{}
	for _, line := range lines[:len(lines)-1] {
		path, export, _ := strings.Cut(line, " ")
		exports[path] = export
	}
	last := strings.Fields(lines[len(lines)-1])
	c.path = last[0]
	for _, name := range last[1:] {
		name = filepath.Join(pkg, name)
		f, err := parser.ParseFile(c.fset, filepath.Join(root, name), nil, parser.SkipObjectResolution)
		if err != nil {
			return nil, err
		}
		for _, d := range f.Decls {
			if d, ok := d.(*ast.FuncDecl); ok {
				d.Body = nil
			}
		}
		c.files[filepath.ToSlash(name)] = f
	}
	return exports, nil
}

// compiles reports whether the package does with this text for the file.
func (c *checker) compiles(name string, text []byte) bool {
	changed, err := parser.ParseFile(c.fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return false
	}
	files := []*ast.File{changed}
	for other, f := range c.files {
		if other != name {
			files = append(files, f)
		}
	}
	fine := true
	cfg := types.Config{Importer: c.from, Error: func(err error) {
		e, ok := err.(types.Error)
		// What is wrong elsewhere is that the bodies are gone, unless a constant changed:
		// then the compiler tells.
		if !ok || c.fset.File(e.Pos) == c.fset.File(changed.Pos()) {
			fine = false
		}
	}}
	_, _ = cfg.Check(c.path, c.fset, files, nil)
	return fine
}
