package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"syscall"
	"testing"

	"github.com/xsend/xsend/internal/transfer"
)

// event is one line of --json-stream; Data is an object, or a string with an error.
type event struct {
	Event string `json:"event"`
	Data  any    `json:"data"`
}

// eventsOf fails the test unless text is one object a line, each with a name, and nothing else.
func eventsOf(t *testing.T, text string) (all []event) {
	t.Helper()
	for line := range strings.Lines(text) {
		var e event
		d := json.NewDecoder(strings.NewReader(line))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil || e.Event == "" || e.Data == nil {
			t.Fatalf("%q: %v", line, err)
		}
		if _, err := d.Token(); err != io.EOF || !strings.HasSuffix(line, "}\n") {
			t.Fatalf("%q: more than an object", line)
		}
		all = append(all, e)
	}
	return all
}

// at is what stands in an event's object at a path.
func (e event) at(path string) any {
	o, _ := e.Data.(map[string]any)
	return report(o).at(path)
}

func TestEvents(t *testing.T) {
	var out bytes.Buffer
	e := &events{out: &out, title: "a \"title\"\nof two lines"}
	e.start(transfer.Start{Connected: []transfer.Connected{{ID: 1, RemoteHost: "fe80::1%eth0"}}})
	e.interval(transfer.Interval{Span: transfer.Span{Bytes: 7}, Streams: []transfer.StreamInterval{{ID: 1}}})
	rep := &transfer.Report{Bytes: 8, OmittedBytes: 1, Error: "broken", Intervals: []transfer.Interval{{}}}
	if err := e.end(rep); err != nil {
		t.Fatal(err)
	}
	all := eventsOf(t, out.String())
	var names []string
	for _, e := range all {
		names = append(names, e.Event)
	}
	if strings.Join(names, " ") != "start interval error end" {
		t.Fatalf("%v", names)
	}
	for _, c := range []struct{ got, want any }{
		{all[0].at("title"), e.title}, {all[0].at("connected.0.remote_host"), "fe80::1%eth0"}, {all[0].at("schema"), transfer.Schema},
		{all[1].at("sum.bytes"), 7.0}, {all[1].at("streams.0.socket"), 0.0}, {all[1].at("bytes"), nil}, {all[2].Data, "broken"},
		{all[3].at("bytes"), 8.0}, {all[3].at("sum_sent.bytes"), 7.0}, {all[3].at("intervals"), nil}, {all[3].at("error"), "broken"},
	} {
		if c.got != c.want {
			t.Errorf("%v, want %v", c.got, c.want)
		}
	}
}

// deaf fails from the nth write on.
type deaf struct {
	n   int
	err error
}

func (d *deaf) Write(b []byte) (int, error) {
	if d.n--; d.n < 0 {
		return 0, d.err
	}
	return len(b), nil
}

// TestEventsUnwritten: after a write that failed there is no other one, and only a reader that went away is a reason to
// stop.
func TestEventsUnwritten(t *testing.T) {
	for _, c := range []struct {
		err    error
		unread int
	}{{syscall.EPIPE, 1}, {syscall.ENOSPC, 0}} {
		told := 0
		out := &deaf{1, c.err}
		e := &events{out: out, unread: func(error) { told++ }}
		e.start(transfer.Start{})
		e.interval(transfer.Interval{})
		e.interval(transfer.Interval{})
		if err := e.end(&transfer.Report{}); !errors.Is(err, c.err) || told != c.unread || out.n != -1 {
			t.Errorf("%v: told %d times, %d writes too many, %v", c.err, told, -1-out.n, err)
		}
	}
}

// TestVerdict: what the run ended with comes before that its report could not be printed.
func TestVerdict(t *testing.T) {
	broken := errors.New("broken")
	for _, c := range []struct {
		code      int
		err       error
		unprinted error
		want      int
	}{
		{0, nil, nil, 0}, {0, nil, syscall.EPIPE, 141}, {0, nil, syscall.ENOSPC, 1}, {1, broken, nil, 1}, {1, broken, syscall.EPIPE, 1}, {141, nil, syscall.EPIPE, 141},
	} {
		err := sendVerdict(&transfer.Report{ExitCode: c.code, Err: c.err}, c.unprinted)
		var exit *exitError
		switch {
		case !errors.As(err, &exit):
			if c.want != 0 || err != nil {
				t.Errorf("%+v: %v", c, err)
			}
		case exit.code != c.want || !errors.Is(err, c.err) && c.err != nil || !errors.Is(err, c.unprinted) && c.unprinted != nil:
			t.Errorf("%+v: %d, %v", c, exit.code, err)
		}
	}
}
