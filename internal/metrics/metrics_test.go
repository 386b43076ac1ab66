package metrics

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
)

// books is a source that says what it was given.
type books struct {
	queues []session.QueueBooks
	err    error
	times  *dataplane.Times
}

func (b *books) Books(context.Context) ([]session.QueueBooks, error) { return b.queues, b.err }
func (b *books) Times(context.Context) (*dataplane.Times, error)     { return b.times, nil }

func get(t *testing.T, s *Server) string {
	t.Helper()
	resp, err := http.Get(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%v, %v: %s", resp.Status, err, text)
	}
	return string(text)
}

func listen(t *testing.T, addr string) *Server {
	t.Helper()
	s, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// What is shown is what the books say, for each queue; the holders add up to UMEM; a ledger that does not balance
// says so.
func TestMetrics(t *testing.T) {
	s := listen(t, ":0")
	if !strings.HasPrefix(s.URL(), "http://127.0.0.1:") {
		t.Errorf("without a host it is at %s", s.URL())
	}
	if text := get(t, s); strings.Contains(text, "xsend_") {
		t.Errorf("before there is a session:\n%s", text)
	}
	q := session.QueueBooks{Queue: 3}
	q.Ledger = dataplane.Ledger{Submitted: 7, Completed: 5, InFlight: 2, Duplicate: 4, Frames: 10, Placed: 10}
	q.Holders = dataplane.Holders{Total: 10, Chunk: 2048}
	q.Holders.Frames[dataplane.BehindHole], q.Holders.Frames[dataplane.SlowNIC] = 6, 4
	source := &books{queues: []session.QueueBooks{q, {Queue: 4}}, times: dataplane.NewTimes()}
	s.Show(source)
	text := get(t, s)
	for _, line := range []string{
		`xsend_descriptors_submitted_total{queue="3"} 7`, `xsend_descriptors_in_flight{queue="3"} 2`, `xsend_descriptors_submitted_total{queue="4"} 0`,
		`xsend_faults_total{line="duplicate",queue="3"} 4`, `xsend_frames{holder="sack_hole",queue="3"} 6`, `xsend_frames{holder="slow_nic",queue="3"} 4`,
		`xsend_memory_bytes{holder="sack_hole",queue="3"} 12288`, `xsend_ledger_balanced 1`, `xsend_stage_seconds_count{stage="hold"} 0`,
	} {
		if !strings.Contains(text, line+"\n") {
			t.Errorf("no %s in\n%s", line, text)
		}
	}
	source.err = errors.New("queue 3: the books don't add up")
	if text := get(t, s); !strings.Contains(text, "xsend_ledger_balanced 0\n") {
		t.Errorf("no word of what does not add up:\n%s", text)
	}
	source.queues = nil
	if text := get(t, s); strings.Contains(text, "xsend_") {
		t.Errorf("after the session:\n%s", text)
	}
}

// An address other than the loopback interface's has to be said, and can be; one that can't be had is refused.
func TestListen(t *testing.T) {
	if s := listen(t, "0.0.0.0:0"); strings.Contains(s.URL(), "127.0.0.1") {
		t.Errorf("asked for all addresses, listens at %s", s.URL())
	}
	taken := listen(t, "127.0.0.1:0")
	for _, addr := range []string{"9090", "localhost", ":x", strings.TrimSuffix(strings.TrimPrefix(taken.URL(), "http://"), "/metrics")} {
		if s, err := Listen(addr); err == nil || !strings.Contains(err.Error(), "--metrics "+addr) {
			t.Errorf("%s: %v, %v", addr, s, err)
		}
	}
}
