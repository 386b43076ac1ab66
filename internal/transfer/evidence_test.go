package transfer

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/trap"
)

// TestStrayWriteFailsTheRun: what the guard caught is reported, the connection reset, and the writer not used again.
func TestStrayWriteFailsTheRun(t *testing.T) {
	s := newStage(t, 2, Config{Path: writeFile(t, 100_000), Trap: true})
	stray := &dataplane.StrayWrite{Frame: 7, Offset: 300, Holder: "TCP", Last: trap.Last{Writer: 3}, Stack: []byte("main.go:1")}
	s.conns[1].guard = func(func() error) error { return stray }
	r := s.run()
	if r.ExitCode != ExitFailed || !errors.Is(r.Err, stray) || r.Trap == nil || r.Trap.Stray == nil || r.Trap.Stray.Frame != 7 || r.Trap.Stray.Offset != 300 ||
		r.Trap.Stray.Holder != "TCP" || r.Trap.Stray.Stack != "main.go:1" {
		t.Errorf("exit code %d, %v, %+v", r.ExitCode, r.Err, r.Trap)
	}
	if c := s.conns[1]; !c.aborted || c.left || s.conns[0].aborted || r.Failed != 1 {
		t.Errorf("aborted %v, left %v; %d failed", c.aborted, c.left, r.Failed)
	}
	if !s.opened.Trap || s.opened.Audit {
		t.Errorf("%+v", s.opened)
	}
}

// TestAuditDecidesTheExitCode: a difference is a failure, in a mode that is wrong on purpose too, and whatever else went well.
func TestAuditDecidesTheExitCode(t *testing.T) {
	for release, clean := range map[string]int{"ack": ExitDone, "completion": ExitWrongMode} {
		for _, known := range []bool{true, false} {
			s := newStage(t, 1, Config{Path: writeFile(t, 100_000), Audit: true, Release: release})
			first := &dataplane.Changed{
				Local: netip.MustParseAddrPort("192.0.2.1:1"), Remote: netip.MustParseAddrPort("192.0.2.2:2"), Frame: 9, Offset: 256, Position: 4711,
				When: dataplane.AtRelease, Was: 65, Is: 238, Known: known, Bytes: 1, Compared: 1448,
			}
			s.audit, s.net.close = &dataplane.AuditReport{Commits: 70, First: first}, first
			r := s.run()
			if r.ExitCode != ExitFailed || !errors.Is(r.Err, dataplane.ErrChanged) || r.Audit == nil || r.Audit.Commits != 70 {
				t.Fatalf("%s: exit code %d, %v", release, r.ExitCode, r.Err)
			}
			c := r.Audit.Changed
			if c.Frame != 9 || c.Offset != 256 || c.Position != 4711 || c.When != "its release" || c.Is != 238 || c.Local != "192.0.2.1:1" || (c.Was != nil) != known || known && *c.Was != 65 {
				t.Errorf("%+v", c)
			}
			s = newStage(t, 1, Config{Path: writeFile(t, 100_000), Audit: true, Release: release})
			s.audit = &dataplane.AuditReport{Commits: 70}
			if r := s.run(); r.ExitCode != clean || r.Audit == nil || r.Audit.Changed != nil {
				t.Errorf("%s without a difference: exit code %d, %v", release, r.ExitCode, r.Err)
			}
		}
	}
}

// TestMonitorIsPassedOn: who embeds the run says what the monitor is.
func TestMonitorIsPassedOn(t *testing.T) {
	s := newStage(t, 1, Config{Path: writeFile(t, 10), Monitor: []string{"a", "b"}})
	if s.run(); !slices.Equal(s.opened.Monitor, []string{"a", "b"}) {
		t.Errorf("%q", s.opened.Monitor)
	}
}
