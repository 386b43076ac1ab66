package umem

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

func newArena(t *testing.T, blocks int) *Arena {
	t.Helper()
	a, err := MapArena(blocks*BlockSize + BlockSize/2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close() })
	return a
}

// The arena against what it means, without one counter: a list with an entry for each hold. Every call that the state allows
// does what the model does; every other one panics and changes nothing.
func TestArenaModel(t *testing.T) {
	const blocks = 8
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 0xa7e))
		a := newArena(t, blocks)
		var holds []Block
		most := 0
		for step := range 400 {
			b := Block(rng.IntN(blocks))
			n := count(holds, b)
			switch rng.IntN(4) {
			case 0:
				got, ok := a.Alloc()
				if ok != (distinct(holds) < blocks) || ok && count(holds, got) > 0 {
					t.Fatalf("seed %d, step %d: Alloc gives %d, %v; holds %v", seed, step, got, ok, holds)
				}
				if ok {
					holds = append(holds, got)
				}
			case 1:
				if text := panics(func() { a.Hold(b) }); (text != "") != (n == 0) {
					t.Fatalf("seed %d, step %d: hold of block %d, held %d times: %q", seed, step, b, n, text)
				} else if n > 0 {
					holds = append(holds, b)
				}
			default:
				if text := panics(func() { a.Drop(b) }); (text != "") != (n == 0) {
					t.Fatalf("seed %d, step %d: drop of block %d, held %d times: %q", seed, step, b, n, text)
				} else if n > 0 {
					i := slices.Index(holds, b)
					holds = slices.Delete(holds, i, i+1)
				}
			}
			most = max(most, distinct(holds))
			for b := range Block(blocks) {
				if a.Holds(b) != count(holds, b) {
					t.Fatalf("seed %d, step %d: block %d is held %d times, want %d", seed, step, b, a.Holds(b), count(holds, b))
				}
			}
			if a.Used() != distinct(holds)*BlockSize || a.Peak() != most*BlockSize || a.Audit() != nil {
				t.Fatalf("seed %d, step %d: %d bytes used, peak %d, %v; want %d, %d blocks", seed, step, a.Used(), a.Peak(), a.Audit(), distinct(holds), most)
			}
		}
	}
}

func distinct(list []Block) int {
	list = slices.Clone(list)
	slices.Sort(list)
	return len(slices.Compact(list))
}

// Blocks are memory of their own, and an append cannot spill from one into the next.
func TestArenaBytes(t *testing.T) {
	a := newArena(t, 3)
	if a.Size() != 3*BlockSize {
		t.Fatalf("%d bytes", a.Size())
	}
	for b := range Block(3) {
		m := a.Bytes(b)
		if len(m) != BlockSize || cap(m) != BlockSize {
			t.Fatalf("block %d: %d bytes, %d with what follows", b, len(m), cap(m))
		}
		for i := range m {
			m[i] = byte(b + 1)
		}
	}
	for b := range Block(3) {
		if m := a.Bytes(b); m[0] != byte(b+1) || m[BlockSize-1] != byte(b+1) {
			t.Errorf("block %d was written to by another", b)
		}
	}
}

func TestArenaRefused(t *testing.T) {
	for _, n := range []int{0, -1, BlockSize - 1} {
		if _, err := MapArena(n); !errors.Is(err, ErrGeometry) {
			t.Errorf("%d bytes: %v", n, err)
		}
	}
	if _, err := MapArena(math.MaxInt64 / 2); !errors.Is(err, ErrGeometry) && !errors.Is(err, ErrNoMemory) {
		t.Errorf("more than there is: %v", err)
	}
	a := newArena(t, 1)
	b, _ := a.Alloc()
	a.holds[b] = math.MaxUint16
	if panics(func() { a.Hold(b) }) == "" {
		t.Error("a count went over")
	}
	if err := errors.Join(a.Close(), a.Close()); err != nil {
		t.Error(err)
	}
}

// The audit sees what it is there for.
func TestArenaAuditSees(t *testing.T) {
	for name, harm := range map[string]func(*Arena){
		"a block in neither": func(a *Arena) { a.free = a.free[:1] },
		"free twice":         func(a *Arena) { a.free[0] = a.free[1] },
		"free and held":      func(a *Arena) { a.holds[a.free[0]] = 1 },
	} {
		a := newArena(t, 4)
		if err := a.Audit(); err != nil {
			t.Fatal(err)
		}
		if harm(a); a.Audit() == nil {
			t.Errorf("%s: not seen", name)
		}
	}
}
