package faulttest_test

import (
	"testing"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/faulttest"
)

// Each fault is one line of the ledger, and no other; without one all are 0.
func TestEachFaultIsItsOwnLine(t *testing.T) {
	control := newRig(t, setup{}).run().Books
	for _, l := range control.Ledger.Faults() {
		if l.N != 0 {
			t.Errorf("without a fault %d %s", l.N, l.Means)
		}
	}
	for name, c := range map[string]struct {
		kind  faulttest.Kind
		wrong writing
		line  string
	}{
		"no fault":                           {},
		"completion lost":                    {kind: faulttest.Lost, line: "quarantined"},
		"completion duplicated":              {kind: faulttest.Twice, line: "duplicate"},
		"completion of what was not out":     {kind: faulttest.Stray, line: "spurious"},
		"completion out of range":            {kind: faulttest.OutOfRange, line: "out_of_range"},
		"completion late":                    {kind: faulttest.Late, line: "late"},
		"descriptor completed but not sent":  {kind: faulttest.Refused, line: "not_sent"},
		"payload changed in flight":          {kind: faulttest.Rewritten, line: "rewritten_in_flight"},
		"frame leaked by its writer":         {wrong: writing{keeps: true}, line: "kept"},
		"release dropped by whom it was for": {wrong: writing{drops: true}, line: "untaken"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, setup{fault: c.kind, writing: c.wrong})
			got := r.run().Books
			if c.kind != faulttest.None && !r.fault.Happened() {
				t.Fatal("it did not happen")
			}
			differs(t, &control.Ledger, &got.Ledger, c.line)
		})
	}
}

// differs fails unless line is the only one of got that differs from the control's, by 1, and everything adds up.
func differs(t *testing.T, control, got *dataplane.Ledger, line string) {
	t.Helper()
	if err := got.Settled(); err != nil {
		t.Error(err)
	}
	before := control.Faults()
	for i, l := range got.Faults() {
		want := before[i].N
		if l.Name == line {
			want++
		}
		if l.N != want {
			t.Errorf("%s: %d, want %d", l.Name, l.N, want)
		}
	}
	// What was asked for and done is the same: the fault cost no byte, no release and no frame.
	same := func(l *dataplane.Ledger) [8]uint64 {
		return [8]uint64{l.Written, l.Released, l.Aborted, l.Held, l.Commits, l.Releases, l.Open, l.Frames}
	}
	if same(got) != same(control) {
		t.Errorf("%+v, without the fault %+v", *got, *control)
	}
	t.Logf("%d submitted, %d completed, %d quarantined (%d, %d, %d)", got.Submitted, got.Completed, got.Quarantined, control.Submitted, control.Completed, control.Quarantined)
}
