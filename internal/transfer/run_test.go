package transfer

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/session"
	"github.com/xsend/xsend/hw"
	"github.com/xsend/xsend/internal/pattern"
	"github.com/xsend/xsend/tcp"
)

// stage is a run on a fake network.
type stage struct {
	t      *testing.T
	cfg    Config
	net    *fakeNet
	conns  []*fakeConn
	opened session.Config
	refuse error // of open
	stop   context.Context
	audit  *dataplane.AuditReport // of the session
}

func newStage(t *testing.T, conns int, cfg Config) *stage {
	s := &stage{t: t, cfg: cfg, net: &fakeNet{conns: make(chan *fakeConn, conns)}, stop: t.Context()}
	s.cfg.Target, s.cfg.Parallel, s.cfg.Linger = "192.0.2.2:9000", conns, time.Second
	for i := range conns {
		c := newFakeConn(t, int64(i), 50, 1448)
		s.conns = append(s.conns, c)
		s.net.conns <- c
	}
	return s
}

func (s *stage) run() Report {
	s.net.left = session.Report{Frames: session.Frames{Total: 50, Free: 50}, Audit: s.audit}
	return start(s.stop, s.t.Context(), s.cfg, world{
		resolve: func(context.Context, *Config) (netip.AddrPort, string, error) {
			return netip.MustParseAddrPort("192.0.2.2:9000"), "eth9", nil
		},
		open: func(_ context.Context, sc session.Config) (network, error) {
			s.opened = sc
			return countedNet{s.net, s}, s.refuse
		},
	}).all()
}

// countedNet adds the counters of the connections to the session's report.
type countedNet struct {
	*fakeNet
	stage *stage
}

func (n countedNet) Close() (session.Report, error) {
	rep := n.left
	rep.Counters = n.extra
	rep.Books.Ledger = n.ledger
	for _, c := range n.stage.conns {
		rep.Counters.BytesWritten += c.end
		rep.Counters.BytesReleased += uint64(len(c.got))
	}
	return rep, n.close
}

func writeFile(t *testing.T, size int) string {
	t.Helper()
	path := t.TempDir() + "/file"
	if err := os.WriteFile(path, random(1, size), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestRunSendsOnEveryConnection(t *testing.T) {
	var begun, stood int
	var mu sync.Mutex
	s := newStage(t, 3, Config{
		Path: writeFile(t, 100_000), Hash: true, Interval: time.Hour, Version: "v1", Title: "x", Parameters: map[string]string{"a": "b"},
		OnBegin: func(m *Meter) {
			begun++
			if m.Total() != 300_000 {
				t.Errorf("total %d", m.Total())
			}
		},
		OnStream: func(Connected) { mu.Lock(); stood++; mu.Unlock() },
	})
	rep := s.run()
	if rep.ExitCode != 0 || rep.Err != nil || rep.Bytes != 300_000 || rep.Failed != 0 || len(rep.Streams) != 3 || begun != 1 || stood != 3 {
		t.Errorf("%+v, begun %d, stood %d", rep, begun, stood)
	}
	if rep.SHA256 == "" || rep.Streams[2].SHA256 != rep.SHA256 || rep.Mode != "zerocopy" || rep.MSS != 1448 || rep.Retransmits != 6 {
		t.Errorf("%+v", rep)
	}
	if rep.Checksum != "hw" || rep.ChecksumWhere != "nic" || len(rep.Offload) != 1 || !rep.Offload[0].Proved {
		t.Errorf("checksum %s by %s, %+v", rep.Checksum, rep.ChecksumWhere, rep.Offload)
	}
	if len(rep.Intervals) != 1 || rep.Intervals[0].Bytes != 300_000 {
		t.Errorf("intervals %+v", rep.Intervals)
	}
	for i, c := range s.conns {
		if !c.closed || !c.left || len(c.got) != 100_000 {
			t.Errorf("connection %d: closed %v, left %v, %d bytes", i, c.closed, c.left, len(c.got))
		}
	}
}

// TestRunGoesOnWithoutOne: one failing connection doesn't stop the others.
func TestRunGoesOnWithoutOne(t *testing.T) {
	s := newStage(t, 3, Config{Path: writeFile(t, 100_000)})
	s.conns[1].fail = 30_000
	rep := s.run()
	whole := 0
	for _, st := range rep.Streams {
		if st.Bytes == 100_000 && st.Err == nil {
			whole++
		}
	}
	if rep.ExitCode != ExitFailed || rep.Failed != 1 || whole != 2 || !errors.Is(rep.Err, errBroken) || !s.conns[1].left {
		t.Errorf("exit code %d, %d failed, %d whole, %v", rep.ExitCode, rep.Failed, whole, rep.Err)
	}
}

func TestExitCodes(t *testing.T) {
	refused := func(err error) func(*stage) {
		return func(s *stage) { s.net.dial = func(session.DialConfig) error { return err } }
	}
	for name, c := range map[string]struct {
		set   func(*stage)
		code  int
		text  string
		wrong string // --release
	}{
		"done":                      {code: 0},
		"open refused":              {set: func(s *stage) { s.refuse = hw.ErrLinkDown }, code: 2, text: "down"},
		"no neighbour":              {set: refused(hw.ErrNoNeighbour), code: 2},
		"checksum refused":          {set: refused(session.ErrChecksum), code: 2},
		"port in use":               {set: refused(hw.ErrPortInUse), code: 2},
		"refused by the peer":       {set: refused(tcp.ErrRefused), code: 1, text: "start the receiver"},
		"connect timeout":           {set: refused(tcp.ErrTimeout), code: 1, text: "--connect-timeout"},
		"reset":                     {set: func(s *stage) { s.conns[0].fail = 1 }, code: 1},
		"leak":                      {set: func(s *stage) { s.net.close = errors.New("2 frames leaked") }, code: 1, text: "leaked"},
		"books":                     {set: func(s *stage) { s.net.extra.BytesWritten = 1 }, code: 1, text: "add up"},
		"descriptor lost":           {set: func(s *stage) { s.net.extra.Submitted = 1 }, code: 1, text: "1 descriptors submitted"},
		"wrong mode":                {wrong: "completion", code: 3},
		"wrong mode and reset":      {wrong: "acked", set: func(s *stage) { s.conns[0].fail = 1 }, code: 3},
		"wrong mode, not started":   {wrong: "submit", set: func(s *stage) { s.refuse = hw.ErrLinkDown }, code: 2},
		"wrong mode, nothing sent":  {wrong: "submit", set: refused(tcp.ErrRefused), code: 1},
		"no such release mode":      {wrong: "never", code: 2, text: "never"},
		"file gone":                 {set: func(s *stage) { os.Remove(s.cfg.Path) }, code: 2, text: "no such file"},
		"capture can't be written":  {set: func(s *stage) { s.cfg.Pcap = "/nonexistent/x" }, code: 2, text: "/nonexistent/x"},
		"usage":                     {set: func(s *stage) { s.cfg.Pattern = true }, code: 2, text: "choose one"},
		"quarantined but all ACKed": {set: func(s *stage) { s.net.extra = dataplane.Counters{Submitted: 5, Completed: 3, Quarantined: 2} }, code: 0},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 1, Config{Path: writeFile(t, 10_000), Release: c.wrong})
			if c.set != nil {
				c.set(s)
			}
			rep := s.run()
			if rep.ExitCode != c.code || !strings.Contains(rep.Error, c.text) || (rep.Err == nil) != (rep.Error == "") {
				t.Errorf("exit code %d, want %d: %v", rep.ExitCode, c.code, rep.Err)
			}
		})
	}
}

func TestSignalsChangeTheExitCode(t *testing.T) {
	for _, c := range []struct {
		rep  Report
		want int
	}{
		{Report{Interrupted: true}, 130},
		{Report{Interrupted: true, ExitCode: ExitFailed}, 130},
		{Report{Interrupted: true, ExitCode: ExitWrongMode}, ExitWrongMode},
		{Report{ExitCode: ExitFailed}, ExitFailed},
		{Report{}, 0},
	} {
		rep := c.rep
		if rep.Signal(2); rep.ExitCode != c.want {
			t.Errorf("%+v becomes %d, want %d", c.rep, rep.ExitCode, c.want)
		}
	}
}

// TestInterruptedRunCloses: what was read before the interruption arrives, behind it comes a FIN.
func TestInterruptedRunCloses(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	s := newStage(t, 1, Config{Pattern: true, Bytes: 1 << 40})
	s.stop = ctx
	s.cfg.OnStream = func(Connected) { time.AfterFunc(20*time.Millisecond, func() { cancel(errors.New("SIGINT")) }) }
	rep := s.run()
	want := make([]byte, len(s.conns[0].got))
	pattern.At(want, 0)
	if !rep.Interrupted || rep.Err != nil || !s.conns[0].closed || s.conns[0].aborted || string(want) != string(s.conns[0].got) || len(want) == 0 {
		t.Errorf("interrupted %v, %v, closed %v, aborted %v, %d bytes", rep.Interrupted, rep.Err, s.conns[0].closed, s.conns[0].aborted, len(want))
	}
}

func TestSessionConfig(t *testing.T) {
	s := newStage(t, 2, Config{
		Path: writeFile(t, 1), Interface: "eth9", Attach: "generic", SG: "on", Mode: "copy", Binding: "asavie", Release: "acked", Rewrite: true, Frames: 99, Chunk: 4096, Queues: 3,
	})
	s.run()
	o := s.opened
	if o.Interface != "eth9" || o.Attach.String() != "generic" || o.Mode.String() != "copy" || o.SG != session.SGOn || o.Binding != session.BindingAsavie ||
		o.Release != dataplane.ReleaseAcked || !o.Witness || o.Frames != 99 || o.Chunk != 4096 || o.Queues != 3 || o.Writers != 2 ||
		o.Destination != netip.MustParseAddr("192.0.2.2") {
		t.Errorf("%+v", o)
	}
}

func TestDialConfig(t *testing.T) {
	c := Config{LocalPort: 4000, MSS: 1000, DSCP: 46, BitRate: 9, Congestion: "reno", RTOMin: 30 * time.Millisecond, UserTimeout: time.Second, KeepAlive: time.Hour}
	at := netip.MustParseAddrPort("192.0.2.2:9000")
	if dc := c.dialConfig(at, 3); dc.LocalPort != 4003 || dc.MSS != 1000 || dc.DSCP != 46 || dc.Rate != 2 || dc.Congestion != "reno" || dc.Remote != at ||
		dc.RTOMin != 30*time.Millisecond || dc.UserTimeout != time.Second || dc.KeepAlive != time.Hour {
		t.Errorf("%+v", dc)
	}
	c.LocalPort = 0
	if dc := c.dialConfig(at, 3); dc.LocalPort != 0 {
		t.Errorf("port %d, want the kernel's choice", dc.LocalPort)
	}
}

func FuzzSplitTarget(f *testing.F) {
	for _, s := range []string{"a:1", "[::1]:65535", "[fe80::1%eth0]:80", ":1", "a:", "a:0", "a:65536", "[::1", "a:b:c", "\x00:1", "a:-1"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		host, port, err := splitTarget(s)
		if err == nil && (host == "" || port == 0) {
			t.Errorf("%q: %q, %d", s, host, port)
		}
	})
}

// A ledger that does not add up, at the end or at any look, is an error that names its line, whatever else went well.
func TestLedgerThatDoesNotAddUp(t *testing.T) {
	good := dataplane.Ledger{Submitted: 5, Completed: 5, Written: 9, Released: 9}
	for name, c := range map[string]struct {
		ledger dataplane.Ledger
		sample error
		books  bool
		want   string
	}{
		"it does":           {ledger: good, books: true},
		"descriptors":       {ledger: dataplane.Ledger{Submitted: 5, Completed: 4}, want: "descriptors: 5 submitted, 4 completed"},
		"bytes":             {ledger: dataplane.Ledger{Written: 5, Released: 4}, want: "bytes: 5 written, 4 released"},
		"frames":            {ledger: dataplane.Ledger{Frames: 5, Placed: 4}, want: "frames: 5, of which 4"},
		"in a look":         {ledger: good, books: true, sample: fmt.Errorf("queue 0: %w: a look", dataplane.ErrUnbalanced), want: "a look"},
		"nobody had a look": {ledger: good, sample: dataplane.ErrUnbalanced},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t, 1, Config{Path: writeFile(t, 10_000), Books: c.books})
			s.net.ledger, s.net.unbalanced = c.ledger, c.sample
			rep := s.run()
			switch {
			case c.want == "" && (rep.ExitCode != 0 || !rep.Ledger.Balanced):
				t.Errorf("exit code %d, %v", rep.ExitCode, rep.Err)
			case c.want != "" && (rep.ExitCode != ExitFailed || rep.Ledger.Balanced || !errors.Is(rep.Err, dataplane.ErrUnbalanced) || !strings.Contains(rep.Error, c.want)):
				t.Errorf("exit code %d, %v", rep.ExitCode, rep.Err)
			}
			if (rep.Memory != nil) != c.books || s.opened.Times != c.books {
				t.Errorf("memory %+v, times %v", rep.Memory, s.opened.Times)
			}
		})
	}
}
