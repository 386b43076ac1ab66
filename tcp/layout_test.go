package tcp

import (
	"os"
	"os/exec"
	"testing"
)

// TestScatterGather runs all tests of the package again, with packets of several descriptors.
func TestScatterGather(t *testing.T) {
	if testing.Short() || testSegs > 1 {
		t.Skip("the linear layout is enough")
	}
	cmd := exec.Command(os.Args[0], "-test.short")
	cmd.Env = append(os.Environ(), layoutVariable+"=18")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
