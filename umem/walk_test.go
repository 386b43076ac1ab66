package umem

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// ledger is what the walk drives: a Pool, or a mutant of one.
type ledger interface {
	Lend() (Frame, bool)
	Abandon(Frame)
	Commit(Frame)
	LendEarly(Frame)
	Alloc() (Frame, bool)
	Return(Frame)
	Hold(Frame)
	Drop(Frame)
	Submit(Frame)
	Complete(addr uint64) (Frame, Fault)
	Fill() (Frame, bool)
	Received(addr uint64) (Frame, Fault)
	Refill(Frame)
	Recycle(Frame)
	Quarantine() int
	Reregistered()
	Acked() []Frame
	Done() []Frame
	Drain()
	Audit() (Census, error)
	Free() int
	Lendable() int
	LentEarly() uint64
	InKernel(Frame) int
	InTCP(Frame) int
}

// picker chooses among n possibilities, n ≥ 1.
type picker func(n int) int

// walk makes legal calls and kernel addresses of any kind, of a ledger and of the
// model, and compares the two after every step. Beside that it plays writer and
// NIC on the region's bytes: a writer scribbles on what is his, and the NIC reads
// each descriptor's frame when it is submitted and when it is completed.
type walk struct {
	m         *model
	l         ledger
	pick      picker
	early     bool // early lends are among the calls
	written   uint64
	sums      []uint64 // what the NIC read at submit, beside m.tx
	rewritten int      // descriptors whose bytes were other ones at completion
	trace     []string
	tally     map[string]int // calls made, and states seen
}

const maxTX = 24 // descriptors out at most: more would only drown the rest

// newWalk starts a walk over a new pool; mutate may wrap it.
func newWalk(tb testing.TB, r *Region, pick picker, mutate func(*Pool) ledger) *walk {
	n := 2 + pick(10)
	reserve := pick(n - 1)
	first := Frame(pick(r.Frames() - n + 1))
	p, err := NewPool(r, first, n, reserve)
	if err != nil {
		tb.Fatal(err)
	}
	return &walk{
		m: newModel(r, first, n, reserve), l: mutate(p), pick: pick,
		early: pick(2) == 0, tally: map[string]int{},
	}
}

func honest(p *Pool) ledger { return p }

// calls are the calls to choose from; twice means twice as often.
var calls = []struct {
	name string
	do   func(*walk) error
}{
	{"lend", (*walk).lend}, {"lend", (*walk).lend},
	{"commit", (*walk).commit}, {"commit", (*walk).commit},
	{"abandon", (*walk).abandon},
	{"early", (*walk).lendEarly},
	{"scribble", (*walk).scribble},
	{"alloc", (*walk).alloc},
	{"return", (*walk).giveBack},
	{"hold", (*walk).hold},
	{"drop", (*walk).drop}, {"drop", (*walk).drop}, {"drop", (*walk).drop},
	{"submit", (*walk).submit}, {"submit", (*walk).submit}, {"submit", (*walk).submit},
	{"complete", (*walk).complete}, {"complete", (*walk).complete}, {"complete", (*walk).complete},
	{"address", (*walk).address}, {"address", (*walk).address},
	{"fill", (*walk).fill},
	{"receive", (*walk).receive},
	{"refill", (*walk).refill},
	{"recycle", (*walk).recycle},
	{"drain", (*walk).drain}, {"drain", (*walk).drain},
	{"dead queue", (*walk).deadQueue},
}

// step makes one call and compares.
func (w *walk) step() error {
	c := calls[w.pick(len(calls))]
	w.note("%s", c.name)
	if err := c.do(w); err != nil {
		return err
	}
	for f := w.m.first; f < w.m.first+Frame(w.m.frames); f++ {
		w.tally["state "+w.m.state(f)]++
	}
	return w.m.compare(w.l)
}

func (w *walk) note(format string, args ...any) {
	w.trace = append(w.trace, fmt.Sprintf(format, args...))
	w.trace = w.trace[max(0, len(w.trace)-30):]
}

// failed is an error with the calls that led to it.
func (w *walk) failed(err error) error {
	return fmt.Errorf("%w\nafter: %s", err, strings.Join(w.trace, ", "))
}

// run walks n steps. It also fails where the NIC saw a rewrite that nobody asked
// for: a writer that is told early may cause one, no other.
func (w *walk) run(n int) error {
	for range n {
		if err := w.step(); err != nil {
			return w.failed(err)
		}
		if w.rewritten > 0 && w.m.early == 0 {
			return w.failed(fmt.Errorf("%d descriptors rewritten in flight", w.rewritten))
		}
	}
	return nil
}

func seeded(seed uint64) picker { return rand.New(rand.NewPCG(seed, 0xACED)).IntN }

func TestPoolEqualsModel(t *testing.T) {
	r := mapped(t, 32, MinChunk)
	seeds, steps := 60, 1500
	if testing.Short() {
		seeds = 12
	}
	tally, rewritten := map[string]int{}, 0
	for seed := range seeds {
		w := newWalk(t, r, seeded(uint64(seed)), honest)
		if err := w.run(steps); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		for k, n := range w.tally {
			tally[k] += n
		}
		rewritten += w.rewritten
	}
	// A walk that never gets somewhere proves nothing of it.
	for _, c := range calls {
		if tally[c.name] == 0 && c.name != "dead queue" {
			t.Errorf("no %s in %d walks", c.name, seeds)
		}
	}
	for _, s := range []string{"free", "writer", "engine", "tcp", "tcp+kernel", "kernel", "fill", "rx", "quarantined", "lent while held"} {
		if tally["state "+s] == 0 {
			t.Errorf("no frame was ever in the state %q", s)
		}
	}
	if tally["quarantine"] == 0 || tally["reregistered"] == 0 {
		t.Error("no queue died")
	}
	if rewritten == 0 {
		t.Error("early lends and no rewrite in flight: the NIC's second look has no power")
	}
	t.Logf("%v, rewritten in flight after early lends: %d", tally, rewritten)
}

func FuzzPoolEqualsModel(f *testing.F) {
	f.Add([]byte{4, 1, 0, 0, 2, 0, 15, 17, 10, 12, 19, 25})
	f.Add([]byte{8, 2, 20, 1, 0, 2, 15, 15, 27, 1, 27, 0, 12, 23, 24, 22})
	rng := rand.New(rand.NewPCG(1, 2))
	for range 8 {
		b := make([]byte, 400)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		f.Add(b)
	}
	r := mapped(f, 32, MinChunk)
	f.Fuzz(func(t *testing.T, b []byte) {
		w := newWalk(t, r, fromBytes(&b), honest)
		for len(b) > 0 {
			if err := w.run(1); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// fromBytes picks by the bytes of b, using them up, and then always the first.
func fromBytes(b *[]byte) picker {
	return func(n int) int {
		v := 0
		for size := n; size > 1 && len(*b) > 0; size = size >> 8 {
			v = v<<8 | int((*b)[0])
			*b = (*b)[1:]
		}
		return v % n
	}
}

// mapped is a region for the length of the test.
func mapped(tb testing.TB, frames, chunk int) *Region {
	tb.Helper()
	r, err := Map(Config{Frames: frames, ChunkSize: chunk})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := r.Close(); err != nil {
			tb.Error(err)
		}
	})
	return r
}
