package main

import (
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/transfer"
)

// names are what readers of the JSON rely on.
var names = []string{
	"schema", "version", "start.time", "start.kernel", "start.driver", "start.interface", "start.parameters.release",
	"start.parameters.parallel", "start.target", "start.remote", "start.source",
	"bytes", "seconds", "bits_per_second", "segments", "retransmits", "release", "binding", "attach", "mode", "checksum", "checksum_where",
	"offload.2.name", "offload.2.requested", "offload.2.accepted", "offload.2.active", "offload.2.where", "offload.2.proved", "offload.2.evidence",
	"sg", "mtu", "mss", "cpu_utilization.host_total", "cpu_utilization.host_user", "cpu_utilization.host_system",
	"streams.0.id", "streams.0.local", "streams.0.remote", "streams.0.bytes", "streams.0.seconds", "streams.0.bits_per_second",
	"streams.0.segments", "streams.0.probes", "streams.0.keepalives", "streams.0.splits", "streams.0.reneged", "streams.0.sha256", "streams.0.bytes_received",
	"streams.0.hold_mean_us", "streams.0.hold_max_us", "streams.0.commits", "streams.0.releases",
	"start.connected.0.id", "start.connected.0.socket", "start.connected.0.local_host", "start.connected.0.local_port",
	"start.connected.0.remote_host", "start.connected.0.remote_port", "start.connected.0.mss",
	"intervals.0.start", "intervals.0.end", "intervals.0.seconds", "intervals.0.sender", "intervals.0.bytes", "intervals.0.bits_per_second", "intervals.0.retransmits", "intervals.0.omitted",
	"intervals.0.streams.0.socket", "intervals.0.streams.0.start", "intervals.0.streams.0.end", "intervals.0.streams.0.omitted", "intervals.0.streams.0.sender",
	"frames.total", "frames.free", "frames.leaked", "frames.quarantined",
	"descriptors.submitted", "descriptors.completed", "descriptors.quarantined", "descriptors.spurious", "descriptors.out_of_range",
	"kicks.ok", "kicks.dropped", "rx.packets", "bytes_written", "bytes_released", "bytes_demoted", "bytes_aborted", "lent_while_held",
	"hold.demotions", "hold.resets", "hold.arena_size", "hold.arena_peak", "hold.arena_copied", "hold.arena_acked", "hold.arena_aborted", "streams.0.bytes_demoted", "streams.0.demotions",
	"rewritten_in_flight", "sha256", "title", "interrupted", "failed", "exit_code",
}

func TestReportNames(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, _ := file(t, 100)
	_, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--json", "--hash", "--title", "a title", to, path)
	p.want(0)
	rep := p.report()
	for _, name := range names {
		if rep.at(name) == nil {
			t.Errorf("no %s", name)
		}
	}
	for _, name := range momentNames {
		for _, at := range []string{"streams.0.", "intervals.0.streams.0."} {
			if rep.at(at+name) == nil {
				t.Errorf("no %s%s", at, name)
			}
		}
	}
	for name, want := range map[string]any{
		"schema": "xsend.send/1", "checksum": "sw", "sg": "off", "mode": "copy", "binding": "native", "release": "ack", "title": "a title",
	} {
		if rep.at(name) != want {
			t.Errorf("%s is %v, want %v", name, rep.at(name), want)
		}
	}
	if p.err.String() != "" && !strings.Contains(p.err.String(), "zero-copy") {
		t.Errorf("said %q", p.err.String())
	}
}

// TestEveryNameIsDocumented compares docs/json.md with what the report is made of.
func TestEveryNameIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/json.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	jsonNames(reflect.TypeFor[transfer.Report](), names)
	if len(names) < 100 {
		t.Errorf("only %d names: the test has no power", len(names))
	}
	for name := range names {
		if !strings.Contains(string(text), "`"+name+"`") && !strings.Contains(string(text), "`"+name+"[]`") {
			t.Errorf("%s is not in docs/json.md", name)
		}
	}
}

// jsonNames collects the names in the JSON of a type of ours.
func jsonNames(at reflect.Type, names map[string]bool) {
	for at.Kind() == reflect.Pointer || at.Kind() == reflect.Slice {
		at = at.Elem()
	}
	if at.Kind() != reflect.Struct || !strings.HasSuffix(at.PkgPath(), "/transfer") {
		return
	}
	for i := range at.NumField() {
		f := at.Field(i)
		if name, _, _ := strings.Cut(f.Tag.Get("json"), ","); name != "" && name != "-" {
			names[name] = true
		}
		jsonNames(f.Type, names)
	}
}

// TestTextOutput: results go to standard output, remarks and progress to standard error.
func TestTextOutput(t *testing.T) {
	r := newRig(t, lab.Config{})
	path, sum := file(t, 100_000)
	_, to := r.sink("--once")
	p := r.start(lab.Sender, nil, "send", "--hash", "--title", "run 7", to, path)
	p.want(0, "connected to "+to)
	for _, text := range []string{"sha256      " + sum, "100000 written, 100000 released", "0 leaked", "copy on veth-a"} {
		if !strings.Contains(p.out.String(), text) {
			t.Errorf("no %q in\n%s", text, p.out.String())
		}
	}
	for line := range strings.Lines(p.out.String()) {
		if !strings.HasPrefix(line, "run 7:  ") {
			t.Errorf("no title in %q", line)
		}
	}
}
