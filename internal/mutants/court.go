package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"time"
)

// court judges mutants and writes the verdicts down.
type court struct {
	bench
	jobs     int
	known    *verdicts
	progress io.Writer
}

// bar is a target that mutants stand before.
type bar struct {
	*target
	limits []time.Duration // CPU, for each suite
	check  *checker
}

// try judges the mutants of which nothing is known.
func try(ctx context.Context, o options, chosen []*mutant, known *verdicts, progress io.Writer) error {
	open := slices.DeleteFunc(slices.Clone(chosen), func(m *mutant) bool {
		_, ok := known.find(m.name, m.source, m.tests)
		return ok
	})
	fmt.Fprintf(progress, "%d mutants, of %d the verdict is known\n", len(chosen), len(chosen)-len(open))
	scratch, err := os.MkdirTemp("", "mutants")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	c := &court{bench: bench{root: o.root, scratch: scratch, idle: idleMost}, jobs: max(o.jobs, 1), known: known, progress: progress}
	return each(open, func(m *mutant) any { return m.target }, func(open []*mutant) error {
		b, err := c.open(ctx, open[0].target)
		if err != nil {
			return err
		}
		return each(open, func(m *mutant) any { return m.file }, func(open []*mutant) error { return c.file(ctx, b, open) })
	})
}

// each does something with every run of mutants that have the same of something.
func each(list []*mutant, key func(*mutant) any, do func([]*mutant) error) error {
	for len(list) > 0 {
		n := 1
		for n < len(list) && key(list[n]) == key(list[0]) {
			n++
		}
		if err := do(list[:n]); err != nil {
			return err
		}
		list = list[n:]
	}
	return nil
}

// open measures a target's suites as the code stands.
func (c *court) open(ctx context.Context, t *target) (b *bar, err error) {
	b = &bar{target: t}
	for _, s := range t.suites {
		cpu, err := c.baseline(ctx, s)
		if err != nil {
			return nil, err
		}
		fmt.Fprintf(c.progress, "%s %q needs %v of CPU\n", s.pkg, s.args, cpu.Round(10*time.Millisecond))
		b.limits = append(b.limits, max(cpuMultiple*cpu, cpuLeast))
	}
	b.check, err = newChecker(c.root, t.pkg)
	return b, err
}

// file judges mutants of one file.
func (c *court) file(ctx context.Context, b *bar, open []*mutant) error {
	began := time.Now()
	live, err := c.compiling(ctx, b, open)
	if err != nil {
		return err
	}
	code, in, alone, err := batch(open[0].file, open[0].src, live)
	if err != nil {
		return err
	}
	if err := c.together(ctx, b, code, in); errors.Is(err, errNoBatch) {
		fmt.Fprintf(c.progress, "%s: one by one: %v\n", open[0].file, err)
		alone = live
	} else if err != nil {
		return err
	}
	for _, m := range alone {
		if err := c.alone(ctx, b, m); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	fmt.Fprintf(c.progress, "%s: %d mutants in %v\n", open[0].file, len(open), time.Since(began).Round(time.Second))
	return nil
}

// compiling are the mutants that compile, as far as the checker sees.
func (c *court) compiling(ctx context.Context, b *bar, open []*mutant) (live []*mutant, err error) {
	for _, m := range open {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		if b.check.compiles(m.file, m.apply(m.src)) {
			live = append(live, m)
		} else if err := c.settle(m, notCompiling, ""); err != nil {
			return nil, err
		}
	}
	return live, nil
}

// errNoBatch says that a file's mutants can't be tried as one.
var errNoBatch = errors.New("no batch")

// together asks the suites in turn about all mutants of a batch.
func (c *court) together(ctx context.Context, b *bar, code []byte, in []*mutant) error {
	if len(in) == 0 {
		return nil
	}
	numbers := make([]int, len(in))
	for i := range numbers {
		numbers[i] = i + 1
	}
	for i, s := range b.suites {
		binary, err := c.compile(ctx, s.pkg, in[0].file, code)
		if errors.Is(err, errNotCompiling) {
			return fmt.Errorf("%w: %w", errNoBatch, err)
		}
		if err != nil {
			return err
		}
		o, err := c.try(ctx, binary, s, 0, b.limits[i])
		if err != nil {
			return err
		}
		if !o.passed {
			return fmt.Errorf("%w: %s fails as the code stands", errNoBatch, o.by)
		}
		if numbers, err = c.suite(ctx, binary, s, b.limits[i], in, numbers); err != nil {
			return err
		}
	}
	for _, n := range numbers {
		if err := c.settle(in[n-1], survived, ""); err != nil {
			return err
		}
	}
	return nil
}

// suite tries mutants of a batch, several at a time, and returns the numbers of those
// that survive.
func (c *court) suite(ctx context.Context, binary string, s suite, cpu time.Duration, in []*mutant, numbers []int) (left []int, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	alive := make([]bool, len(in)+1)
	queue := make(chan int)
	for range c.jobs {
		wait.Go(func() {
			for n := range queue {
				o, err := c.try(ctx, binary, s, n, cpu)
				if alive[n] = o.passed; err == nil && !o.passed {
					err = c.settle(in[n-1], killed, o.by)
				}
				if err != nil {
					cancel(fmt.Errorf("%s: %w", in[n-1].name, err))
				}
			}
		})
	}
	for _, n := range numbers {
		if ctx.Err() == nil {
			queue <- n
		}
	}
	close(queue)
	wait.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return slices.DeleteFunc(slices.Clone(numbers), func(n int) bool { return !alive[n] }), nil
}

// alone asks the suites about a mutant that is a file of its own.
func (c *court) alone(ctx context.Context, b *bar, m *mutant) error {
	for i, s := range b.suites {
		binary, err := c.compile(ctx, s.pkg, m.file, m.apply(m.src))
		if errors.Is(err, errNotCompiling) {
			return c.settle(m, notCompiling, "")
		}
		if err != nil {
			return err
		}
		o, err := c.try(ctx, binary, s, 0, b.limits[i])
		if err != nil {
			return err
		}
		if !o.passed {
			return c.settle(m, killed, o.by)
		}
	}
	return c.settle(m, survived, "")
}

func (c *court) settle(m *mutant, v verdict, by string) error {
	return c.known.add(entry{Mutant: m.name, Verdict: v, By: by, Source: m.source, Tests: m.tests})
}
