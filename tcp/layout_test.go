package tcp

import (
	"os"
	"os/exec"
	"testing"
)

// TestOtherLayouts runs all tests of the package again: with packets of several descriptors, with checksums that
// are asked for, and with both.
func TestOtherLayouts(t *testing.T) {
	if testing.Short() || testSegs > 1 || *offloadAll {
		t.Skip("one layout is enough")
	}
	for _, c := range []struct{ segments, offload string }{{"1", "true"}, {"18", "false"}, {"18", "true"}} {
		cmd := exec.Command(os.Args[0], "-test.short", "-tcp.offload="+c.offload)
		cmd.Env = append(os.Environ(), layoutVariable+"="+c.segments)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s descriptors, offload %s: %v\n%s", c.segments, c.offload, err, out)
		}
	}
}
