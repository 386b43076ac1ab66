package race

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"encoding/xml"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/xsend/xsend/internal/pattern"
	"github.com/xsend/xsend/internal/sink"
)

// aRun is a run of four rounds of 4096 bytes whose second was hit from byte 100 of it on.
func aRun() *measured {
	const at = 4096 + 100
	m := &measured{round: 4096, verdict: sink.Verdict{
		State: sink.StateEnded, Bytes: 16384, Seconds: 0.5, Comparison: sink.Comparison{WrongBytes: 32, FirstWrong: at},
		Rounds: &sink.Rounds{Bytes: 4096, All: 4, Hit: 1, Sample: &sink.Sample{
			Offset: at, Arrived: strings.Repeat("ee", 32), Extents: [][2]int64{{at, at + 32}},
		}},
	}}
	m.report = WriterReport{Bytes: 16384, CPU: 0.001, Retransmits: 3, Begin: time.Unix(100, 0), Rounds: []Moments{
		{0, 1000, 1500}, {10_000, 12_000, 13_000}, {20_000, 23_000, 23_100}, {30_000, 130_000, 131_000},
	}}
	m.verdict.Rounds.Sample.Seen = time.Unix(100, 50_000)
	return m
}

func TestFigures(t *testing.T) {
	s, _ := lookup(Sendfile)
	r := Row{Sender: s}
	r.add(aRun())
	r.add(aRun())
	r.conclude(nil)
	if r.Outcome != Done || r.N != 2 || r.Bytes != 32768 || r.Corrupted != 64 || r.Rounds != 8 || r.RoundsHit != 2 || r.Retransmits != 6 ||
		r.BitsPerSecond != 32768*8 || r.CPU != 0.002/32768*1e9 || r.Hold != (Hold{3, 100, 100}) {
		t.Errorf("%+v", r)
	}
	promised := make([]byte, 32)
	pattern.At(promised, 4096+100)
	e := r.Example
	if e == nil || e.Round != 1 || e.At != 100 || e.Promised != hex.EncodeToString(promised) || e.Extents[0] != [2]int64{100, 132} ||
		e.Back != 2 || e.Rewritten != 3 || e.Seen != 40 || e.Whose != "the marker" {
		t.Errorf("%+v", e)
	}
	bad := aRun()
	bad.failed = "the stream is short"
	r.add(bad)
	r.conclude(nil)
	if r.Outcome != Failed || r.N != 2 || r.Reason != "the stream is short" {
		t.Errorf("a row of which one run failed: %+v", r)
	}
}

// Wrong bytes are recognised: the marker, another round's, or nobody's.
func TestWhose(t *testing.T) {
	m := aRun()
	b := make([]byte, 64)
	pattern.At(b, 3*4096+7)
	for arrived, want := range map[string]string{
		strings.Repeat("ee", 64): "the marker", hex.EncodeToString(b): "bytes of round 3", strings.Repeat("00", 64): "", "ee": "", "xy": "",
	} {
		if got := m.whose(arrived); got != want {
			t.Errorf("%.20s: %q, want %q", arrived, got, want)
		}
	}
}

// aResult has a row of each outcome.
func aResult() *Result {
	r := &Result{Schema: Schema, Kernel: "6.18", Version: "test <&>", Bytes: 16384, Round: 4096, Buffers: 2, Turns: 1, MTU: 1500, Blocks: shown()}
	for i := range r.Blocks {
		for j := range r.Blocks[i].Rows {
			row := &r.Blocks[i].Rows[j]
			if row.Name == Sendfile {
				row.add(aRun())
			}
			if row.Name == SendZCReturn {
				row.Outcome, row.Reason = Lacking, "io_uring_setup: <not permitted> & so on"
			}
			row.conclude(r.Blocks[i].Loss)
		}
	}
	r.Verdict = Judge(r.Blocks)
	return r
}

// wellFormed fails the test unless the page is, and returns the texts of its elements.
func wellFormed(t *testing.T, page []byte) (elements map[string]int) {
	t.Helper()
	elements = map[string]int{}
	d := xml.NewDecoder(bytes.NewReader(page))
	for {
		token, err := d.Token()
		if err == io.EOF {
			return elements
		}
		if err != nil {
			t.Fatalf("the page is not well-formed: %v\n%s", err, page)
		}
		if start, ok := token.(xml.StartElement); ok {
			elements[start.Name.Local]++
			for _, a := range start.Attr {
				if a.Name.Local == "src" || a.Name.Local == "href" {
					t.Errorf("the page needs %s", a.Value)
				}
				if strings.Contains(a.Value, "NaN") || strings.Contains(a.Value, "ZgotmplZ") {
					t.Errorf("%s of %s is %q", a.Name.Local, start.Name.Local, a.Value)
				}
			}
		}
	}
}

func TestPage(t *testing.T) {
	r := aResult()
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	elements := wellFormed(t, page.Bytes())
	if elements["svg"] != 1 || elements["script"] != 0 || elements["table"] != 2 || elements["circle"] != 4 {
		t.Errorf("%v", elements)
	}
	promised := make([]byte, 1)
	pattern.At(promised, 4096+100)
	for _, want := range []string{
		"<b>Shown.</b>", "kernel sendfile()", "0 % loss", "1 % loss", "of which 32 bytes", "from byte 100 of the round on", hex.EncodeToString(promised),
		"the marker", "after 2 µs", "after 3 µs", "after 40 µs", "&lt;not permitted&gt; &amp; so on", "by construction",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("no %q in\n%s", want, page.String())
		}
	}
	row(t, r.Blocks, 1, Ack).Corrupted = 1
	r.Verdict = Judge(r.Blocks)
	page.Reset()
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	wellFormed(t, page.Bytes())
	if text := page.String(); strings.Contains(text, "<b>Shown.</b>") || !strings.Contains(text, "1 corrupted bytes, where there must be none") {
		t.Errorf("a race that failed is shown as one that didn't:\n%s", text)
	}
}

// A page without any round that was hit has no drawing, and is whole.
func TestPageWithoutExample(t *testing.T) {
	r := aResult()
	for i := range r.Blocks {
		row(t, r.Blocks, i, Sendfile).Example = nil
	}
	var page bytes.Buffer
	if err := r.WriteHTML(&page); err != nil {
		t.Fatal(err)
	}
	if elements := wellFormed(t, page.Bytes()); elements["svg"] != 0 || !strings.Contains(page.String(), "nothing to draw") {
		t.Errorf("%v", elements)
	}
}

// The drawing shows what the example says, within its bounds.
func TestDrawing(t *testing.T) {
	s, _ := lookup(Sendfile)
	e := &Example{
		Round: 7, At: 1024, Promised: "0102ee", Arrived: "eeeeee", Extents: [][2]int64{{1024, 2048}, {4095, 4096}}, Back: 10, Rewritten: 12, Seen: 4000,
	}
	d := newDrawing(&Row{Sender: s, Example: e}, "1 % loss", 4096)
	if d.WrongBytes != 1025 || len(d.Wrong) != 2 || d.Wrong[0].X != stripLeft+stripWidth/4 || d.Wrong[0].Width != stripWidth/4 || d.Wrong[1].Width != leastMark {
		t.Errorf("%+v", d)
	}
	if len(d.Cells) != 3 || !d.Cells[0].Wrong || d.Cells[2].Wrong || d.Cells[1].Promised != "02" {
		t.Errorf("%+v", d.Cells)
	}
	last := -1.0
	for _, ev := range d.Events {
		if ev.X < last || ev.X < stripLeft || ev.X > stripLeft+stripWidth+0.001 {
			t.Errorf("%+v", d.Events)
		}
		last = ev.X
	}
	s, _ = lookup(Completion)
	if d := newDrawing(&Row{Sender: s, Example: e}, "1 % loss", 4096); d.Events != nil {
		t.Errorf("moments of a whole buffer for a frame of it: %+v", d.Events)
	}
}

func TestText(t *testing.T) {
	var b strings.Builder
	r := aResult()
	r.WriteText(&b)
	for _, want := range []string{"0 % loss: 0 packets dropped\n", "1 % loss: ", "lacking: io_uring_setup", "shown: ", "by construction", "932"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("no %q in\n%s", want, b.String())
		}
	}
	row(t, r.Blocks, 0, Sendfile).Corrupted = 0
	r.Verdict = Judge(r.Blocks)
	b.Reset()
	r.WriteText(&b)
	if !strings.Contains(b.String(), "NOT SHOWN:\n  0 % loss, kernel sendfile()") {
		t.Errorf("%s", b.String())
	}
}

// TestNames pins the names that programs read.
func TestNames(t *testing.T) {
	r := Result{Schema: Schema, Blocks: []Block{{Rows: []Row{{Sender: Senders[0], Outcome: Done, Example: &Example{Extents: [][2]int64{}}}}}}, Verdict: Verdict{Reasons: []string{}}}
	got, err := json.Marshal(r)
	const want = `{"schema":"xsend.race/1","version":"","time":"0001-01-01T00:00:00Z","kernel":"","interface":"","target":"","mtu":0,"rtt_ms":0,"rate":0,"bytes":0,` +
		`"round_bytes":0,"buffers":0,"turns":0,"seed":0,"late_ms":0,"seconds":0,"blocks":[{"loss_percent":null,"dropped":0,"rows":[{"sender":"send","call":"kernel send()",` +
		`"when":"after return (it copies)","role":"reference","outcome":"done","n":0,"bytes":0,"corrupted_bytes":0,"rounds":0,"rounds_hit":0,"bits_per_second":0,"cpu_s_per_gb":0,` +
		`"retransmits":0,"hold_us":{"p50":0,"p99":0,"max":0},"example":{"round":0,"at":0,"promised":"","arrived":"","extents":[],"back_us":0,"rewritten_us":0,"seen_us":0}}]}],` +
		`"verdict":{"shown":false,"reasons":[]}}`
	if err != nil || string(got) != want {
		t.Errorf("%s, %v", got, err)
	}
}
