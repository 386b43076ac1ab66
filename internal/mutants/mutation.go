package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// mutation is one change of one place of a file.
type mutation struct {
	name     string // file, function, and the line with the change marked; lines may move
	file     string // below the root
	line     int
	from, to int    // the bytes that are replaced
	with     string // by these
}

// apply is the file with the change in it.
func (m mutation) apply(src []byte) []byte {
	return []byte(string(src[:m.from]) + m.with + string(src[m.to:]))
}

// source is a file that mutations are made of.
type source struct {
	name string // below the root
	text []byte
	fset *token.FileSet
	in   string // the function, or the declaration, that is being looked at
	made []mutation
	seen map[string]int
}

// mutationsOf are all mutations of a file, in order of their places.
func mutationsOf(root, name string) ([]mutation, []byte, error) {
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		return nil, nil, err
	}
	made, err := mutate(filepath.ToSlash(name), text)
	return made, text, err
}

func mutate(name string, text []byte) ([]mutation, error) {
	s := &source{name: name, text: text, fset: token.NewFileSet(), seen: map[string]int{}}
	file, err := parser.ParseFile(s.fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	for _, d := range file.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			s.in = funcName(d)
			s.function(d.Type, d.Body)
		case *ast.GenDecl:
			s.declaration(d)
		}
	}
	slices.SortStableFunc(s.made, func(a, b mutation) int { return cmp.Compare(a.from, b.from) })
	return s.made, nil
}

// declaration mutates the values of constants and variables.
func (s *source) declaration(d *ast.GenDecl) {
	for _, spec := range d.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok {
			s.in = v.Names[0].Name
			for _, e := range v.Values {
				s.expression(e)
			}
		}
	}
}

// funcName is "Step" or "Poller.Step".
func funcName(d *ast.FuncDecl) string {
	if d.Recv.NumFields() == 0 {
		return d.Name.Name
	}
	t := d.Recv.List[0].Type
	for {
		switch x := t.(type) {
		case *ast.StarExpr:
			t = x.X
		case *ast.IndexExpr:
			t = x.X
		case *ast.IndexListExpr:
			t = x.X
		case *ast.Ident:
			return x.Name + "." + d.Name.Name
		default:
			return d.Name.Name
		}
	}
}

func (s *source) offset(p token.Pos) int { return s.fset.Position(p).Offset }

func (s *source) code(n ast.Node) string { return string(s.text[s.offset(n.Pos()):s.offset(n.End())]) }

// replace makes a mutation of what stands from one position to another.
func (s *source) replace(from, to token.Pos, with string) { s.show(from, to, with, with) }

// show is replace for a change that reads shorter than it is.
func (s *source) show(from, to token.Pos, with, as string) {
	m := mutation{file: s.name, line: s.fset.Position(from).Line, from: s.offset(from), to: s.offset(to), with: with}
	name := s.mark(m.from, m.to, as)
	s.seen[name]++
	if n := s.seen[name]; n > 1 {
		name = fmt.Sprintf("%s #%d", name, n)
	}
	m.name = name
	s.made = append(s.made, m)
}

// mark is the name of a mutation: the line that it begins in, with what was and what
// comes instead. It changes only where the line does.
func (s *source) mark(from, to int, as string) string {
	text := string(s.text)
	begin := strings.LastIndexByte(text[:from], '\n') + 1
	end := len(text)
	if n := strings.IndexByte(text[to:], '\n'); n >= 0 {
		end = to + n
	}
	old, tail := text[from:to], text[to:end]
	if first, _, more := strings.Cut(old, "\n"); more {
		old, tail = first+" …", ""
	}
	if at := strings.Index(tail, " //"); at >= 0 {
		tail = tail[:at]
	}
	line := fmt.Sprintf("%s«%s → %s»%s", text[begin:from], old, as, tail)
	return fmt.Sprintf("%s %s: %s", s.name, s.in, strings.Join(strings.Fields(line), " "))
}
