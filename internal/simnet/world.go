package simnet

import (
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/xsend/xsend/tcp"
)

// World is virtual time and what is to happen in it.
type World struct {
	now    tcp.Time
	seed   uint64
	agenda agenda
	hash   uint64
	parts  uint64 // random sources given out
	events uint64
	steps  uint64
	stepAt tcp.Time
	lag    tcp.Duration
	random *rand.Rand
}

// New makes a world that begins at one second: time zero is nobody's.
func New(seed uint64) *World {
	w := &World{now: tcp.Second, seed: seed, hash: fnvOffset, stepAt: tcp.Second}
	w.random = w.source()
	return w
}

// Now is the present moment.
func (w *World) Now() tcp.Time { return w.now }

// Events is the number of things that happened so far; Steps that of the poller's passes.
func (w *World) Events() uint64 { return w.events }

// Steps is the number of passes of the poller so far.
func (w *World) Steps() uint64 { return w.steps }

// SetLag lets the poller come up to d late to each event, as a busy thread does, so
// that it finds several things at once.
func (w *World) SetLag(d tcp.Duration) { w.lag = d }

// source is a random source of its own for one part of the world, so that one part
// drawing more does not change what another gets.
func (w *World) source() *rand.Rand {
	w.parts++
	return rand.New(rand.NewPCG(w.seed, w.parts))
}

// At has do called at moment t, at once if that is past. Things at the same moment
// happen in the order in which they were asked for.
func (w *World) At(t tcp.Time, do func()) { w.agenda.add(max(t, w.now), do) }

// After has do called d from now.
func (w *World) After(d tcp.Duration, do func()) { w.At(w.now+d, do) }

const (
	fnvOffset = 14695981039346656037
	fnvPrime  = 1099511628211
)

// note adds an event to the trace.
func (w *World) note(kind byte, words ...uint64) {
	w.mix(uint64(w.now))
	w.mix(uint64(kind))
	for _, x := range words {
		w.mix(x)
	}
}

// mix is FNV-1a over 64-bit words.
func (w *World) mix(x uint64) { w.hash = (w.hash ^ x) * fnvPrime }

// Hash is of everything that happened so far: equal in two runs with one seed.
func (w *World) Hash() uint64 { return w.hash }

// Stepper is what World drives: a poller with its writers.
type Stepper interface {
	// Step is one pass; it reports how much it did.
	Step(now tcp.Time) int
	// Next is when it wants to be called again if nothing happens before.
	Next(now tcp.Time) tcp.Time
	// Check looks at the invariants after each pass.
	Check() error
}

var (
	// ErrStuck says that nothing is left to happen and the end was not reached.
	ErrStuck = errors.New("simnet: nothing left to happen")
	// ErrLate says that the end was not reached in the time given.
	ErrLate = errors.New("simnet: not done in time")
	// ErrLivelock says that the poller is busy for ever at one moment.
	ErrLivelock = errors.New("simnet: the poller goes on and on at one moment")
)

// busyLimit is the most passes at one moment.
const busyLimit = 10_000

// Run jumps from one thing to the next, and lets s step, until done says so. The
// error is that of Check, or wraps ErrStuck, ErrLate or ErrLivelock.
func (w *World) Run(s Stepper, limit tcp.Duration, done func() bool) error {
	end := w.now + limit
	for !done() {
		next := min(w.agenda.next(), w.stepAt)
		switch {
		case next == tcp.Never:
			return fmt.Errorf("%w at %d ms", ErrStuck, w.now/tcp.Millisecond)
		case next > end:
			return fmt.Errorf("%w: %d ms", ErrLate, limit/tcp.Millisecond)
		}
		w.now = max(w.now, next)
		if w.happen() {
			w.stepAt = min(w.stepAt, w.now+w.upTo(w.lag))
		}
		if w.stepAt > w.now {
			continue
		}
		if err := w.step(s); err != nil {
			return err
		}
	}
	return nil
}

// happen lets everything happen that is due.
func (w *World) happen() (any bool) {
	for w.agenda.next() <= w.now {
		w.agenda.take()()
		w.events++
		any = true
	}
	return any
}

// step lets the poller work until it has nothing more to do at this moment.
func (w *World) step(s Stepper) error {
	for n := 0; ; n++ {
		w.steps++
		work := s.Step(w.now)
		w.note('s', uint64(work))
		if err := s.Check(); err != nil {
			return fmt.Errorf("at %d us, pass %d: %w", w.now/tcp.Microsecond, w.steps, err)
		}
		if work == 0 {
			break
		}
		if n > busyLimit {
			return fmt.Errorf("%w (%d us)", ErrLivelock, w.now/tcp.Microsecond)
		}
	}
	w.stepAt = max(s.Next(w.now), w.now+1)
	return nil
}

// upTo is a random duration from 0 to d.
func (w *World) upTo(d tcp.Duration) tcp.Duration { return between(w.random, 0, d) }

func between(r *rand.Rand, lo, hi tcp.Duration) tcp.Duration {
	if hi <= lo {
		return lo
	}
	return lo + tcp.Duration(r.Int64N(int64(hi-lo+1)))
}

// chance is true with probability p; it draws nothing where p is 0.
func chance(r *rand.Rand, p float64) bool { return p > 0 && r.Float64() < p }
