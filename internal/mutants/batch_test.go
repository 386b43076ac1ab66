package main

import (
	"go/parser"
	"go/token"
	"strings"
	"testing"
)

// TestBatch: copies for what is in a function, one by one for the rest.
func TestBatch(t *testing.T) {
	const text = "package p\n\nconst a = 1\n\nfunc f() { g(a) }\n\nfunc g(n int) int { return n }\n\nfunc h() {\nagain:\n\tfor {\n\t\tcontinue again\n\t}\n}\n"
	made, err := mutate("p.go", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	var all []*mutant
	for _, m := range made {
		all = append(all, &mutant{mutation: m})
	}
	code, in, alone, err := batch("p.go", []byte(text), all)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.ParseFile(token.NewFileSet(), "p.go", code, 0); err != nil {
		t.Fatalf("%v\n%s", err, code)
	}
	if len(in) != 2 || len(alone) != 3 {
		t.Errorf("%d in the batch, %d alone\n%s", len(in), len(alone), code)
	}
	// A copy that ends is the end of the function, and does not go on with the next.
	for _, want := range []string{"func f() { if mutantNow == 1 {  \nreturn\n}", "if mutantNow == 2 { _ = n; return 0 \n}", " return n }"} {
		if !strings.Contains(string(code), want) {
			t.Errorf("no %q in\n%s", want, code)
		}
	}
}
