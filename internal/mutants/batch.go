package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strings"
)

// chooser is the environment variable that tells a batch which of its mutants to be.
const chooser = "XSEND_MUTANT"

// batch is one file with many mutants in it, so that one compilation does for all of
// them: each function begins with a copy of its body for each of its mutants, and takes
// one of them when the process is told to. Mutant i is chosen as i+1; nobody chosen is
// the code as it stands. Mutants of declarations cannot be had this way, nor those of
// functions with labels; they are returned.
func batch(name string, text []byte, mutants []*mutant) (code []byte, in, alone []*mutant, err error) {
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, name, text, parser.SkipObjectResolution)
	if err != nil {
		return nil, nil, nil, err
	}
	at := func(p token.Pos) int { return fset.Position(p).Offset }
	var b strings.Builder
	done := at(file.Name.End())
	fmt.Fprintf(&b, "%s; import mutantEnv %q; import mutantConv %q", text[:done], "os", "strconv")
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Body == nil || labelled(f.Body) {
			continue
		}
		open := at(f.Body.Lbrace) + 1
		b.Write(text[done:open])
		done = open
		for _, m := range mutants {
			if m.from < open || m.to > at(f.Body.Rbrace) {
				continue
			}
			in = append(in, m)
			body := string(text[open:m.from]) + m.with + string(text[m.to:at(f.Body.Rbrace)])
			fmt.Fprintf(&b, " if mutantNow == %d {%s\n", len(in), body)
			if f.Type.Results == nil {
				b.WriteString("return\n")
			}
			b.WriteString("}\n")
		}
	}
	fmt.Fprintf(&b, "%s\nvar mutantNow, _ = mutantConv.Atoi(mutantEnv.Getenv(%q))\n", text[done:], chooser)
	return []byte(b.String()), in, without(mutants, in), nil
}

func labelled(body *ast.BlockStmt) (found bool) {
	ast.Inspect(body, func(n ast.Node) bool {
		_, label := n.(*ast.LabeledStmt)
		found = found || label
		return !found
	})
	return found
}

func without(all, some []*mutant) []*mutant {
	return slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return slices.Contains(some, m) })
}
