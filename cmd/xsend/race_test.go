package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/xsend/xsend/internal/lab"
	"github.com/xsend/xsend/internal/race"
)

func (p *proc) race() (res race.Result) {
	p.t.Helper()
	p.wait()
	if err := json.Unmarshal([]byte(p.out.String()), &res); err != nil {
		p.t.Fatalf("%v: %s%s", err, p.out.String(), p.err.String())
	}
	return res
}

func rowOf(t *testing.T, b *race.Block, name string) *race.Row {
	t.Helper()
	i := slices.IndexFunc(b.Rows, func(r race.Row) bool { return r.Name == name })
	if i < 0 {
		t.Fatalf("no row %s", name)
	}
	return &b.Rows[i]
}

// TestRace: every row is there, with 0 and 1 % loss, and shows what it is there for; the page is whole; nothing is left.
func TestRace(t *testing.T) {
	r := newRig(t, lab.Config{}) // for its namespaces: the race makes labs of its own
	html := filepath.Join(t.TempDir(), "race.html")
	p := r.start(lab.Sender, nil, "race", "--json", "-n", "4M", "--turns", "1", "--seed", "3", "--html", html)
	p.want(0, "26/26", "kernel sendfile(), after return, by another process")
	res := p.race()
	if !res.Verdict.Shown || len(res.Blocks) != 2 || res.Seconds <= 0 || res.Seconds > 40 || res.Blocks[1].Dropped == 0 {
		t.Fatalf("%+v", res)
	}
	for i := range res.Blocks {
		b := &res.Blocks[i]
		if len(b.Rows) != len(race.Names()) {
			t.Errorf("%d rows", len(b.Rows))
		}
		for j := range b.Rows {
			provenRow(t, b, &b.Rows[j])
		}
	}
	// Of what is sent again, xsend's wrong modes spoil most: 1 % of the bytes is lost.
	for _, name := range []string{race.Completion, race.Submit} {
		if row := rowOf(t, &res.Blocks[1], name); row.Corrupted < row.Bytes/1000 {
			t.Errorf("%s: only %d bytes corrupted", name, row.Corrupted)
		}
	}
	t.Logf("%.1f s", res.Seconds)
	wholePage(t, html)
	leftNoRace(t, p)
}

// provenRow checks what is true of a row whatever is lost.
func provenRow(t *testing.T, b *race.Block, row *race.Row) {
	t.Helper()
	if row.Outcome == race.Lacking && strings.HasPrefix(row.Name, "sendzc") && row.Reason != "" {
		return
	}
	if row.Outcome != race.Done || row.N != 1 || row.Bytes != 4<<20 || row.Rounds != 64 || row.BitsPerSecond <= 0 || row.CPU <= 0 {
		t.Errorf("%g: %+v", *b.Loss, row)
	}
	if h := row.Hold; h.P50 <= 0 || h.P50 > h.P99 || h.P99 > h.Max {
		t.Errorf("%s: %+v", row.Name, h)
	}
	if (row.Corrupted > 0) != (row.RoundsHit > 0) || (row.Corrupted > 0) != (row.Example != nil) {
		t.Errorf("%s: %d bytes, %d rounds, %+v", row.Name, row.Corrupted, row.RoundsHit, row.Example)
	}
	switch row.Role {
	case race.RoleReference, race.RoleOurs:
		if row.Corrupted != 0 {
			t.Errorf("%s corrupted %d bytes", row.Name, row.Corrupted)
		}
	case race.RoleBug, race.RoleMisuse:
		if row.Corrupted == 0 {
			t.Errorf("%s corrupted nothing", row.Name)
		}
	}
	switch row.Name {
	case race.Acked:
		if *row.RewrittenInFlight == 0 || *row.LentWhileHeld == 0 || row.Corrupted != 0 {
			t.Errorf("%+v", row)
		}
	case race.Ack, race.AckLate:
		if *row.RewrittenInFlight != 0 || *row.LentWhileHeld != 0 {
			t.Errorf("%+v", row)
		}
	}
	if e := row.Example; e != nil && row.Name == race.Sendfile {
		if e.Whose != "the marker" || !(e.Back <= e.Rewritten && e.Rewritten < e.Seen) || e.Promised == e.Arrived {
			t.Errorf("%+v", e)
		}
	}
}

// wholePage fails the test unless the page is well-formed and needs nothing else.
func wholePage(t *testing.T, name string) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for d := xml.NewDecoder(strings.NewReader(string(text))); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, foreign := range []string{"<script", "src=", "href=", "url("} {
		if strings.Contains(string(text), foreign) {
			t.Errorf("the page has %q", foreign)
		}
	}
	if n := strings.Count(string(text), "<svg"); n != 2 {
		t.Errorf("%d drawings", n)
	}
}

// leftNoRace fails the test if namespaces of a race are still there.
func leftNoRace(t *testing.T, p *proc) {
	t.Helper()
	left, _ := filepath.Glob(fmt.Sprintf("/run/netns/xsend-race-%d-*", p.cmd.Process.Pid))
	if len(left) != 0 {
		t.Errorf("still there: %v", left)
	}
}

// TestRaceShort is what "make demo" ends with.
func TestRaceShort(t *testing.T) {
	r := newRig(t, lab.Config{})
	p := r.start(lab.Sender, nil, "race", "--short")
	p.want(0, "4/4")
	for _, want := range []string{"1 % loss", "kernel send()", "kernel sendfile()", "xsend --release completion", "xsend --release ack", "shown: "} {
		if !strings.Contains(p.out.String(), want) {
			t.Errorf("no %q in\n%s", want, p.out.String())
		}
	}
	leftNoRace(t, p)
}

// TestRaceJoined: without a wire the ends are joined directly, and packets are lost by the lab's program.
func TestRaceJoined(t *testing.T) {
	r := newRig(t, lab.Config{})
	p := r.start(lab.Sender, nil, "race", "--json", "--rtt", "0", "--rows", "sendfile,ack", "--loss", "1", "-n", "4M", "--turns", "2")
	p.want(0, "4/4")
	if b := p.race().Blocks[0]; b.Dropped == 0 || rowOf(t, &b, race.Ack).N != 2 || rowOf(t, &b, race.Sendfile).Corrupted == 0 {
		t.Errorf("%+v", b)
	}
}

// TestRaceOnAPath: an interface and a receiver that are there; what nobody made isn't removed.
func TestRaceOnAPath(t *testing.T) {
	r := newRig(t, lab.Config{})
	_, to := r.sink("--verify", "--no-hash")
	p := r.start(lab.Sender, nil, "race", "--json", "-n", "4M", "--turns", "1", "veth-a", to)
	p.want(0, "13/13  ", "the path's own loss")
	res := p.race()
	if res.Interface != "veth-a" || res.Target != to || len(res.Blocks) != 1 || res.Blocks[0].Loss != nil || !res.Verdict.Shown {
		t.Errorf("%+v", res)
	}
	for i := range res.Blocks[0].Rows {
		row := &res.Blocks[0].Rows[i]
		right := row.Role == race.RoleReference || row.Role == race.RoleOurs
		if row.Outcome == race.Done && (row.Bytes != 4<<20 || right && row.Corrupted != 0) {
			t.Errorf("%+v", row)
		}
	}
	r.clean()
}

// TestRaceThatShowsNothing: a table that doesn't prove what it should ends with 1 and says what is missing. With one buffer
// of a page, and the doorbell's copy, completion corrupts nothing where nothing is lost: asking for a row that has no power is the control.
func TestRaceThatShowsNothing(t *testing.T) {
	r := newRig(t, lab.Config{})
	// 4 KiB in one round: what is rewritten after the return has left already, and nothing is sent again.
	p := r.start(lab.Sender, nil, "race", "--rtt", "0", "--rows", "send,completion", "--loss", "1", "-n", "4K", "--round", "4K", "--turns", "1")
	p.want(1, "xsend --release completion", "the control has no power")
	if !strings.Contains(p.out.String(), "NOT SHOWN") {
		t.Errorf("%s", p.out.String())
	}
	leftNoRace(t, p)
}

// TestRaceInterrupted: a signal ends it, and what it made is removed.
func TestRaceInterrupted(t *testing.T) {
	r := newRig(t, lab.Config{})
	p := r.start(lab.Sender, nil, "race", "-n", "1G")
	p.says("with 1 % loss")
	p.signal(syscall.SIGINT)
	p.want(130)
	leftNoRace(t, p)
}

func TestRaceBadInput(t *testing.T) {
	r := newRig(t, lab.Config{})
	_, deaf := r.sink()
	for _, row := range []bad{
		{"one argument", []string{"veth-a"}, 2, []string{"1 arguments", "HOST:PORT"}},
		{"unknown row", []string{"--rows", "sendto"}, 2, []string{"sendto", "sendfile-other"}},
		{"row twice", []string{"--rows", "ack,ack"}, 2, []string{"ack", "twice"}},
		{"no rows", []string{"--rows", ""}, 2, []string{"no rows"}},
		{"loss", []string{"--loss", "60"}, 2, []string{"60", "0 to 50"}},
		{"loss nonsense", []string{"--loss", "much"}, 2, []string{"--loss", "much"}},
		{"bytes 0", []string{"-n", "0"}, 2, []string{"--bytes 0", "more than 0"}},
		{"bytes too few", []string{"-n", "1K"}, 2, []string{"1024 bytes", "from 1 to"}},
		{"round", []string{"--round", "5000"}, 2, []string{"5000", "multiple of 4096"}},
		{"buffers 0", []string{"--buffers", "0"}, 2, []string{"--buffers 0", "more than 0"}},
		{"turns", []string{"--turns", "-3"}, 2, []string{"-3 turns"}},
		{"late 0", []string{"--late", "0"}, 2, []string{"--late 0", "more than 0"}},
		{"late too late", []string{"--late", "2s"}, 2, []string{"2s", "0 to 1s"}},
		{"rate without a wire", []string{"--rtt", "0", "--rate", "1G"}, 2, []string{"--rtt"}},
		{"short and rows", []string{"--short", "--rows", "ack"}, 2, []string{"--short", "--rows", "choose one"}},
		{"short and a path", []string{"--short", "veth-a", deaf}, 2, []string{"--short", "destination"}},
		{"loss of a path", []string{"--loss", "1", "veth-a", deaf}, 2, []string{"--loss", "destination"}},
		{"RTT of a path", []string{"--rtt", "1", "veth-a", deaf}, 2, []string{"--rtt", "destination"}},
		{"no port", []string{"veth-a", "10.77.0.2"}, 2, []string{`"10.77.0.2"`, "HOST:PORT"}},
		{"no such interface", []string{"nope0", deaf}, 2, []string{"nope0"}},
		{"a receiver that answers nothing", []string{"veth-a", deaf}, 2, []string{"answers no questions", "xsend sink --verify"}},
		{"nobody there", []string{"veth-a", "10.77.0.2:9"}, 2, []string{"10.77.0.2:9", "refused", "xsend sink --verify"}},
		{"page", []string{"--html", "/nowhere/race.html"}, 2, []string{"page", "/nowhere/race.html", "give another file"}},
		{"MTU", []string{"--mtu", "10"}, 2, []string{"MTU 10"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			at := &rig{t, r.Lab}
			p := at.start(lab.Sender, nil, append([]string{"race"}, row.args...)...)
			p.want(row.code, row.texts...)
			if p.out.String() != "" {
				t.Errorf("printed %q on standard output", p.out.String())
			}
			leftNoRace(t, p)
		})
	}
}
