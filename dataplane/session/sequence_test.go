package session

import (
	"testing"

	"github.com/xsend/xsend/tcp"
)

// A reused pair of ports begins above what the former connection used, also where the
// numbers wrap; the clock's number stands where it is above already.
func TestSequenceOfReusedPorts(t *testing.T) {
	for _, c := range []struct {
		reused           bool
		above, iss, want tcp.Seq
	}{
		{false, 5000, 100, 100},
		{true, 5000, 100, 5000},
		{true, 5000, 6000, 6000},
		{true, 20, 1<<32 - 100, 20},
	} {
		conn := &Conn{reused: c.reused, above: c.above}
		if got := conn.sequence(c.iss); got != c.want {
			t.Errorf("%+v: %d", c, got)
		}
	}
}
