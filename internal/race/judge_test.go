package race

import (
	"slices"
	"strings"
	"testing"
)

// shown are blocks, with 0 and 1 % loss, that show everything.
func shown(rows ...string) []Block {
	if rows == nil {
		rows = Names()
	}
	var blocks []Block
	for _, loss := range []float64{0, 1} {
		b := Block{Loss: &loss}
		for _, name := range rows {
			s, err := lookup(name)
			if err != nil {
				panic(err)
			}
			r := Row{Sender: s, Outcome: Done, N: 1, Bytes: 1000, Rounds: 10}
			if s.release != "" {
				r.RewrittenInFlight = new(uint64)
			}
			switch {
			case s.Role == RoleBug || s.Role == RoleMisuse:
				r.Corrupted, r.RoundsHit = 900, 9
			case (name == Completion || name == Submit) && loss > 0:
				r.Corrupted, r.RoundsHit = 10, 1
			case name == Acked:
				*r.RewrittenInFlight = 5
			}
			b.Rows = append(b.Rows, r)
		}
		blocks = append(blocks, b)
	}
	return blocks
}

func row(t *testing.T, b []Block, block int, name string) *Row {
	t.Helper()
	i := slices.IndexFunc(b[block].Rows, func(r Row) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no row %s", name)
	}
	return &b[block].Rows[i]
}

// A table passes only if every row shows what it is there for: each of these changes of one that does must fail it, and say
// which row it was.
func TestJudge(t *testing.T) {
	if v := Judge(shown()); !v.Shown || len(v.Reasons) != 0 {
		t.Fatalf("the table that shows everything: %+v", v)
	}
	if v := Judge(shown(ShortRows...)); !v.Shown {
		t.Fatalf("the short table: %+v", v)
	}
	for _, c := range []struct {
		name  string
		block int
		row   string
		spoil func(*Row)
		text  string
	}{
		{"ack with one corrupted byte", 1, Ack, func(r *Row) { r.Corrupted = 1 }, "1 corrupted bytes"},
		{"ack with one, without loss", 0, Ack, func(r *Row) { r.Corrupted = 1 }, "0 % loss, xsend --release ack"},
		{"ack with late completions", 1, AckLate, func(r *Row) { r.Corrupted = 1 }, "completions late"},
		{"ack rewritten in flight", 1, Ack, func(r *Row) { *r.RewrittenInFlight = 1 }, "rewritten in flight"},
		{"ack-late rewritten in flight", 0, AckLate, func(r *Row) { *r.RewrittenInFlight = 1 }, "rewritten in flight"},
		{"send", 1, Send, func(r *Row) { r.Corrupted = 1 }, "kernel send()"},
		{"MSG_ZEROCOPY used rightly", 1, ZerocopyNotified, func(r *Row) { r.Corrupted = 1 }, "after the notification"},
		{"SEND_ZC used rightly", 0, SendZCNotified, func(r *Row) { r.Corrupted = 1 }, "after the notification"},
		{"sendfile with none", 1, Sendfile, func(r *Row) { r.Corrupted = 0 }, "was not met"},
		{"sendfile with none, without loss", 0, Sendfile, func(r *Row) { r.Corrupted = 0 }, "was not met"},
		{"completion with none", 1, Completion, func(r *Row) { r.Corrupted = 0 }, "no power"},
		{"submit with none", 1, Submit, func(r *Row) { r.Corrupted = 0 }, "no power"},
		{"acked at the receiver", 1, Acked, func(r *Row) { r.Corrupted = 1 }, "at the receiver"},
		{"acked without power", 0, Acked, func(r *Row) { *r.RewrittenInFlight = 0 }, "no power"},
		{"acked not looked at", 1, Acked, func(r *Row) { r.RewrittenInFlight = nil }, "no power"},
		{"nothing was compared", 1, Ack, func(r *Row) { r.Bytes = 0 }, "nothing was compared"},
		{"a run failed", 0, Splice, func(r *Row) { r.Outcome, r.Reason = Failed, "the stream is short" }, "the stream is short"},
		{"a row that no kernel lacks", 1, Sendfile, func(r *Row) { r.Outcome, r.Reason = Lacking, "no such call" }, "no such call"},
		{"ours is lacking", 1, Ack, func(r *Row) { r.Outcome = Lacking }, "xsend --release ack"},
	} {
		b := shown()
		c.spoil(row(t, b, c.block, c.row))
		v := Judge(b)
		if v.Shown || len(v.Reasons) != 1 || !strings.Contains(v.Reasons[0], c.text) {
			t.Errorf("%s: %+v", c.name, v)
		}
	}
	if v := Judge(nil); v.Shown {
		t.Error("a table without rows shows something")
	}
}

// What a table may be and still pass.
func TestJudgeAllows(t *testing.T) {
	for name, spoil := range map[string]func([]Block){
		"a kernel without io_uring": func(b []Block) {
			for i := range b {
				for _, name := range []string{SendZCReturn, SendZCNotified} {
					r := row(t, b, i, name)
					r.Outcome, r.Reason, r.Bytes = Lacking, "io_uring_setup: operation not permitted", 0
				}
			}
		},
		"completion corrupts without loss, too": func(b []Block) { row(t, b, 0, Completion).Corrupted = 1 },
		"misuse that went well":                 func(b []Block) { row(t, b, 0, ZerocopyReturn).Corrupted = 0 },
		"a real path that loses nothing": func(b []Block) {
			for i := range b {
				b[i].Loss = nil
				row(t, b, i, Completion).Corrupted = 0
				row(t, b, i, Submit).Corrupted = 0
				*row(t, b, i, Acked).RewrittenInFlight = 0
			}
		},
	} {
		b := shown()
		if spoil(b); !Judge(b).Shown {
			t.Errorf("%s: %+v", name, Judge(b))
		}
	}
}

func TestRemarks(t *testing.T) {
	b := shown()
	for i := range b {
		for j := range b[i].Rows {
			b[i].Rows[j].conclude(b[i].Loss)
		}
	}
	if r := row(t, b, 0, Completion); !strings.Contains(r.Remark, "by construction") {
		t.Errorf("%q", r.Remark)
	}
	if r := row(t, b, 1, Completion); r.Remark != "" {
		t.Errorf("%q", r.Remark)
	}
	if r := row(t, b, 1, Acked); !strings.Contains(r.Remark, "on the wire") {
		t.Errorf("%q", r.Remark)
	}
}
