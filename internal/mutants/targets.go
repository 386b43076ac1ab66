package main

import (
	"fmt"
	"go/build"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// target is a package whose code is mutated, and the tests that must see it.
type target struct {
	pkg     string            // its directory below the root
	without map[string]string // files that are not mutated, and why
	suites  []suite
}

// suite is one test binary and the part of its tests that is run: what needs at most
// 6 s of CPU. They are asked in turn until one of them sees the mutant.
type suite struct {
	pkg  string
	args []string
	env  []string // KEY=VALUE
}

// targets are what must not be wrong: who holds a frame, what is sent again, and when it is given back. A file
// that is new is in, unless it is named here.
var targets = []target{
	{
		pkg:    "umem",
		suites: []suite{{pkg: "umem", args: []string{"-test.short"}}},
	},
	{
		pkg:     "tcp",
		without: outside(),
		suites: []suite{
			{pkg: "tcp", args: []string{"-test.short"}},
			{pkg: "tcp", args: []string{"-test.short"}, env: []string{"XSEND_TEST_SEGMENTS=18"}}, // the scatter-gather layout
		},
	},
	{
		pkg:     "dataplane",
		without: aroundRelease(),
		suites: []suite{
			{pkg: "dataplane", args: []string{"-test.short", "-test.skip", "^TestDeadline$"}},
			{pkg: "dataplane", args: []string{"-test.short", "-test.run", "^Test(Transfer|Chaos)"}, env: []string{"XSEND_TEST_SEGMENTS=18"}},
			{pkg: "internal/simnet", args: []string{"-test.run", "^TestSchedules$", "-simnet.schedules", "1000"}},
		},
	},
}

// outside are the files of tcp that neither release, retransmit nor recover, and why they are left out.
func outside() map[string]string {
	const (
		pace  = "congestion control: how much may be sent, not what"
		talk  = "opens, closes and listens; scripts and the fuzzer are its tests"
		words = "names and numbers"
	)
	files := map[string]string{}
	for why, names := range map[string][]string{
		pace: {"bbr.go", "bbr_bandwidth.go", "bbr_cycle.go", "bbr_inflight.go", "bbr_recovery.go", "bbr_rtt.go", "bbr_startup.go",
			"bbr_window.go", "control.go", "cubic.go", "ecn.go", "fixed.go", "hystart.go", "minfilter.go", "pacer.go", "rate.go", "reno.go"},
		talk:  {"close.go", "handshake.go", "icmp.go", "input.go", "keepalive.go"},
		words: {"audit.go", "config.go", "doc.go", "seq.go", "state.go", "stats.go", "time.go", "tx.go", "waiting.go"},
	} {
		for _, name := range names {
			files[name] = why
		}
	}
	return files
}

// aroundRelease are the files of dataplane that have no part in when a frame is given back, and why they are left out.
func aroundRelease() map[string]string {
	const (
		bring = "brings packets, time and news; the transfer tests would stand still"
		share = "how much a writer may have, not when it gets it back"
		words = "names and numbers"
		upper = "on the writer's side of the rings"
		proof = "watches, and decides nothing"
	)
	files := map[string]string{}
	for why, names := range map[string][]string{
		bring: {"control.go", "directory.go", "expire.go", "notify.go", "open.go", "poller.go", "ready.go", "receive.go", "refill.go", "run.go", "tap.go", "watch.go"},
		proof: {"sums.go", "trace.go", "trapped.go"},
		share: {"budget.go", "lane.go"},
		words: {"audit.go", "books.go", "counters.go", "doc.go", "errors.go", "holders.go", "ledger.go", "milestones.go", "offload.go", "port.go", "stream.go", "times.go"},
		upper: {"pipe.go", "pipe_file.go", "pipe_flush.go", "pipe_read.go"},
	} {
		for _, name := range names {
			files[name] = why
		}
	}
	return files
}

// files are the target's files that are mutated, in order of name.
func (t target) files(root string) ([]string, error) {
	pkg, err := build.ImportDir(filepath.Join(root, t.pkg), 0)
	if err != nil {
		return nil, err
	}
	for name := range t.without {
		if !slices.Contains(pkg.GoFiles, name) {
			return nil, fmt.Errorf("target %s: there is no %s to leave out", t.pkg, name)
		}
	}
	return slices.DeleteFunc(pkg.GoFiles, func(name string) bool { return t.without[name] != "" }), nil
}

// tests are the sources of the target's tests and what they read, one after the other.
func (t target) tests(root string) (text []byte, err error) {
	for _, s := range t.suites {
		dir := filepath.Join(root, s.pkg)
		text = fmt.Appendf(text, "%s %q %q\n", s.pkg, s.args, s.env)
		err = filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			in, _ := filepath.Rel(dir, path)
			read := strings.HasSuffix(in, "_test.go") && filepath.Dir(in) == "." || strings.HasPrefix(in, "testdata"+string(filepath.Separator))
			if !read {
				return nil
			}
			b, err := os.ReadFile(path)
			text = append(fmt.Appendf(text, "%s %d\n", in, len(b)), b...)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return text, nil
}
