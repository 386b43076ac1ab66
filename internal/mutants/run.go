package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

type options struct {
	root, dir, reasons, only string
	most, jobs               int
	seed                     uint64
	fresh, list              bool
}

// mutant is a mutation with all that is needed to judge it.
type mutant struct {
	mutation
	target *target
	src    []byte
	source string // hashes
	tests  string
}

// run judges every mutant of the targets, and reports.
func run(ctx context.Context, o options, targets []target, out, progress io.Writer) error {
	root, err := filepath.Abs(o.root)
	if err != nil {
		return err
	}
	o.root, o.dir, o.reasons = root, below(root, o.dir), below(root, o.reasons)
	all, err := gather(o, targets)
	if err != nil {
		return err
	}
	if len(all) == 0 {
		return fmt.Errorf("no mutant's name begins with %q", o.only)
	}
	chosen := sample(all, o.most, o.seed)
	if o.list {
		for _, m := range chosen {
			fmt.Fprintln(out, m.name)
		}
		return nil
	}
	reasons, err := loadReasons(o.reasons)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.dir, 0o777); err != nil {
		return err
	}
	known, err := openVerdicts(filepath.Join(o.dir, "verdicts.jsonl"), o.fresh)
	if err != nil {
		return err
	}
	err = try(ctx, o, chosen, known, progress)
	if err := errors.Join(err, known.close()); err != nil {
		return err
	}
	r := report{all: all, chosen: chosen, reasons: reasons, whole: o.only == "", seed: o.seed}
	for _, m := range chosen {
		e, _ := known.find(m.name, m.source, m.tests)
		r.entries = append(r.entries, e)
	}
	return r.write(out)
}

func below(root, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(root, path)
}

func loadReasons(path string) (map[string]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	reasons, err := parseReasons(string(text))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return reasons, nil
}

// gather makes the mutants of all targets, in the order of the table, the files' names
// and the places in them.
func gather(o options, targets []target) (all []*mutant, err error) {
	for i := range targets {
		t := &targets[i]
		names, err := t.files(o.root)
		if err != nil {
			return nil, err
		}
		tests, err := t.tests(o.root)
		if err != nil {
			return nil, err
		}
		for _, name := range names {
			made, src, err := mutationsOf(o.root, filepath.Join(t.pkg, name))
			if err != nil {
				return nil, err
			}
			for _, m := range made {
				if strings.HasPrefix(m.name, o.only) {
					all = append(all, &mutant{mutation: m, target: t, src: src, source: hash(src), tests: hash(tests)})
				}
			}
		}
	}
	return all, nil
}

// sample chooses at most so many mutants. Which ones depends on the seed and their
// names alone: a mutant more or less elsewhere changes no other's luck, but at the edge.
func sample(all []*mutant, most int, seed uint64) []*mutant {
	if most <= 0 || len(all) <= most {
		return all
	}
	lot := func(m *mutant) string { return hash(fmt.Appendf(nil, "%d %s", seed, m.name)) }
	byLot := slices.SortedFunc(slices.Values(all), func(a, b *mutant) int { return strings.Compare(lot(a), lot(b)) })
	last := lot(byLot[most-1])
	return slices.DeleteFunc(slices.Clone(all), func(m *mutant) bool { return lot(m) > last })
}
