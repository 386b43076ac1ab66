package main

import (
	"fmt"
	"io"
	"slices"
)

// least is the part of the mutants that must be killed, in percent.
const least = 90

// report says what became of the mutants.
type report struct {
	all, chosen []*mutant
	entries     []entry // of the chosen, in their order
	reasons     map[string]string
	whole       bool // all targets, not a part of them
	seed        uint64
}

// tally counts the mutants of a file, or of all.
type tally struct{ tried, of, killed, timed, survived, notCompiling int }

func (t *tally) count(e entry) {
	t.tried++
	switch e.Verdict {
	case killed:
		t.killed++
		if e.By == "time" {
			t.timed++
		}
	case survived:
		t.survived++
	case notCompiling:
		t.notCompiling++
	}
}

// percent is how many of those that compile were killed, rounded down.
func (t *tally) percent() int {
	if t.killed+t.survived == 0 {
		return 100
	}
	return 100 * t.killed / (t.killed + t.survived)
}

func (t *tally) write(out io.Writer, name string) {
	fmt.Fprintf(out, "%-26s %5d of %5d  killed %5d (%d by time)  survived %4d  not compiling %4d  %3d %%\n",
		name, t.tried, t.of, t.killed, t.timed, t.survived, t.notCompiling, t.percent())
}

// write prints the report. The error wraps errVerdict.
func (r *report) write(out io.Writer) error {
	total := r.table(out)
	if total.tried < total.of {
		fmt.Fprintf(out, "tried %d of %d mutants (%.1f %%), chosen by seed %d\n",
			total.tried, total.of, 100*float64(total.tried)/float64(total.of), r.seed)
	}
	unexplained, spared := r.survivors()
	r.list(out, "survivors without a reason:", unexplained)
	stale := r.stale(spared)
	r.list(out, "reasons without a survivor:", stale)
	switch {
	case total.percent() < least:
		return fmt.Errorf("%w: %d %% of the mutants are killed, the least is %d %%", errVerdict, total.percent(), least)
	case len(unexplained) > 0:
		return fmt.Errorf("%w: %d survivors have no reason", errVerdict, len(unexplained))
	case len(stale) > 0:
		return fmt.Errorf("%w: %d reasons have no survivor", errVerdict, len(stale))
	}
	return nil
}

// table prints a line for each file, and the sum.
func (r *report) table(out io.Writer) (total tally) {
	var names []string
	files := map[string]*tally{}
	for _, m := range r.all {
		if files[m.file] == nil {
			files[m.file] = &tally{}
			names = append(names, m.file)
		}
		files[m.file].of++
		total.of++
	}
	for i, m := range r.chosen {
		files[m.file].count(r.entries[i])
		total.count(r.entries[i])
	}
	for _, name := range names {
		files[name].write(out, name)
	}
	total.write(out, "total")
	return total
}

// survivors are those that survived without a reason, and with one.
func (r *report) survivors() (unexplained []string, spared map[string]bool) {
	spared = map[string]bool{}
	for i, m := range r.chosen {
		switch {
		case r.entries[i].Verdict != survived:
		case r.reasons[m.name] == "":
			unexplained = append(unexplained, m.name)
		default:
			spared[m.name] = true
		}
	}
	return unexplained, spared
}

// stale are the reasons of mutants that were killed or do not exist. Of those that
// were not tried nothing is known.
func (r *report) stale(spared map[string]bool) (names []string) {
	untried := map[string]bool{}
	for _, m := range r.all {
		untried[m.name] = true
	}
	for _, m := range r.chosen {
		delete(untried, m.name)
	}
	tried := map[string]bool{}
	for _, m := range r.chosen {
		tried[m.name] = true
	}
	for name := range r.reasons {
		if !spared[name] && !untried[name] && (r.whole || tried[name]) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *report) list(out io.Writer, title string, names []string) {
	if len(names) == 0 {
		return
	}
	fmt.Fprintln(out, title)
	for _, name := range names {
		fmt.Fprintln(out, name)
	}
}
