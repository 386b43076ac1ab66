package main

import (
	"fmt"
	"go/ast"
	"go/token"
	"slices"
	"strconv"
	"strings"
)

// swaps are what comes in place of an operator: of a comparison its boundary and its
// contrary, of arithmetic what undoes it.
var swaps = map[token.Token][]token.Token{
	token.LSS:  {token.LEQ, token.GEQ},
	token.LEQ:  {token.LSS, token.GTR},
	token.GTR:  {token.GEQ, token.LEQ},
	token.GEQ:  {token.GTR, token.LSS},
	token.EQL:  {token.NEQ},
	token.NEQ:  {token.EQL},
	token.LAND: {token.LOR},
	token.LOR:  {token.LAND},

	token.ADD:     {token.SUB},
	token.SUB:     {token.ADD},
	token.MUL:     {token.QUO},
	token.QUO:     {token.MUL},
	token.REM:     {token.MUL},
	token.AND:     {token.OR},
	token.OR:      {token.AND},
	token.XOR:     {token.AND},
	token.AND_NOT: {token.AND},
	token.SHL:     {token.SHR},
	token.SHR:     {token.SHL},

	token.ADD_ASSIGN:     {token.SUB_ASSIGN},
	token.SUB_ASSIGN:     {token.ADD_ASSIGN},
	token.MUL_ASSIGN:     {token.QUO_ASSIGN},
	token.QUO_ASSIGN:     {token.MUL_ASSIGN},
	token.REM_ASSIGN:     {token.MUL_ASSIGN},
	token.AND_ASSIGN:     {token.OR_ASSIGN},
	token.OR_ASSIGN:      {token.AND_ASSIGN},
	token.XOR_ASSIGN:     {token.AND_ASSIGN},
	token.AND_NOT_ASSIGN: {token.AND_ASSIGN},
	token.SHL_ASSIGN:     {token.SHR_ASSIGN},
	token.SHR_ASSIGN:     {token.SHL_ASSIGN},

	token.INC: {token.DEC},
	token.DEC: {token.INC},

	token.CONTINUE: {token.BREAK},
	token.BREAK:    {token.CONTINUE},
}

func (s *source) swap(at token.Pos, op token.Token) {
	for _, with := range swaps[op] {
		s.replace(at, at+token.Pos(len(op.String())), with.String())
	}
}

// function mutates what is in a function; one that stands in another has results of its own.
func (s *source) function(t *ast.FuncType, body *ast.BlockStmt) {
	if body == nil {
		return
	}
	s.inspect(body, s.results(t))
}

// expression mutates what stands outside of functions.
func (s *source) expression(e ast.Expr) { s.inspect(e, nil) }

func (s *source) inspect(root ast.Node, results []string) {
	ast.Inspect(root, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.FuncLit:
			s.function(n.Type, n.Body)
			return false
		case *ast.ArrayType: // a length is no value
			return false
		case *ast.BinaryExpr:
			s.swap(n.OpPos, n.Op)
			if n.Op == token.LAND || n.Op == token.LOR {
				s.negate(n.X)
				s.negate(n.Y)
			}
		case *ast.UnaryExpr:
			if n.Op == token.NOT {
				s.replace(n.OpPos, n.OpPos+1, "")
			}
		case *ast.BasicLit:
			s.constant(n)
		case *ast.Ident:
			s.truth(n)
		case *ast.AssignStmt:
			s.swap(n.TokPos, n.Tok)
		case *ast.IncDecStmt:
			s.swap(n.TokPos, n.Tok)
		case *ast.BranchStmt:
			s.swap(n.TokPos, n.Tok)
		case *ast.ForStmt:
			if n.Cond != nil {
				s.negate(n.Cond)
			}
		case *ast.IfStmt:
			s.negate(n.Cond)
			s.empty(n.Body.Lbrace, n.Body.Rbrace, n.Body.List)
			if e, ok := n.Else.(*ast.BlockStmt); ok {
				s.empty(e.Lbrace, e.Rbrace, e.List)
			}
		case *ast.SwitchStmt:
			s.cases(n)
		case *ast.CaseClause:
			s.emptyCase(n.Colon, n.Body)
		case *ast.CommClause:
			s.emptyCase(n.Colon, n.Body)
		case *ast.ReturnStmt:
			s.zeroes(n, results)
		}
		for _, stmt := range statements(n) {
			s.remove(stmt)
		}
		return true
	})
}

// statements are those that stand in n one after the other.
func statements(n ast.Node) []ast.Stmt {
	switch n := n.(type) {
	case *ast.BlockStmt:
		return n.List
	case *ast.CaseClause:
		return n.Body
	case *ast.CommClause:
		return n.Body
	}
	return nil
}

// negate turns a condition round, unless it is one whose operator does that.
func (s *source) negate(e ast.Expr) {
	switch x := e.(type) {
	case *ast.BinaryExpr:
		return
	case *ast.UnaryExpr:
		if x.Op == token.NOT {
			return
		}
	case *ast.ParenExpr:
		return
	case *ast.Ident:
		if x.Name == "true" || x.Name == "false" {
			return
		}
	}
	s.replace(e.Pos(), e.Pos(), "!")
}

// cases turns the conditions of a switch without a tag round.
func (s *source) cases(n *ast.SwitchStmt) {
	if n.Tag != nil {
		return
	}
	for _, c := range n.Body.List {
		for _, e := range c.(*ast.CaseClause).List {
			s.negate(e)
		}
	}
}

// constant makes an integer greater and smaller by one.
func (s *source) constant(n *ast.BasicLit) {
	if n.Kind != token.INT {
		return
	}
	v, err := strconv.ParseInt(n.Value, 0, 64)
	if err != nil {
		return // beyond 63 bits
	}
	for _, with := range []int64{v + 1, v - 1} {
		s.replace(n.Pos(), n.End(), strconv.FormatInt(with, 10))
	}
}

func (s *source) truth(n *ast.Ident) {
	switch n.Name {
	case "true":
		s.replace(n.Pos(), n.End(), "false")
	case "false":
		s.replace(n.Pos(), n.End(), "true")
	}
}

// remove takes a statement out: a call, an assignment, an increment, a return that
// others follow. What an assignment would have assigned is still evaluated, so that
// the mutant compiles.
func (s *source) remove(stmt ast.Stmt) {
	switch n := stmt.(type) {
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		s.replace(n.Pos(), n.End(), "")
	case *ast.ReturnStmt:
		if len(n.Results) == 0 {
			s.replace(n.Pos(), n.End(), "")
		}
	case *ast.AssignStmt:
		if n.Tok != token.DEFINE {
			s.show(n.Pos(), n.End(), s.discard(n.Rhs, len(n.Lhs)), "")
		}
	}
}

// discard evaluates expressions that give n values and lets the values fall.
func (s *source) discard(list []ast.Expr, n int) string {
	var code []string
	for _, e := range list {
		if isName(e, "nil") {
			return ""
		}
		code = append(code, s.code(e))
	}
	return strings.TrimSuffix(strings.Repeat("_, ", n), ", ") + " = " + strings.Join(code, ", ")
}

func isName(e ast.Expr, name string) bool {
	id, ok := e.(*ast.Ident)
	return ok && id.Name == name
}

// empty leaves a branch with nothing in it. Where it is one statement that is taken
// out anyway, that is the same mutant.
func (s *source) empty(open, end token.Pos, body []ast.Stmt) {
	if len(body) == 0 || len(body) == 1 && removable(body[0]) {
		return
	}
	s.show(open, end+1, "{}", "{}")
}

func (s *source) emptyCase(colon token.Pos, body []ast.Stmt) {
	if len(body) == 0 || len(body) == 1 && removable(body[0]) {
		return
	}
	s.show(colon, body[len(body)-1].End(), ":", ":")
}

func removable(stmt ast.Stmt) bool {
	switch n := stmt.(type) {
	case *ast.ExprStmt, *ast.IncDecStmt, *ast.DeferStmt, *ast.GoStmt, *ast.SendStmt:
		return true
	case *ast.ReturnStmt:
		return len(n.Results) == 0
	case *ast.AssignStmt:
		return n.Tok != token.DEFINE
	}
	return false
}

// results are the types of what a function returns, one for each value.
func (s *source) results(t *ast.FuncType) (list []string) {
	if t.Results == nil {
		return nil
	}
	for _, f := range t.Results.List {
		for range max(1, len(f.Names)) {
			list = append(list, s.code(f.Type))
		}
	}
	return list
}

// zeroes returns the zero value in place of each result in turn. What was to be
// returned is still evaluated.
func (s *source) zeroes(n *ast.ReturnStmt, results []string) {
	if len(n.Results) == 1 && len(results) > 1 { // return f()
		var zero []string
		for _, t := range results {
			zero = append(zero, zeroOf(t))
		}
		all := strings.Join(zero, ", ")
		s.show(n.Pos(), n.End(), fmt.Sprintf("%s; return %s", s.discard(n.Results, len(results)), all), "return "+all)
	}
	if len(n.Results) != len(results) {
		return // named results, or what does not compile
	}
	for i, e := range n.Results {
		zero := zeroOf(results[i])
		if s.isZero(e, zero) {
			continue
		}
		var code []string
		for _, r := range n.Results {
			code = append(code, s.code(r))
		}
		code[i] = zero
		with := fmt.Sprintf("%s; return %s", s.discard(n.Results[i:i+1], 1), strings.Join(code, ", "))
		s.mutant(n, e, with, zero)
	}
}

// mutant replaces all of n, and is shown as a change of the part of it only.
func (s *source) mutant(n, part ast.Node, with, as string) {
	s.show(part.Pos(), part.End(), with, as)
	m := &s.made[len(s.made)-1]
	m.from, m.to = s.offset(n.Pos()), s.offset(n.End())
}

// isZero reports that an expression is the zero value already, as far as one can see.
func (s *source) isZero(e ast.Expr, zero string) bool {
	code := s.code(e)
	return code == zero || code == "nil" || code == "0" || strings.HasSuffix(code, "{}")
}

var numbers = []string{"int", "int8", "int16", "int32", "int64", "uint", "uint8", "uint16", "uint32", "uint64", "uintptr", "byte"}

// zeroOf is the zero value of a type that is known by its name only.
func zeroOf(t string) string {
	switch {
	case t == "bool":
		return "false"
	case t == "string":
		return `""`
	case slices.Contains(numbers, t):
		return "0"
	case t == "error", strings.HasPrefix(t, "*"), strings.HasPrefix(t, "[]"), strings.HasPrefix(t, "func("), strings.HasPrefix(t, "map["):
		return "nil"
	}
	return "*new(" + t + ")"
}
