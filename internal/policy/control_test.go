package policy

import (
	"slices"
	"strings"
	"testing"
)

// A control is a tree in memory, written as file name and source in turn, and what
// its rule must find in it. want "" is the counterpart: nearly the same, and right.
var controls = []struct {
	rule, name string
	files      []string
	want       string
}{
	{"arrows", "umem imports wire", src("umem/pool.go", `import _ "`+module+`/internal/wire"`), "umem imports internal/wire"},
	{"arrows", "umem's test too", src("umem/pool_test.go", `import _ "`+module+`/tcp"`), "umem imports tcp"},
	{"arrows", "wire imports umem", src("internal/wire/a.go", `import _ "`+module+`/umem"`), "internal/wire imports umem"},
	{"arrows", "tcp imports dataplane", src("tcp/a.go", `import x "`+module+`/dataplane"`), "tcp imports dataplane"},
	{"arrows", "tcp imports umem", src("tcp/a.go", `import _ "`+module+`/umem"`), ""},
	{"arrows", "dataplane imports hw", src("dataplane/a.go", `import _ "`+module+`/hw"`), "dataplane imports hw"},
	{"arrows", "the port imports xdp-prog", src("dataplane/afxdp/a.go", `import _ "`+module+`/xdp-prog"`), "dataplane/afxdp imports xdp-prog"},
	{"arrows", "dataplane imports session", src("dataplane/a.go", `import _ "`+module+`/dataplane/session"`), "dataplane imports dataplane/session"},
	{"arrows", "a port imports session", src("dataplane/asavie/a.go", `import _ "`+module+`/dataplane/session"`), "imports dataplane/session"},
	{"arrows", "session imports all of it", src("dataplane/session/a.go", `import (_ "`+module+`/hw"; _ "`+module+`/xdp-prog"; _ "`+module+`/dataplane/afxdp")`), ""},
	{"arrows", "session imports the lab", src("dataplane/session/a.go", `import _ "`+module+`/internal/lab"`), "dataplane/session imports internal/lab"},
	{"arrows", "session's test uses the lab", src("dataplane/session/a_test.go", `import _ "`+module+`/internal/lab"`), ""},
	{"arrows", "hw imports xdp-prog", src("hw/a.go", `import _ "`+module+`/xdp-prog"`), "hw imports xdp-prog"},
	{"arrows", "xdp-prog imports hw", src("xdp-prog/a.go", `import _ "`+module+`/hw"`), "xdp-prog imports hw"},
	{"arrows", "hw imports the command", src("hw/a.go", `import _ "`+module+`/cmd/xsend"`), "hw imports cmd/xsend"},
	{"arrows", "the lab imports dataplane", src("internal/lab/a.go", `import _ "`+module+`/dataplane/session"`), "internal/lab imports dataplane/session"},
	{"arrows", "the wire imports anything", src("internal/netem/a.go", `import _ "`+module+`/internal/wire"`), "internal/netem imports internal/wire"},
	{"arrows", "the lab has a wire", src("internal/lab/a.go", `import _ "`+module+`/internal/netem"`), ""},
	{"arrows", "the pattern imports anything", src("internal/pattern/a.go", `import _ "`+module+`/tcp"`), "internal/pattern imports tcp"},
	{"arrows", "the sink imports the sender", src("internal/sink/a.go", `import _ "`+module+`/internal/transfer"`), "internal/sink imports internal/transfer"},
	{"arrows", "the sink has a pattern", src("internal/sink/a.go", `import _ "`+module+`/internal/pattern"`), ""},
	{"arrows", "a race imports session", src("internal/race/a.go", `import _ "`+module+`/dataplane/session"`), ""},
	{"arrows", "a package without a row", src("stray/a.go", ``), "package stray has no row"},
	{"arrows", "its own test", src("umem/a_test.go", `import _ "`+module+`/umem"`), ""},
	{"arrows", "a module of like name", src("umem/a.go", `import _ "`+module+`x/tcp"`), ""},

	{"tests only", "session imports simnet", src("dataplane/session/a.go", `import _ "`+module+`/internal/simnet"`), "internal/simnet is for tests only"},
	{"tests only", "the command imports simnet", src("cmd/xsend/a.go", `import _ "`+module+`/internal/simnet"`), "internal/simnet is for tests only"},
	{"tests only", "a port imports porttest", src("dataplane/afxdp/a.go", `import _ "`+module+`/dataplane/internal/porttest"`), "porttest is for tests only"},
	{"tests only", "a test imports simnet", src("dataplane/a_test.go", `import _ "`+module+`/internal/simnet"`), ""},

	{"pure", "tcp imports time", src("tcp/a.go", `import "time"`), "tcp imports time"},
	{"pure", "tcp imports sync/atomic", src("tcp/a.go", `import "sync/atomic"`), "tcp imports sync/atomic"},
	{"pure", "umem imports sync", src("umem/a.go", `import "sync"`), "umem imports sync"},
	{"pure", "umem imports sync/atomic", src("umem/a.go", `import "sync/atomic"`), ""},
	{"pure", "umem imports unix elsewhere", src("umem/pool.go", `import "golang.org/x/sys/unix"`), "umem imports golang.org/x/sys/unix"},
	{"pure", "umem maps memory", src("umem/region.go", `import ("golang.org/x/sys/unix"; "os")`), ""},
	{"pure", "wire imports net", src("internal/wire/a.go", `import "net"`), "internal/wire imports net"},
	{"pure", "wire imports net/netip", src("internal/wire/a.go", `import "net/netip"`), ""},
	{"pure", "wire logs", src("internal/wire/a.go", `import "log/slog"`), "imports log/slog"},
	{"pure", "tcp draws lots", src("tcp/a.go", `import "math/rand/v2"`), "imports math/rand/v2"},
	{"pure", "a test of tcp draws lots", src("tcp/a_test.go", `import "math/rand/v2"`), ""},
	{"pure", "umem imports os elsewhere", src("umem/pool.go", `import "os"`), "umem imports os"},

	{"quiet", "a goroutine", src("tcp/a.go", `func f() { go f() }`), "a goroutine in tcp"},
	{"quiet", "a channel", src("umem/a.go", `var c chan int`), "a channel in umem"},
	{"quiet", "a select", src("internal/wire/a.go", `func f() { select {} }`), "a channel in internal/wire"},
	{"quiet", "neither", src("tcp/a.go", `func f() { defer f() }`), ""},
	{"quiet", "the poller's goroutine", src("dataplane/a.go", `func f() { go f() }`), ""},

	{"unsafe", "in any file", src("umem/pool.go", `import "unsafe"`), "unsafe outside *_unsafe.go"},
	{"unsafe", "in a test", src("umem/pool_test.go", `import "unsafe"`), "unsafe outside *_unsafe.go"},
	{"unsafe", "renamed", src("hw/a.go", `import u "unsafe"`), "unsafe outside *_unsafe.go"},
	{"unsafe", "in its file", src("umem/ring_unsafe.go", `import "unsafe"`), ""},
	{"unsafe", "in its test file", src("umem/ring_unsafe_test.go", `import "unsafe"`), ""},
	{"unsafe", "nearly in its file", src("umem/unsafe.go", `import "unsafe"`), "unsafe outside *_unsafe.go"},
	{"unsafe", "generated", []string{"xdp-prog/s_bpfel.go", "// Code generated by bpf2go; DO NOT EDIT.\n\npackage p\nimport \"unsafe\"\n"}, ""},
	{"unsafe", "cgo", src("hw/a.go", `import "C"`), "C outside *_unsafe.go"},
	{"unsafe", "linkname", src("tcp/a.go", "//go:linkname nanotime runtime.nanotime\nfunc nanotime() int64"), "linkname outside"},

	{"clock", "tcp", src("tcp/a.go", `import "time"; var t = time.Now()`), "time.Now"},
	{"clock", "a test of tcp", src("tcp/a_test.go", `import "time"; func f() { time.Sleep(1) }`), "time.Sleep"},
	{"clock", "simnet", src("internal/simnet/a.go", `import "time"; var t = time.Since(x)`), "time.Since"},
	{"clock", "as a value", src("internal/simnet/a.go", `import "time"; var now = time.Now`), "time.Now"},
	{"clock", "by another name", src("dataplane/poller.go", `import clock "time"; var c = clock.After(1)`), "time.After"},
	{"clock", "with a dot", src("dataplane/poller.go", `import . "time"; var t = Now()`), "imported with a dot"},
	{"clock", "a ticker", src("dataplane/poller.go", `import "time"; var c = time.NewTicker(1)`), "time.NewTicker"},
	{"clock", "by system call", src("dataplane/afxdp/kick.go", `import "golang.org/x/sys/unix"; var e = unix.ClockGettime(0, nil)`), "ClockGettime"},
	{"clock", "run.go", src("dataplane/run.go", `import "time"; var t = time.Now()`), ""},
	{"clock", "the trace's writer", src("dataplane/trace/writer.go", `import "time"; var t = time.Now()`), ""},
	{"clock", "the trace's ring", src("dataplane/trace/ring.go", `import "time"; var t = time.Now()`), "time.Now"},
	{"arrows", "the trace imports the dataplane", src("dataplane/trace/a.go", `import _ "`+module+`/dataplane"`), "dataplane/trace imports dataplane"},
	{"clock", "another run.go", src("dataplane/afxdp/run.go", `import "time"; var t = time.Now()`), "time.Now"},
	{"clock", "a duration", src("dataplane/poller.go", `import "time"; const limit = time.Millisecond`), ""},
	{"clock", "a test of dataplane", src("dataplane/a_test.go", `import "time"; var t = time.Now()`), ""},
	{"clock", "elsewhere", src("hw/a.go", `import "time"; var t = time.Now()`), ""},
	{"clock", "a method of that name", src("dataplane/poller.go", `import "time"; var d time.Duration; var t = x.Now()`), ""},

	{"floats", "a type", src("tcp/a.go", `var x float64`), "float64 in integer code"},
	{"floats", "a conversion", src("tcp/a.go", `func f(n int) int { return int(float32(n)) }`), "float32 in integer code"},
	{"floats", "a literal", src("tcp/a.go", `const beta = 0.7`), "0.7 in integer code"},
	{"floats", "integers", src("tcp/a.go", `const beta = 7 / 10`), ""},
	{"floats", "in a comment", src("tcp/a.go", "// beta is 0.7, not a float64\nconst beta = 717"), ""},
	{"floats", "elsewhere", src("dataplane/a.go", `var x float64`), ""},

	{"package comment", "none", []string{"hw/a.go", "package hw\n", "hw/doc.go", "package hw\n"}, "has no package comment"},
	{"package comment", "doc.go", []string{"hw/a.go", "package hw\n", "hw/doc.go", "// Package hw is.\npackage hw\n"}, ""},
	{"package comment", "elsewhere", []string{"hw/a.go", "// Package hw is.\npackage hw\n", "hw/b.go", "package hw\n"}, "not in doc.go"},
	{"package comment", "two", []string{"hw/a.go", "// Package hw is.\npackage hw\n", "hw/doc.go", "// Package hw is.\npackage hw\n"}, "package comments in [a.go doc.go]"},
	{"package comment", "the only file", []string{"hw/a.go", "// Package hw is.\npackage hw\n"}, ""},
	{"package comment", "only a directive", []string{"hw/a.go", "//go:build linux\npackage hw\n"}, "has no package comment"},
	{"package comment", "a command", []string{"cmd/x/main.go", "// Command x is.\npackage main\n", "cmd/x/b.go", "package main\n"}, ""},
	{"package comment", "a command without", []string{"cmd/x/main.go", "package main\n"}, "has no package comment"},
	{"package comment", "tests alone", []string{"internal/x/a_test.go", "// Package x is.\npackage x\n"}, "has tests and no doc.go"},

	{"exported", "a function", src("hw/a.go", `func Open() {}`), "Open has no comment"},
	{"exported", "a function with one", src("hw/a.go", "// Open opens.\nfunc Open() {}"), ""},
	{"exported", "a directive is none", src("hw/a.go", "//go:noinline\nfunc Open() {}"), "Open has no comment"},
	{"exported", "a method", src("umem/a.go", "// R is.\ntype R[T any] struct{}\nfunc (r *R[T]) Take() {}"), "Take has no comment"},
	{"exported", "a method of no exported type", src("umem/a.go", "type r struct{}\nfunc (r *r) Take() {}"), ""},
	{"exported", "a type", src("tcp/a.go", `type Conn struct{}`), "Conn has no comment"},
	{"exported", "a type of a group", src("tcp/a.go", "type (\n// A is.\nA int\nB int\n)"), "B has no comment"},
	{"exported", "a constant", src("tcp/a.go", `const Limit = 1`), "Limit has no comment"},
	{"exported", "a constant beside its comment", src("tcp/a.go", "const Limit = 1 // segments"), ""},
	{"exported", "a group", src("tcp/a.go", "// The states.\nconst (\nA = 1\nB = 2\n)"), ""},
	{"exported", "a variable", src("dataplane/session/a.go", `var ErrX, errY = 1, 2`), "ErrX has no comment"},
	{"exported", "an interface's method", src("dataplane/a.go", "// Port is.\ntype Port interface{ Close() error }"), "Port.Close has no comment"},
	{"exported", "internal", src("dataplane/internal/x/a.go", `func Open() {}`), ""},
	{"exported", "in a test", src("hw/a_test.go", `func TestX() {}`), ""},

	{"words", "a file", src("hw/util.go", ``), `says "util"`},
	{"words", "a part of a file", src("hw/link_helpers_test.go", ``), `says "helper"`},
	{"words", "a directory", src("internal/common/a.go", ``), `says "common"`},
	{"words", "a package", []string{"hw/a.go", "package manager\n"}, `says "manager"`},
	{"words", "an ending", src("dataplane/rx_handler.go", ``), `says "handler"`},
	{"words", "a longer word", src("dataplane/metadata.go", ``), ""},
}

// src is a package of one file.
func src(name, code string) []string { return []string{name, "package p\n" + code + "\n"} }

func TestControls(t *testing.T) {
	for _, c := range controls {
		t.Run(c.rule+"/"+c.name, func(t *testing.T) {
			var files []*file
			for pair := range slices.Chunk(c.files, 2) {
				f, err := parse(pair[0], []byte(pair[1]))
				if err != nil {
					t.Fatal(err)
				}
				files = append(files, f)
			}
			found := check(t, c.rule, files)
			switch {
			case c.want == "" && len(found) > 0:
				t.Errorf("found %v", found)
			case c.want != "" && len(found) != 1:
				t.Errorf("found %v, want one with %q", found, c.want)
			case c.want != "" && !strings.Contains(found[0].text, c.want):
				t.Errorf("found %v, want %q", found, c.want)
			}
		})
	}
}

func check(t *testing.T, rule string, files []*file) []finding {
	t.Helper()
	for _, r := range rules {
		if r.name == rule {
			return r.check(files)
		}
	}
	t.Fatalf("no rule %q", rule)
	return nil
}

// TestEveryRuleHasControls: one that must be found, one that must not.
func TestEveryRuleHasControls(t *testing.T) {
	for _, r := range rules {
		var finds, leaves bool
		for _, c := range controls {
			if c.rule == r.name {
				finds, leaves = finds || c.want != "", leaves || c.want == ""
			}
		}
		if !finds || !leaves {
			t.Errorf("%s: a control that is found: %v, one that is not: %v", r.name, finds, leaves)
		}
	}
}

// TestToldControls is the same for what is only told.
func TestToldControls(t *testing.T) {
	f, err := parse("tcp/a.go", []byte("package tcp\n\n// RFC 6298 and RFC 9293, RFC9293 again.\n// https://www.rfc-editor.org/rfc/rfc6298#section-2\n"+strings.Repeat("\n", 300)))
	if err != nil {
		t.Fatal(err)
	}
	if found := unlinkedRFCs(f); len(found) != 1 || !strings.Contains(found[0].text, "RFC 9293") {
		t.Errorf("RFCs: %v", found)
	}
	if found := longFiles(f); len(found) != 1 {
		t.Errorf("long: %v", found)
	}
}
