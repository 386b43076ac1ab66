package policy

import (
	"go/ast"
	"go/token"
	"slices"
)

// checkClock finds clock reads where time is a parameter.
func checkClock(f *file) (found []finding) {
	if !matchesAny(timeless, f.pkg) && (f.test || !matches("dataplane/...", f.pkg) || matchesAny(clockFiles, f.path)) {
		return nil
	}
	for from, names := range clocks {
		local := f.localName(from)
		if local == "" {
			continue
		}
		if local == "." {
			found = append(found, f.finds(f.syntax.Name, "%s is imported with a dot: clock reads can't be seen", from))
		}
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok && isName(s.X, local) && slices.Contains(names, s.Sel.Name) {
				found = append(found, f.finds(s, "%s.%s: time is a parameter here", from, s.Sel.Name))
			}
			return true
		})
	}
	return found
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// checkFloats finds floats where traces must not differ by CPU.
func checkFloats(f *file) (found []finding) {
	if f.test || !matchesAny(integers, f.pkg) {
		return nil
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.Ident:
			if slices.Contains([]string{"float32", "float64", "complex64", "complex128"}, n.Name) {
				found = append(found, f.finds(n, "%s in integer code", n.Name))
			}
		case *ast.BasicLit:
			if n.Kind == token.FLOAT || n.Kind == token.IMAG {
				found = append(found, f.finds(n, "%s in integer code", n.Value))
			}
		}
		return true
	})
	return found
}

// checkQuiet finds goroutines and channels where one goroutine owns everything.
func checkQuiet(f *file) (found []finding) {
	if f.test || !matchesAny(pure, f.pkg) {
		return nil
	}
	ast.Inspect(f.syntax, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.GoStmt:
			found = append(found, f.finds(n, "a goroutine in %s", f.pkg))
		case *ast.ChanType, *ast.SelectStmt, *ast.SendStmt:
			found = append(found, f.finds(n, "a channel in %s", f.pkg))
		}
		return true
	})
	return found
}
