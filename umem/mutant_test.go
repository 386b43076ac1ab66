package umem

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

// The mutants are ledgers with one mistake each. They are the negative controls of
// the walk: a walk that lets one pass proves nothing.

// ignoresKernel gives a frame back at the last ACK, clones or not: release mode "acked".
type ignoresKernel struct{ *Pool }

func (m ignoresKernel) Drop(f Frame) {
	m.Pool.Drop(f)
	if h := m.at(f); h.tcp == 0 && h.kernel > 0 {
		h.kernel = 0
		m.settle(f, h)
	}
}

// ignoresTCP gives a frame back when the kernel completed it: release mode "completion".
type ignoresTCP struct {
	*Pool
	owed map[Frame]int // Drops still to come of frames given back
}

func (m ignoresTCP) Complete(addr uint64) (Frame, Fault) {
	f, fault := m.Pool.Complete(addr)
	if fault != FaultNone {
		return f, fault
	}
	if h := m.at(f); h.kernel == 0 && h.tcp > 0 {
		m.owed[f] += int(h.tcp)
		h.tcp = 0
		m.settle(f, h)
	}
	return f, fault
}

func (m ignoresTCP) Drop(f Frame) {
	if m.owed[f] > 0 {
		m.owed[f]--
		return
	}
	m.Pool.Drop(f)
}

// kernelIsABit remembers that the kernel has a frame, not how often.
type kernelIsABit struct{ *Pool }

func (m kernelIsABit) Submit(f Frame) {
	m.Pool.Submit(f)
	m.at(f).kernel = 1
}

// believesEverything takes a duplicate completion for the one of another descriptor.
type believesEverything struct{ *Pool }

func (m believesEverything) Complete(addr uint64) (Frame, Fault) {
	f, fault := m.Pool.Complete(addr)
	if fault != FaultSpurious {
		return f, fault
	}
	for i := range m.holds {
		if h := &m.holds[i]; h.kernel > 0 && h.lent != byRX {
			return m.Pool.Complete(m.region.Addr(m.first + Frame(i)))
		}
	}
	return f, FaultNone
}

// believesAnyRange lets an address wrap round into the region.
type believesAnyRange struct{ *Pool }

func (m believesAnyRange) Complete(addr uint64) (Frame, Fault) {
	size := uint64(m.region.Frames() * m.region.ChunkSize())
	return m.Pool.Complete(addr % size)
}

// countsNoHold forgets that a cut made two segments of one.
type countsNoHold struct{ *Pool }

func (m countsNoHold) Hold(f Frame) {
	if m.at(f).lent == byEngine {
		m.Pool.Hold(f)
	}
}

func (m countsNoHold) Drop(f Frame) {
	if m.at(f).tcp > 0 {
		m.Pool.Drop(f)
	}
}

// spendsReserve lends the last frames too.
type spendsReserve struct{ *Pool }

func (m spendsReserve) Lend() (Frame, bool) {
	f, ok := m.Alloc()
	if ok {
		m.at(f).lent = byWriter
	}
	return f, ok
}

// leaksAbandoned loses frames that writers give back unused.
type leaksAbandoned struct{ *Pool }

func (m leaksAbandoned) Abandon(f Frame) {
	m.Pool.Abandon(f)
	if m.at(f).idle() {
		m.pop()
	}
}

// freesTwice puts an abandoned frame on the free stack twice.
type freesTwice struct{ *Pool }

func (m freesTwice) Abandon(f Frame) {
	m.Pool.Abandon(f)
	if m.at(f).idle() && len(m.free) > 1 {
		m.free[0] = f
	}
}

// tellsOnlyDone forgets the event of the ACK.
type tellsOnlyDone struct{ *Pool }

func (tellsOnlyDone) Acked() []Frame { return nil }

// freesDeadQueue takes a dead queue's frames back before anybody registered anew.
type freesDeadQueue struct{ *Pool }

func (m freesDeadQueue) Quarantine() int {
	n := m.Pool.Quarantine()
	m.Reregistered()
	return n
}

// forgetsRX leaves the fill ring's frames with the registration that is gone.
type forgetsRX struct{ *Pool }

func (m forgetsRX) Reregistered() {
	m.Pool.Reregistered()
	for i := len(m.free) - 1; i >= 0; i-- {
		if h := m.at(m.free[i]); m.free[i] == m.first {
			h.lent, h.kernel = byRX, 1
			m.free = slices.Delete(m.free, i, i+1)
		}
	}
}

// recycledIsReceived gives a parsed frame back without taking it from RX.
type recycledIsReceived struct{ *Pool }

func (m recycledIsReceived) Refill(f Frame) {}

var mutants = []struct {
	name   string
	mutate func(*Pool) ledger
	unsafe bool // gives frames back too early: then the bytes show it without any model
}{
	{"ignores the kernel", func(p *Pool) ledger { return ignoresKernel{p} }, true},
	{"ignores TCP", func(p *Pool) ledger { return ignoresTCP{p, map[Frame]int{}} }, true},
	{"kernel hold is a bit", func(p *Pool) ledger { return kernelIsABit{p} }, true},
	{"believes duplicates", func(p *Pool) ledger { return believesEverything{p} }, true},
	{"believes any range", func(p *Pool) ledger { return believesAnyRange{p} }, true},
	{"counts no second segment", func(p *Pool) ledger { return countsNoHold{p} }, true},
	{"spends the reserve", func(p *Pool) ledger { return spendsReserve{p} }, false},
	{"leaks what was abandoned", func(p *Pool) ledger { return leaksAbandoned{p} }, false},
	{"frees twice", func(p *Pool) ledger { return freesTwice{p} }, false},
	{"tells only the end", func(p *Pool) ledger { return tellsOnlyDone{p} }, false},
	{"frees a dead queue", func(p *Pool) ledger { return freesDeadQueue{p} }, false},
	{"forgets the fill ring", func(p *Pool) ledger { return forgetsRX{p} }, false},
	{"refill does nothing", func(p *Pool) ledger { return recycledIsReceived{p} }, false},
}

// TestModelFindsMutants is the negative control of TestPoolEqualsModel.
func TestModelFindsMutants(t *testing.T) {
	r := mapped(t, 32, MinChunk)
	for _, m := range mutants {
		t.Run(m.name, func(t *testing.T) {
			for seed := range uint64(20) {
				if err := newWalk(t, r, seeded(seed), m.mutate).run(1500); err != nil {
					t.Logf("seed %d: %v", seed, err)
					return
				}
			}
			t.Fatal("20 walks did not find it")
		})
	}
}

// race is writer, engine, NIC and peer around a ledger, without the model: the
// writer rewrites each frame the moment the ledger gives it back. It looks at the
// bytes only, and so finds what a wrong model would miss.
type race struct {
	l        ledger
	r        *Region
	rng      *rand.Rand
	marker   uint64
	writable []Frame
	segments []sent // un-ACKed
	out      []sent // descriptors that the NIC will still read
	torn     int    // bytes that changed between submit and completion
	wrong    int    // bytes that were not the committed ones when sent again
}

// sent is a frame and the bytes that it had when committed, or submitted.
type sent struct {
	frame Frame
	bytes uint64
}

func (x *race) bytes(f Frame) uint64 { return binary.NativeEndian.Uint64(x.r.Bytes(f)) }

func (x *race) rewrite(f Frame) {
	x.marker++
	binary.NativeEndian.PutUint64(x.r.WriterBytes(f), x.marker)
}

// take removes a random element.
func take(rng *rand.Rand, list *[]sent) sent {
	i := rng.IntN(len(*list))
	s := (*list)[i]
	*list = slices.Delete(*list, i, i+1)
	return s
}

func (x *race) step() {
	switch op := x.rng.IntN(8); {
	case op == 0 && len(x.writable) == 0:
		if f, ok := x.l.Lend(); ok {
			x.rewrite(f)
			x.writable = append(x.writable, f)
		}
	case op == 1 && len(x.writable) > 0:
		f := x.writable[0]
		x.writable = x.writable[1:]
		x.l.Commit(f)
		x.segments = append(x.segments, sent{f, x.bytes(f)})
		if x.rng.IntN(2) == 0 { // cut
			x.l.Hold(f)
			x.segments = append(x.segments, sent{f, x.bytes(f)})
		}
	case op <= 3 && len(x.segments) > 0 && len(x.out) < 12: // first time or again
		s := x.segments[x.rng.IntN(len(x.segments))]
		if now := x.bytes(s.frame); now != s.bytes {
			x.wrong++
			return
		}
		x.l.Submit(s.frame)
		x.out = append(x.out, s)
	case op <= 5 && len(x.out) > 0:
		s := take(x.rng, &x.out)
		if x.bytes(s.frame) != s.bytes {
			x.torn++
		}
		x.l.Complete(x.r.Addr(s.frame))
	case op == 6 && len(x.segments) > 0:
		x.l.Drop(take(x.rng, &x.segments).frame)
	case op == 7:
		x.lie()
	}
	for _, f := range x.l.Done() {
		x.rewrite(f)
		x.writable = append(x.writable, f)
	}
	x.l.Drain()
}

// lie completes an address that no descriptor out lies at: a duplicate, or nonsense.
func (x *race) lie() {
	addr := x.rng.Uint64() >> x.rng.IntN(64)
	f, ok := x.r.FrameAt(addr)
	if !ok || !slices.ContainsFunc(x.out, func(s sent) bool { return s.frame == f }) {
		x.l.Complete(addr)
	}
}

func runRace(tb testing.TB, mutate func(*Pool) ledger) *race {
	r := mapped(tb, 8, MinChunk)
	p, err := NewPool(r, 0, 8, 0)
	if err != nil {
		tb.Fatal(err)
	}
	x := &race{l: mutate(p), r: r, rng: rand.New(rand.NewPCG(7, 7))}
	for range 20000 {
		x.step()
		if x.torn+x.wrong > 0 {
			break
		}
	}
	return x
}

// TestRewriteOnReturnIsSafe is the promise itself: a frame given back is nobody
// else's. The mutants that give back too early must break it.
func TestRewriteOnReturnIsSafe(t *testing.T) {
	if x := runRace(t, honest); x.torn+x.wrong > 0 {
		t.Errorf("torn %d, wrong %d", x.torn, x.wrong)
	} else if x.marker < 500 {
		t.Errorf("only %d frames given back and rewritten", x.marker)
	}
	for _, m := range mutants {
		if !m.unsafe {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			x := runRace(t, m.mutate)
			if x.torn+x.wrong == 0 {
				t.Error("nothing torn, nothing wrong: the race has no power over this mutant")
			}
			t.Logf("torn %d, wrong %d after %d rewrites", x.torn, x.wrong, x.marker)
		})
	}
}
