package policy

import (
	"fmt"
	"go/ast"
	"path"
	"regexp"
	"slices"
	"strings"
)

// checkPackageDoc finds packages that don't say what they are for: in doc.go,
// or in the package's only file, or in any file of a command.
func checkPackageDoc(files []*file) (found []finding) {
	for _, pkg := range packages(files) {
		var code, documented []string
		for _, f := range pkg {
			if f.test || f.generated {
				continue
			}
			code = append(code, path.Base(f.path))
			if f.syntax.Doc.Text() != "" {
				documented = append(documented, path.Base(f.path))
			}
		}
		command := pkg[0].syntax.Name.Name == "main"
		switch {
		case len(code) == 0 && !slices.ContainsFunc(pkg, func(f *file) bool { return f.generated }):
			found = append(found, pkg[0].finds(pkg[0].syntax.Name, "package %s has tests and no doc.go", pkg[0].pkg))
		case len(documented) == 0:
			found = append(found, pkg[0].finds(pkg[0].syntax.Name, "package %s has no package comment", pkg[0].pkg))
		case len(documented) > 1:
			found = append(found, pkg[0].finds(pkg[0].syntax.Name, "package %s has package comments in %v", pkg[0].pkg, documented))
		case !command && len(code) > 1 && documented[0] != "doc.go":
			found = append(found, pkg[0].finds(pkg[0].syntax.Name, "package %s has its comment in %s, not in doc.go", pkg[0].pkg, documented[0]))
		}
	}
	return found
}

// checkExported finds exported names of public packages without a comment.
func checkExported(f *file) (found []finding) {
	if f.test || f.generated || !matchesAny(public, f.pkg) || strings.Contains("/"+f.pkg+"/", "/internal/") {
		return nil
	}
	for _, d := range f.syntax.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Name.IsExported() && exportedReceiver(d) && d.Doc.Text() == "" {
				found = append(found, f.finds(d.Name, "%s has no comment", d.Name.Name))
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				found = append(found, f.undocumented(s, d.Doc.Text() != "")...)
			}
		}
	}
	return found
}

func exportedReceiver(d *ast.FuncDecl) bool {
	if d.Recv == nil {
		return true
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
			return x.IsExported()
		default:
			return true
		}
	}
}

// undocumented are the exported names of one type, constant or variable; a comment
// of the whole group will do.
func (f *file) undocumented(s ast.Spec, group bool) (found []finding) {
	switch s := s.(type) {
	case *ast.TypeSpec:
		if !s.Name.IsExported() {
			return nil
		}
		if !group && s.Doc.Text() == "" {
			found = append(found, f.finds(s.Name, "%s has no comment", s.Name.Name))
		}
		if i, ok := s.Type.(*ast.InterfaceType); ok {
			found = append(found, f.undocumentedMethods(s.Name.Name, i)...)
		}
	case *ast.ValueSpec:
		for _, name := range s.Names {
			if name.IsExported() && !group && s.Doc.Text() == "" && s.Comment.Text() == "" {
				found = append(found, f.finds(name, "%s has no comment", name.Name))
			}
		}
	}
	return found
}

func (f *file) undocumentedMethods(of string, i *ast.InterfaceType) (found []finding) {
	for _, m := range i.Methods.List {
		if len(m.Names) == 1 && m.Names[0].IsExported() && m.Doc.Text() == "" && m.Comment.Text() == "" {
			found = append(found, f.finds(m, "%s.%s has no comment", of, m.Names[0].Name))
		}
	}
	return found
}

// checkWords finds names of files and packages that say nothing.
func checkWords(f *file) (found []finding) {
	names := append(regexp.MustCompile(`[^a-z0-9]+`).Split(strings.ToLower(f.path), -1), strings.ToLower(f.syntax.Name.Name))
	for _, w := range words {
		if slices.ContainsFunc(names, func(n string) bool { return n == w || n == w+"s" }) {
			found = append(found, f.finds(f.syntax.Name, "the name says %q", w))
		}
	}
	return found
}

var (
	rfcCited  = regexp.MustCompile(`RFC\s?(\d{3,5})`)
	rfcLinked = regexp.MustCompile(`https://www\.rfc-editor\.org/rfc/rfc(\d{3,5})`)
)

// unlinkedRFCs are the RFCs that a file cites without a link to any section of
// them. It is told, not forbidden: the package's doc.go may have the link.
func unlinkedRFCs(f *file) (found []finding) {
	linked, told := map[string]bool{}, map[string]bool{}
	for _, c := range f.syntax.Comments {
		for _, m := range rfcLinked.FindAllStringSubmatch(c.Text(), -1) {
			linked[m[1]] = true
		}
	}
	for _, c := range f.syntax.Comments {
		for _, m := range rfcCited.FindAllStringSubmatch(c.Text(), -1) {
			if n := m[1]; !linked[n] && !told[n] {
				told[n] = true
				found = append(found, f.finds(c, "RFC %s without a link, https://www.rfc-editor.org/rfc/rfc%s#section-N", n, n))
			}
		}
	}
	return found
}

// longFiles are told too: a file of more than one meaning is often long.
func longFiles(f *file) []finding {
	const screenfuls = 300
	if n := f.set.Position(f.syntax.FileEnd).Line; n > screenfuls && !f.generated {
		return []finding{{f.path, fmt.Sprintf("%d lines", n)}}
	}
	return nil
}
