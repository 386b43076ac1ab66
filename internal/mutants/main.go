// Command mutants changes the code in one place at a time, and asks the tests whether
// they see it. A mutant that they let pass is a mistake that could be made tomorrow.
//
//	go run ./internal/mutants [-j 2] [-only umem/pool.go] [-most 3000]
//
// Operators become others, conditions their contrary or wrong at the edge, integers one
// more or less; statements are taken out, branches emptied, zeroes returned. The tree is
// never touched: a file that is changed is put in place of the original by
// `go test -overlay`. As compiling takes longest, all mutants of a file are compiled as
// one (batch.go), and each is run by itself against the tests that its target names
// (targets.go). As the code stands these need no more than 6 s of CPU; a mutant that
// needs three times as much is killed.
//
// Verdicts are written down as they come (-dir), and a run that was interrupted goes on
// where it ended. They hold while the mutated file is the same, those of survivors also
// only while the tests are; -fresh forgets them all.
//
// It exits 1 when fewer than 90 % of the mutants that compile are killed, or when a
// survivor has no reason in survivors.txt, or a reason there has no survivor; 2 when
// nothing can be said.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
)

// errVerdict says that the tests are too weak; the report said where.
var errVerdict = errors.New("the tests are too weak")

func main() {
	var o options
	flag.StringVar(&o.root, "root", ".", "the module's directory")
	flag.StringVar(&o.dir, "dir", filepath.Join("bin", "mutants"), "where verdicts and the build cache are kept, below the root")
	flag.StringVar(&o.reasons, "reasons", filepath.Join("internal", "mutants", "survivors.txt"), "the file with a reason for each survivor, below the root")
	flag.StringVar(&o.only, "only", "", "only mutants whose name begins so: a file, or a file and a function")
	flag.IntVar(&o.most, "most", 0, "try at most so many, chosen by -seed; 0: all")
	flag.Uint64Var(&o.seed, "seed", 1, "what chooses among too many")
	flag.IntVar(&o.jobs, "j", 1, "mutants at a time")
	flag.BoolVar(&o.fresh, "fresh", false, "forget the verdicts of earlier runs")
	flag.BoolVar(&o.list, "list", false, "list the mutants and try none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o, targets, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "mutants:", err)
		if errors.Is(err, errVerdict) {
			os.Exit(1)
		}
		os.Exit(2)
	}
}
