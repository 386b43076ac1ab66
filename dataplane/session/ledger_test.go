package session_test

import (
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/faulttest"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/tcp"
	"github.com/xsend/xsend/umem"
)

// Each fault between us and a real kernel is one line of the ledger, and the receiver has every byte nevertheless.
func TestEachFaultIsItsOwnLine(t *testing.T) {
	for name, c := range map[string]struct {
		kind faulttest.Kind
		line string
	}{
		"no fault":                          {},
		"completion lost":                   {faulttest.Lost, "quarantined"},
		"completion duplicated":             {faulttest.Twice, "duplicate"},
		"completion of what was not out":    {faulttest.Stray, "spurious"},
		"completion out of range":           {faulttest.OutOfRange, "out_of_range"},
		"completion late":                   {faulttest.Late, "late"},
		"descriptor completed but not sent": {faulttest.Refused, "not_sent"}, // the kernel counts it
		"payload changed in flight":         {faulttest.Rewritten, "rewritten_in_flight"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, lab.Config{})
			rc := r.receive(nil)
			var fault *faulttest.Fault
			start := time.Now()
			cfg := session.Config{Witness: true, Times: true, Frames: smallFrames}
			cfg.Wrap(func(_ int, p dataplane.Port, region *umem.Region) dataplane.Port {
				if fault == nil {
					fault = faulttest.New(faulttest.Config{
						Kind: c.kind, After: 100, Region: region, Stray: umem.Frame(region.Frames() - 1), LateBy: 100 * tcp.Millisecond,
						Now: func() tcp.Time { return tcp.Time(time.Since(start)) },
					})
				}
				return fault.Wrap(p)
			})
			s := r.open(cfg)
			p := payload(1, 1<<20)
			conn := dial(t, s, rc.addr)
			if err := write(within(t), conn, p); err != nil {
				t.Fatal(err)
			}
			if res := <-rc.results; res.SHA256 != sumOf(p) {
				t.Errorf("%+v", res)
			}
			sampleBooks(t, s)
			rep, err := s.Close()
			if err != nil {
				t.Error(err)
			}
			if c.kind != faulttest.None && !fault.Happened() {
				t.Fatal("it did not happen")
			}
			oneLine(t, &rep.Books.Ledger, c.line)
		})
	}
}

// sampleBooks looks at the books of a session that lives.
func sampleBooks(t *testing.T, s *session.Session) {
	t.Helper()
	queues, err := s.Books(within(t))
	if err != nil || len(queues) != s.Info().Queues {
		t.Errorf("%d queues: %v", len(queues), err)
	}
	times, err := s.Times(within(t))
	if err != nil || times.Summary(dataplane.HeldWhole).N == 0 {
		t.Errorf("no times: %v", err)
	}
}

// oneLine fails unless line is 1 and every other that real time can't make is 0.
func oneLine(t *testing.T, l *dataplane.Ledger, line string) {
	t.Helper()
	if err := l.Settled(); err != nil {
		t.Error(err)
	}
	for _, f := range l.Faults() {
		want := uint64(0)
		if f.Name == line {
			want = 1
		}
		if f.N == want || f.Name == "late" && f.N > want { // a thread that was held up makes completions late, too
			continue
		}
		t.Errorf("%s: %d, want %d", f.Name, f.N, want)
	}
}
