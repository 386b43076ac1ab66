package session_test

import (
	"context"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/sink"
)

// With several queues the kernel chooses where answers arrive: every connection
// works, and what arrives elsewhere is handed over.
func TestQueuesAnswersAnywhere(t *testing.T) {
	const conns = 6
	r := newRig(t, lab.Config{Queues: 4})
	rc := r.receive(func(c *sink.Config) { c.Count = conns })
	s := r.open(session.Config{Writers: conns})
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var want string // the same for all
	for range conns {
		c, err := s.Dial(ctx, session.DialConfig{Remote: rc.addr})
		if err != nil {
			t.Fatal(err)
		}
		p := payload(1, 1<<20)
		want = sumOf(p)
		if err := write(ctx, c, p); err != nil {
			t.Fatal(err)
		}
	}
	for res := range rc.results {
		if res.Bytes != 1<<20 || res.SHA256 != want {
			t.Errorf("%+v", res)
		}
	}
	report, err := s.Close()
	if err != nil {
		t.Error(err)
	}
	k := report.Counters
	t.Logf("%+v", k)
	if k.Submitted != k.Completed || k.RxUnknown > 0 || k.RxOtherQueue == 0 {
		t.Errorf("%+v", report)
	}
}
