package umem

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
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

// oneOf picks from a list; false where it is empty.
func oneOf[T any](w *walk, call string, list []T) (v T, ok bool) {
	if len(list) == 0 {
		return v, false
	}
	v = list[w.pick(len(list))]
	w.note("%v", v)
	w.tally[call]++
	return v, true
}

func keys(w *walk, set map[Frame]bool) []Frame {
	return w.m.where(func(f Frame) bool { return set[f] })
}

// took compares what a call that takes a free frame returned with what there was.
func (w *walk) took(call string, f Frame, ok bool, leave int) error {
	free := w.m.where(w.m.free)
	if want := len(free) > leave; ok != want {
		return fmt.Errorf("%s: got %v, want %v", call, ok, want)
	}
	if !ok {
		return nil
	}
	w.tally[call]++
	w.note("%d", f)
	if !slices.Contains(free, f) {
		return fmt.Errorf("%s: frame %d is %s, not free", call, f, w.m.state(f))
	}
	return nil
}

func (w *walk) lend() error {
	f, ok := w.l.Lend()
	err := w.took("lend", f, ok, w.m.reserve)
	if err == nil && ok {
		w.m.writer[f] = true
		w.write(f)
	}
	return err
}

func (w *walk) commit() error {
	if f, ok := oneOf(w, "commit", keys(w, w.m.writer)); ok {
		w.l.Commit(f)
		delete(w.m.writer, f)
		w.m.payload[f] = true
		w.m.segments = append(w.m.segments, f)
	}
	return nil
}

func (w *walk) abandon() error {
	if f, ok := oneOf(w, "abandon", keys(w, w.m.writer)); ok {
		w.l.Abandon(f)
		delete(w.m.writer, f)
	}
	return nil
}

func (w *walk) lendEarly() error {
	if !w.early {
		return nil
	}
	held := w.m.where(func(f Frame) bool { return w.m.payload[f] })
	if f, ok := oneOf(w, "early", held); ok {
		w.l.LendEarly(f)
		delete(w.m.payload, f)
		w.m.writer[f] = true
		w.m.early++
	}
	return nil
}

// scribble writes into a frame that its writer has.
func (w *walk) scribble() error {
	if f, ok := oneOf(w, "scribble", keys(w, w.m.writer)); ok {
		w.write(f)
	}
	return nil
}

func (w *walk) write(f Frame) {
	w.written++
	binary.NativeEndian.PutUint64(w.m.region.WriterBytes(f), w.written)
}

func (w *walk) alloc() error {
	f, ok := w.l.Alloc()
	err := w.took("alloc", f, ok, 0)
	if err == nil && ok {
		w.m.engine[f] = true
	}
	return err
}

func (w *walk) giveBack() error {
	if f, ok := oneOf(w, "return", keys(w, w.m.engine)); ok {
		w.l.Return(f)
		delete(w.m.engine, f)
	}
	return nil
}

func (w *walk) hold() error {
	able := w.m.where(func(f Frame) bool { return w.m.engine[f] || w.m.tcp(f) > 0 })
	if f, ok := oneOf(w, "hold", able); ok {
		w.l.Hold(f)
		delete(w.m.engine, f)
		w.m.segments = append(w.m.segments, f)
	}
	return nil
}

func (w *walk) drop() error {
	if f, ok := oneOf(w, "drop", w.m.segments); ok {
		w.l.Drop(f)
		w.m.drop(f)
	}
	return nil
}

func (w *walk) submit() error {
	able := w.m.where(func(f Frame) bool {
		return w.m.engine[f] || w.m.tcp(f) > 0 || w.m.descriptors(f) > 0
	})
	if len(w.m.tx) >= maxTX {
		return nil
	}
	if f, ok := oneOf(w, "submit", able); ok {
		w.l.Submit(f)
		delete(w.m.engine, f)
		w.m.tx = append(w.m.tx, w.m.region.Addr(f)+uint64(w.pick(w.m.region.ChunkSize())))
		w.sums = append(w.sums, w.sum(f))
	}
	return nil
}

// sum is what the NIC reads of frame f.
func (w *walk) sum(f Frame) uint64 { return binary.NativeEndian.Uint64(w.m.region.Bytes(f)) }

// complete completes a descriptor that is out, in any order.
func (w *walk) complete() error {
	if addr, ok := oneOf(w, "complete", w.m.tx); ok {
		return w.completed(addr)
	}
	return nil
}

func (w *walk) completed(addr uint64) error {
	f, fault := w.l.Complete(addr)
	before := slices.Clone(w.m.tx)
	wantF, wantFault := w.m.complete(addr)
	if f != wantF || fault != wantFault {
		return fmt.Errorf("complete %d: got frame %d fault %d, want %d, %d", addr, f, fault, wantF, wantFault)
	}
	if fault == FaultNone {
		w.read(f, before)
	}
	return nil
}

// read is the NIC's second look, at the descriptor of f that left the model.
func (w *walk) read(f Frame, before []uint64) {
	i := slices.IndexFunc(before, func(a uint64) bool { return w.m.frameOf(a) == uint64(f) })
	if w.sums[i] != w.sum(f) {
		w.rewritten++
	}
	w.sums = slices.Delete(w.sums, i, i+1)
}

// address hands back an address that the kernel may or may not have: any frame of
// the pool, of the region, or anything at all.
func (w *walk) address() error {
	r := w.m.region
	var addr uint64
	switch w.pick(4) {
	case 0:
		addr = r.Addr(w.m.first+Frame(w.pick(w.m.frames))) + uint64(w.pick(r.ChunkSize()))
	case 1:
		addr = uint64(w.pick(r.Frames() * r.ChunkSize()))
	case 2:
		addr = r.Addr(Frame(r.Frames())) - 2 + uint64(w.pick(4)) // around the end
	default:
		for range 8 {
			addr = addr<<8 | uint64(w.pick(256))
		}
	}
	if w.pick(2) == 0 {
		return w.receivedAt(addr)
	}
	w.tally["address"]++
	return w.completed(addr)
}

func (w *walk) fill() error {
	f, ok := w.l.Fill()
	err := w.took("fill", f, ok, 0)
	if err == nil && ok {
		w.m.fill = append(w.m.fill, f)
	}
	return err
}

func (w *walk) receive() error {
	if f, ok := oneOf(w, "receive", w.m.fill); ok {
		return w.receivedAt(w.m.region.Addr(f) + 256) // chunk start + headroom, as the kernel reports
	}
	return nil
}

func (w *walk) receivedAt(addr uint64) error {
	f, fault := w.l.Received(addr)
	if wantF, wantFault := w.m.received(addr); f != wantF || fault != wantFault {
		return fmt.Errorf("received %d: got frame %d fault %d, want %d, %d", addr, f, fault, wantF, wantFault)
	}
	return nil
}

func (w *walk) refill() error {
	if f, ok := oneOf(w, "refill", w.m.rx); ok {
		w.l.Refill(f)
		w.m.rx = slices.DeleteFunc(w.m.rx, func(g Frame) bool { return g == f })
		w.m.fill = append(w.m.fill, f)
	}
	return nil
}

func (w *walk) recycle() error {
	if f, ok := oneOf(w, "recycle", w.m.rx); ok {
		w.l.Recycle(f)
		w.m.rx = slices.DeleteFunc(w.m.rx, func(g Frame) bool { return g == f })
	}
	return nil
}

func (w *walk) drain() error {
	w.tally["drain"]++
	for _, f := range w.l.Done() {
		if w.m.writer[f] { // and not committed again since
			w.write(f)
		}
	}
	w.l.Drain()
	w.m.acked, w.m.done = nil, nil
	return nil
}

// deadQueue quarantines, and registers anew some time later.
func (w *walk) deadQueue() error {
	if w.pick(3) > 0 {
		w.tally["quarantine"]++
		if got, want := w.l.Quarantine(), w.m.quarantine(); got != want {
			return fmt.Errorf("quarantine: got %d descriptors, want %d", got, want)
		}
		return nil
	}
	w.tally["reregistered"]++
	w.l.Reregistered()
	w.m.reregistered()
	w.sums = nil
	return nil
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
