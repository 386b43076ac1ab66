package session_test

import (
	"errors"
	"testing"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
	"github.com/xsend/xsend/tcp"
)

// A pair of ports in TIME-WAIT serves a new connection to the same peer at once, and a
// kernel receiver takes it. To another peer the port is in use.
func TestLocalPortInTimeWait(t *testing.T) {
	t.Parallel()
	const again = 3
	r := newRig(t, lab.Config{})
	rc := r.receive(func(c *sink.Config) { c.Count = again })
	other := r.receive(nil)
	s := r.open(session.Config{})
	for n := range again {
		c, err := s.Dial(within(t), session.DialConfig{Remote: rc.addr, LocalPort: 4321})
		if err != nil {
			t.Fatalf("connection %d: %v", n+1, err)
		}
		p := payload(uint64(n), 1<<20)
		if err := write(within(t), c, p); err != nil {
			t.Fatal(err)
		}
		if res := <-rc.results; res.SHA256 != sumOf(p) {
			t.Fatalf("connection %d: %+v", n+1, res)
		}
		if err := c.WaitPeerClosed(within(t)); err != nil {
			t.Fatal(err)
		}
		c.Close()
		if !eventually(patience, func() bool { return c.Stream().State() == tcp.TimeWait }) {
			t.Fatalf("connection %d is %v", n+1, c.Stream().State())
		}
	}
	if _, err := s.Dial(within(t), session.DialConfig{Remote: other.addr, LocalPort: 4321}); !errors.Is(err, hw.ErrPortInUse) {
		t.Errorf("to another peer: %v", err)
	}
	closed(t, s)
}
