package matrix

import (
	"bytes"
	"encoding/csv"
	"encoding/xml"
	"io"
	"net/netip"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/sink"
)

// mixed is a matrix with a row of each outcome and all that can be in it.
func mixed(t *testing.T) Result {
	t.Helper()
	s := newStage(t)
	s.cfg.SGs, s.cfg.Attaches, s.cfg.Turns = []string{"off", "on"}, []string{"native", "generic"}, 1
	s.fixed = true
	s.child = func(args []string, n int) (ended, error) {
		switch n {
		case 1:
			return ended{code: 2, errors: []byte("xsend send: <script>alert(1)</script> & \"more\"\n")}, nil
		case 2:
			return ended{code: 1, errors: []byte("xsend send: reset\n")}, nil
		}
		return s.sent(args, 1e9, []Knob{{"checksum", "sw", "sw", "engine", "computed by the engine"}}), nil
	}
	right := s.verdict
	s.verdict = func(local netip.AddrPort, n int) sink.Verdict {
		v := right(local, n)
		if n == 4 {
			v.Comparison = sink.Comparison{WrongBytes: 5, FirstWrong: 99}
		}
		return v
	}
	r := s.must()
	r.Time, r.Kernel = time.Date(2024, 1, 2, 3, 4, 5, 0, time.UTC), "6.18.0"
	return r
}

// TestJSONNames pins the names that programs read.
func TestJSONNames(t *testing.T) {
	got := toJSON(t, mixed(t))
	want, err := os.ReadFile("testdata/result.json")
	if err != nil {
		t.Fatal(err)
	}
	if got != strings.TrimSpace(string(want)) {
		t.Errorf("the JSON changed; if that is meant, change testdata/result.json and Schema:\n%s", got)
	}
	p := toJSON(t, Price{Schema: PriceSchema, Interface: "i", Target: "t", Rows: 1, Xsend: 2, Linux: 3, Turns: 4, Time: 5, Seconds: 6, Changes: []string{"c"}})
	names := regexp.MustCompile(`"[a-z_]+":`).FindAllString(p, -1)
	if !slices.Equal(names, []string{`"schema":`, `"interface":`, `"target":`, `"rows":`, `"xsend":`, `"linux":`, `"turns":`, `"time_seconds":`, `"seconds":`, `"changes":`}) {
		t.Errorf("%v", names)
	}
}

// TestNamesAreDocumented: each name that is printed stands in docs/json.md.
func TestNamesAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## `xsend matrix --json`")
	if !found {
		t.Fatal("no section")
	}
	all := toJSON(t, mixed(t)) + toJSON(t, Price{})
	for _, name := range regexp.MustCompile(`"([a-z_]+)":`).FindAllStringSubmatch(all, -1) {
		if name[1] != "schema" && !strings.Contains(section, "`"+name[1]+"`") && !strings.Contains(section, "`"+name[1]+"[]`") {
			t.Errorf("%s is not documented", name[1])
		}
	}
}

func TestCSV(t *testing.T) {
	r := mixed(t)
	var b bytes.Buffer
	if err := r.WriteCSV(&b); err != nil {
		t.Fatal(err)
	}
	lines, err := csv.NewReader(&b).ReadAll()
	if err != nil || len(lines) != len(r.Rows)+1 {
		t.Fatalf("%d lines, %v", len(lines), err)
	}
	at := func(row int, name string) string { return lines[row][slices.Index(lines[0], name)] }
	for _, c := range []struct {
		row        int
		name, want string
	}{
		{1, "outcome", "done"}, {1, "bits_per_second", "4e+09"}, {1, "knobs", "checksum sw: engine, computed by the engine; sg off; mode copy; attach native; mtu 1500"},
		{1, "kicks_per_packet", "0.02"}, {2, "outcome", "impossible"}, {2, "bits_per_second", ""}, {2, "reason", `<script>alert(1)</script> & "more"`},
		{3, "outcome", "failed"}, {4, "outcome", "wrong"}, {4, "first_wrong", "99"}, {5, "reason", "eth9: the kernel kept tso off"}, {8, "call", "send"},
		{8, "kicks_per_packet", ""}, {8, "tso", "off"},
	} {
		if got := at(c.row, c.name); got != c.want {
			t.Errorf("row %d, %s: %q, want %q", c.row, c.name, got, c.want)
		}
	}
}

// TestPage: it is whole, escapes what programs said, fetches nothing, and has a plot with a bar for each row that has figures.
func TestPage(t *testing.T) {
	r := mixed(t)
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	page := b.String()
	for _, want := range []string{
		"Offload truth matrix of eth9", "&lt;script&gt;alert(1)&lt;/script&gt;", "5 bytes are wrong, the first at offset 99", "the kernel kept tso off",
		"kernel TCP, sendfile", "TSO and GSO off", "computed by the engine", "1, 4", "</html>",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("no %q in the page", want)
		}
	}
	for _, ban := range []string{"<script", "<link", "<img", "@import", "src=", "url("} {
		if strings.Contains(page, ban) {
			t.Errorf("%q in the page", ban)
		}
	}
	if left := regexp.MustCompile(`https?://[^"]*`).FindAllString(page, -1); slices.ContainsFunc(left, func(u string) bool { return !strings.HasPrefix(u, "http://www.w3.org/") }) {
		t.Errorf("addresses: %q", left)
	}
	if n := strings.Count(page, "<svg"); n != 3 {
		t.Errorf("%d plots", n)
	}
	for svg := range strings.SplitSeq(page, "<svg") {
		if end := strings.Index(svg, "</svg>"); end >= 0 {
			wellFormed(t, "<svg"+svg[:end+6])
		}
	}
	for _, row := range r.Rows {
		if label := ">" + labelOf(&row) + "<"; strings.Contains(page, label) != (row.N > 0) {
			t.Errorf("row %d: %q is in the plots: %v", row.Number, label, row.N == 0)
		}
	}
}

func wellFormed(t *testing.T, svg string) {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(svg))
	for {
		_, err := d.Token()
		if err == io.EOF {
			return
		}
		if err != nil {
			t.Fatalf("plot: %v", err)
		}
	}
}

// TestPageWithoutFigures: a matrix of refusals is a page too.
func TestPageWithoutFigures(t *testing.T) {
	s := newStage(t)
	s.child = func([]string, int) (ended, error) { return ended{code: 2, errors: []byte("no")}, nil }
	r := s.must()
	var b bytes.Buffer
	if err := r.WriteHTML(&b); err != nil || strings.Contains(b.String(), "<svg") || r.Impossible != len(r.Rows) {
		t.Errorf("%v, %d impossible", err, r.Impossible)
	}
}

func TestEvidence(t *testing.T) {
	r := Result{Rows: []Row{
		{Number: 1, Knobs: []Knob{{"sg", "on", "on", "on", ""}, {"checksum", "hw", "hw", "nic-or-kernel", "unproved"}}},
		{Number: 2, Knobs: []Knob{{"checksum", "hw", "hw", "nic-or-kernel", "unproved"}}},
		{Number: 4, Knobs: []Knob{{"checksum", "hw", "hw", "nic-or-kernel", "unproved"}, {"mode", "auto", "", "copy", ""}}},
	}}
	got := r.Evidence()
	if len(got) != 2 || got[0].Span() != "1-2, 4" || got[0].Knob.String() != "checksum hw: nic-or-kernel, unproved" || got[1].Span() != "4" || got[1].Knob.String() != "mode auto: copy" {
		t.Errorf("%+v", got)
	}
	if s := (Knob{"mtu", "9000", "8000", "8000", ""}).String(); s != "mtu 9000: 8000" {
		t.Error(s)
	}
	if s := (Knob{"x", "a", "b", "c", "d"}).String(); s != "x a: c (accepted as b), d" {
		t.Error(s)
	}
}
