package lifecycle

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/xsend/xsend/dataplane/trace"
)

// edits are lies told in a trace that was legal. do changes events at or around place i, which is of the kind given; false: it
// can't be told there.
var edits = []struct {
	name string
	at   trace.Kind
	do   func(all []trace.Event, i int) ([]trace.Event, bool)
}{
	{"a completion is dropped", trace.Complete, drop},
	{"a completion is told twice", trace.Complete, twice},
	{"a release is dropped", trace.Release, drop},
	{"a release is told twice", trace.Release, twice},
	{"a commit is dropped", trace.Commit, drop},
	{"a descriptor is dropped", trace.Submit, drop},
	{"an ACK is told to reach further", trace.Ack, func(all []trace.Event, i int) ([]trace.Event, bool) { all[i].A += 100; return all, true }},
	{"a release is of more bytes", trace.Release, func(all []trace.Event, i int) ([]trace.Event, bool) { all[i].B++; return all, true }},
	{"a release is of another place", trace.Release, func(all []trace.Event, i int) ([]trace.Event, bool) { all[i].A--; return all, true }},
	{"a release comes before its ACK", trace.Release, beforeACK},
	{"a release comes before its completion", trace.Release, beforeCompletion},
	{"the frames of two releases are swapped", trace.Release, func(all []trace.Event, i int) ([]trace.Event, bool) {
		return swapFrames(all, i, trace.Release)
	}},
	{"the frames of two commits are swapped", trace.Commit, func(all []trace.Event, i int) ([]trace.Event, bool) {
		return swapFrames(all, i, trace.Commit)
	}},
	{"a frame is lent twice", trace.Lend, twice},
	{"a descriptor's payload is of another place", trace.Submit, func(all []trace.Event, i int) ([]trace.Event, bool) {
		d := sendingOf(&all[i])
		all[i].A += 3 << 32
		return all, d.ofStream() && d.source != trace.NoFrame
	}},
	{"an abort that was none", trace.Release, func(all []trace.Event, i int) ([]trace.Event, bool) {
		before := all[i].Flags
		all[i].Flags = 1
		open := !slices.ContainsFunc(all[:i], func(e trace.Event) bool { return e.Conn == all[i].Conn && e.Kind == trace.CloseWrite })
		return all, before == 0 && open
	}},
	{"a demotion that was none", trace.Release, func(all []trace.Event, i int) ([]trace.Event, bool) {
		e := all[i]
		all[i].Flags = 3
		j := lastACK(all, i)
		if j < 0 || all[j].A < e.A+uint64(e.B) || j > 0 && covered(all[:j], e) {
			return all, false
		}
		return slices.Delete(all, j, j+1), true // and so it was not ACKed
	}},
	{"a frame is taken for the fill ring", trace.Commit, func(all []trace.Event, i int) ([]trace.Event, bool) {
		e := trace.Event{Time: all[i].Time, Kind: trace.Fill, Frame: all[i].Frame}
		return slices.Insert(all, i+1, e), true
	}},
	{"a count is wrong", trace.Count, func(all []trace.Event, i int) ([]trace.Event, bool) { all[i].A++; return all, true }},
}

func drop(all []trace.Event, i int) ([]trace.Event, bool) { return slices.Delete(all, i, i+1), true }

func twice(all []trace.Event, i int) ([]trace.Event, bool) {
	return slices.Insert(all, i, all[i]), true
}

// lastACK is the last ACK of the release's connection before place i; -1: none.
func lastACK(all []trace.Event, i int) int {
	for j := i - 1; j >= 0; j-- {
		if all[j].Kind == trace.Ack && all[j].Conn == all[i].Conn {
			return j
		}
	}
	return -1
}

// covered reports that an ACK among the events covers the release's bytes.
func covered(all []trace.Event, e trace.Event) bool {
	return slices.ContainsFunc(all, func(a trace.Event) bool {
		return a.Kind == trace.Ack && a.Conn == e.Conn && a.A >= e.A+uint64(e.B)
	})
}

func moveTo(all []trace.Event, from, to int) []trace.Event {
	e := all[from]
	return slices.Insert(slices.Delete(all, from, from+1), to, e)
}

func beforeACK(all []trace.Event, i int) ([]trace.Event, bool) {
	if all[i].Flags != 0 {
		return all, false
	}
	for j := range all[:i] {
		if covered(all[j:j+1], all[i]) {
			return moveTo(all, i, j), true
		}
	}
	return all, false
}

func beforeCompletion(all []trace.Event, i int) ([]trace.Event, bool) {
	for j := i - 1; j >= 0; j-- {
		if all[j].Kind == trace.Complete && all[j].Flags == 0 && all[j].Frame == all[i].Frame {
			return moveTo(all, i, j), true
		}
	}
	return all, false
}

func swapFrames(all []trace.Event, i int, k trace.Kind) ([]trace.Event, bool) {
	for j := i + 1; j < len(all); j++ {
		if all[j].Kind == k && all[j].Frame != all[i].Frame {
			all[i].Frame, all[j].Frame = all[j].Frame, all[i].Frame
			return all, true
		}
	}
	return all, false
}

// TestEveryLieIsFound tells each lie at random places of traces that are legal: the check finds all of them.
func TestEveryLieIsFound(t *testing.T) {
	tapes := [][]trace.Event{}
	for _, i := range []int{0, 3 + 2} { // late completions; several descriptors
		for seed := uint64(1); seed <= 4; seed++ {
			one := trial(i, seed)
			one.Bytes = 60_000
			tape, _ := record(t, one)
			tapes = append(tapes, tape.events())
		}
	}
	for _, edit := range edits {
		t.Run(edit.name, func(t *testing.T) {
			t.Parallel()
			r, told := rand.New(rand.NewPCG(7, 7)), 0
			for n := 0; n < 400 && told < 40; n++ {
				all := slices.Clone(tapes[n%len(tapes)])
				places := []int{}
				for i := range all {
					if all[i].Kind == edit.at && (edit.at != trace.Complete || all[i].Flags == 0) {
						places = append(places, i)
					}
				}
				if len(places) == 0 {
					continue
				}
				i := places[r.IntN(len(places))]
				lie, ok := edit.do(all, i)
				if !ok {
					continue
				}
				told++
				if res := judge(lie, nil); res.ExitCode() != 1 {
					t.Fatalf("at event %d of trace %d: %s", i, n%len(tapes), text(&res))
				}
			}
			if told < 10 {
				t.Errorf("told only %d times", told)
			}
		})
	}
}

// TestWhatIsMissingIsSaid: a trace that was cut, or that lost events, is never called legal.
func TestWhatIsMissingIsSaid(t *testing.T) {
	tape, _ := record(t, trial(0, 1))
	all := tape.events()
	if r := judge(all, nil); r.ExitCode() != 0 {
		t.Fatal(text(&r))
	}
	for _, n := range []int{0, 1, len(all) / 2, len(all) - 1} {
		if r := judge(all[:n], nil); r.ExitCode() != 2 {
			t.Errorf("the first %d of %d events: %s", n, len(all), text(&r))
		}
	}
	half := len(all) / 2
	lost := slices.Concat(all[:half], []trace.Event{{Kind: trace.Lost, A: 10, Frame: trace.NoFrame}}, all[half+10:])
	if r := judge(lost, nil); r.ExitCode() != 2 || r.Lost != 10 || !strings.Contains(text(&r), "10 events lost: not decidable") {
		t.Error(text(&r))
	}
	bad, _ := twice(slices.Clone(lost), slices.IndexFunc(lost, func(e trace.Event) bool { return e.Kind == trace.Release }))
	if r := judge(bad, nil); r.ExitCode() != 1 {
		t.Errorf("illegal before the loss: %s", text(&r))
	}
}
