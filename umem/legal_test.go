package umem

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
)

// calls on one frame that the ledger refuses by panic where the state forbids them.
var frameCalls = []struct {
	name string
	do   func(*Pool, Frame)
}{
	{"abandon", (*Pool).Abandon}, {"commit", (*Pool).Commit}, {"early", (*Pool).LendEarly},
	{"return", (*Pool).Return}, {"hold", (*Pool).Hold}, {"drop", (*Pool).Drop},
	{"submit", (*Pool).Submit}, {"refill", (*Pool).Refill}, {"recycle", (*Pool).Recycle},
}

// frameStates bring one frame into a state, and name the calls that it allows.
var frameStates = []struct {
	name  string
	make  func(*Pool) Frame
	legal string
}{
	{"free", func(p *Pool) Frame { return p.first }, ""},
	{"below the pool", func(p *Pool) Frame { return p.first - 1 }, ""},
	{"above the pool", func(p *Pool) Frame { return p.first + Frame(p.Len()) }, ""},
	{"no frame", func(*Pool) Frame { return NoFrame }, ""},
	{"writer", lent, "abandon commit"},
	{"engine", alloced, "return hold submit"},
	{"TCP", committed, "early hold drop submit"},
	{"TCP, the engine's", func(p *Pool) Frame { return then(p, alloced(p), (*Pool).Hold) }, "hold drop submit"},
	{"TCP and kernel", submitted, "early hold drop submit"},
	{"kernel", outlived, "early submit"},
	{"kernel, the engine's", func(p *Pool) Frame { return then(p, alloced(p), (*Pool).Submit) }, "submit"},
	{"fill", filled, ""},
	{"fill, quarantined", func(p *Pool) Frame { return quarantined(p, filled(p)) }, ""},
	{"RX", func(p *Pool) Frame { return received(p, filled(p)) }, "refill recycle"},
	{"quarantined with TCP", func(p *Pool) Frame { return quarantined(p, submitted(p)) }, "early hold drop submit"},
	{"quarantined", func(p *Pool) Frame { return quarantined(p, outlived(p)) }, "early submit"},
	{"early, TCP", func(p *Pool) Frame { return then(p, committed(p), (*Pool).LendEarly) }, "abandon commit hold drop submit"},
	{"early, TCP and kernel", func(p *Pool) Frame { return then(p, submitted(p), (*Pool).LendEarly) }, "abandon commit hold drop submit"},
	{"early, kernel", func(p *Pool) Frame { return then(p, outlived(p), (*Pool).LendEarly) }, "abandon commit submit"},
	{"early, abandoned", func(p *Pool) Frame { return then(p, committed(p), (*Pool).LendEarly, (*Pool).Abandon) }, "hold drop submit"},
	{"given back", func(p *Pool) Frame { return then(p, committed(p), (*Pool).Drop) }, "abandon commit"},
	{"most segments", func(p *Pool) Frame { return full(p, committed(p), &p.at(p.first).tcp) }, "early drop submit"},
	{"most descriptors", func(p *Pool) Frame { return full(p, submitted(p), &p.at(p.first).kernel) }, "early hold drop"},
	{"early, most segments", func(p *Pool) Frame {
		return full(p, then(p, committed(p), (*Pool).LendEarly), &p.at(p.first).tcp)
	}, "abandon drop submit"},
}

func lent(p *Pool) Frame    { f, _ := p.Lend(); return f }
func alloced(p *Pool) Frame { f, _ := p.Alloc(); return f }
func filled(p *Pool) Frame  { f, _ := p.Fill(); return f }

func then(p *Pool, f Frame, calls ...func(*Pool, Frame)) Frame {
	for _, call := range calls {
		call(p, f)
	}
	return f
}

func committed(p *Pool) Frame { return then(p, lent(p), (*Pool).Commit) }
func submitted(p *Pool) Frame { return then(p, committed(p), (*Pool).Submit) }

// outlived is a frame whose ACK was before its completion.
func outlived(p *Pool) Frame { return then(p, submitted(p), (*Pool).Drop) }

func received(p *Pool, f Frame) Frame    { p.Received(p.region.Addr(f)); return f }
func quarantined(p *Pool, f Frame) Frame { p.Quarantine(); return f }

// full is what 65534 more calls would make of the count.
func full(_ *Pool, f Frame, count *uint16) Frame { *count = math.MaxUint16; return f }

// panics is what fn panicked with, "" if it returned.
func panics(fn func()) (text string) {
	defer func() {
		if r := recover(); r != nil {
			text = fmt.Sprint(r)
		}
	}()
	fn()
	return ""
}

// TestEveryCallInEveryState: a call that the state forbids panics, naming the
// frame, and changes nothing; one that it allows does not panic.
func TestEveryCallInEveryState(t *testing.T) {
	r := mapped(t, 16, MinChunk)
	for _, s := range frameStates {
		for _, c := range frameCalls {
			p := newPool(t, r, 4, 6, 0)
			f := s.make(p)
			before := slices.Clone(p.holds)
			text := panics(func() { c.do(p, f) })
			legal := slices.Contains(strings.Fields(s.legal), c.name)
			switch {
			case legal && text != "":
				t.Errorf("%s of a frame in state %q: panic: %s", c.name, s.name, text)
			case !legal && text == "":
				t.Errorf("%s of a frame in state %q: no panic", c.name, s.name)
			case !legal && !strings.Contains(text, fmt.Sprintf("frame %d", f)):
				t.Errorf("%s of a frame in state %q: the panic does not name it: %s", c.name, s.name, text)
			case !legal && !slices.Equal(before, p.holds):
				t.Errorf("%s of a frame in state %q: changed the books before the panic", c.name, s.name)
			}
			if _, err := p.Audit(); err != nil {
				t.Errorf("%s of a frame in state %q: %v", c.name, s.name, err)
			}
		}
	}
}

// TestDouble: what was given back once is not there to be given back again.
func TestDouble(t *testing.T) {
	r := mapped(t, 16, MinChunk)
	for _, c := range []struct {
		name  string
		make  func(*Pool) Frame
		twice func(*Pool, Frame)
	}{
		{"abandon", lent, (*Pool).Abandon},
		{"commit", lent, (*Pool).Commit},
		{"early lend", committed, (*Pool).LendEarly},
		{"return", alloced, (*Pool).Return},
		{"drop", committed, (*Pool).Drop},
		{"recycle", func(p *Pool) Frame { return received(p, filled(p)) }, (*Pool).Recycle},
		{"refill", func(p *Pool) Frame { return received(p, filled(p)) }, (*Pool).Refill},
	} {
		p := newPool(t, r, 0, 4, 0)
		f := c.make(p)
		if text := panics(func() { c.twice(p, f) }); text != "" {
			t.Errorf("%s: %s", c.name, text)
		}
		if panics(func() { c.twice(p, f) }) == "" {
			t.Errorf("%s twice: no panic", c.name)
		}
	}
}

func newPool(tb testing.TB, r *Region, first Frame, n, reserve int) *Pool {
	tb.Helper()
	p, err := NewPool(r, first, n, reserve)
	if err != nil {
		tb.Fatal(err)
	}
	return p
}
