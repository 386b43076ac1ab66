package main

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"
)

// runHere runs a command line in this process.
func runHere(t *testing.T, args ...string) (string, int) {
	t.Helper()
	var out, diagnostics bytes.Buffer
	code := run(t.Context(), stdio{os.Stdin, &out, &diagnostics}, args)
	return out.String(), code
}

func TestVersion(t *testing.T) {
	out, code := runHere(t, "version", "--json")
	var b build
	if err := json.Unmarshal([]byte(out), &b); err != nil || code != 0 {
		t.Fatalf("%q, exit code %d, %v", out, code, err)
	}
	if b.Version == "" || b.Go == "" || b.Kernel == "" || b.Platform == "" {
		t.Errorf("%+v", b)
	}
}
