package umem

import (
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
