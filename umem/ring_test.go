package umem

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
)

// ringEnds are the two ends of one ring of uint64, however it was made.
type ringEnds struct {
	p *Producer[uint64]
	c *Consumer[uint64]
}

// inMemory is a ring in ordinary memory whose indices stand at start.
func inMemory(_ testing.TB, n int, start uint32) ringEnds {
	p, c := NewRing[uint64](n)
	p.w.prod.Store(start)
	p.w.cons.Store(start)
	p.next, p.cons, c.next, c.prod = start, start, start, start
	return ringEnds{p, c}
}

// ringModel is the ring as a list of everything ever put, and four marks on it.
type ringModel struct {
	all                              []uint64
	published, taken, released, size int
}

// walkRing makes n random legal calls and compares each with the model.
func walkRing(e ringEnds, pick picker, n int) error {
	m := &ringModel{size: e.p.Cap()}
	for range n {
		if err := stepRing(e, m, pick); err != nil {
			return fmt.Errorf("%w: put %d, published %d, taken %d, released %d, size %d",
				err, len(m.all), m.published, m.taken, m.released, m.size)
		}
	}
	return nil
}

func stepRing(e ringEnds, m *ringModel, pick picker) error {
	want := pick(m.size + 2)
	switch pick(6) {
	case 0, 1:
		got := e.p.Reserve(want)
		if free := m.size - (len(m.all) - m.released); got != min(want, free) {
			return fmt.Errorf("reserve %d: got %d of %d free", want, got, free)
		}
		for range pick(got + 1) { // not everything that was granted has to be used
			e.p.Put(uint64(len(m.all)))
			m.all = append(m.all, uint64(len(m.all)))
		}
	case 2:
		e.p.Submit()
		m.published = len(m.all)
	case 3:
		got := e.c.Peek(want)
		if ready := m.published - m.taken; got != min(want, ready) {
			return fmt.Errorf("peek %d: got %d of %d ready", want, got, ready)
		}
		for range pick(got + 1) {
			if v := e.c.Take(); v != m.all[m.taken] {
				return fmt.Errorf("took %d, want %d", v, m.all[m.taken])
			}
			m.taken++
		}
	case 4:
		e.c.Release()
		m.released = m.taken
	case 5:
		if got := e.p.Pending(); got != m.published-m.released {
			return fmt.Errorf("pending: got %d, want %d", got, m.published-m.released)
		}
	}
	if e.c.Corrupt() {
		return fmt.Errorf("corrupt")
	}
	return nil
}

// starts are where the 32-bit indices of the ring tests begin: some wrap soon.
var starts = []uint32{0, 1, 1<<31 - 3, 1 << 31, 1<<32 - 5, 1<<32 - 1}

func TestRingEqualsModel(t *testing.T) {
	for name, make := range map[string]func(testing.TB, int, uint32) ringEnds{"memory": inMemory, "mapping": overMapping} {
		for _, size := range []int{1, 2, 8, 64} {
			for _, start := range starts {
				if err := walkRing(make(t, size, start), seeded(uint64(start)), 4000); err != nil {
					t.Errorf("%s, %d entries, from index %d: %v", name, size, start, err)
				}
			}
		}
	}
}

// TestRingWalkFindsMutants is its negative control: rings with one mistake each.
func TestRingWalkFindsMutants(t *testing.T) {
	for _, c := range []struct {
		name   string
		mutate func(ringEnds) // before the walk
	}{
		{"a producer ahead", func(e ringEnds) { e.p.next++ }},
		{"a consumer ahead", func(e ringEnds) { e.c.next++ }},
		{"slots of its own", func(e ringEnds) { e.c.slots = append([]uint64(nil), e.c.slots...) }},
		{"words exchanged", func(e ringEnds) { e.c.w.cons, e.c.w.prod = e.c.w.prod, e.c.w.cons }},
		{"half the slots", func(e ringEnds) { e.c.slots = e.c.slots[:4] }},
	} {
		e := inMemory(t, 8, 0)
		c.mutate(e)
		if err := walkRing(e, seeded(1), 4000); err == nil {
			t.Errorf("%s: not found", c.name)
		} else {
			t.Logf("%s: %v", c.name, err)
		}
	}
}

func FuzzRingEqualsModel(f *testing.F) {
	f.Add(uint8(3), uint32(1<<32-2), []byte{8, 0, 8, 2, 9, 3, 8, 4, 0, 5, 7, 0, 7})
	f.Add(uint8(0), uint32(0), []byte{1, 0, 1, 1, 2, 1, 3, 1, 1, 4})
	f.Fuzz(func(t *testing.T, shift uint8, start uint32, b []byte) {
		for _, e := range []ringEnds{inMemory(t, 1<<(shift%7), start), overMapping(t, 1<<(shift%7), start)} {
			left := b
			if err := walkRing(e, fromBytes(&left), len(b)); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// TestRingBetweenGoroutines sends entries of two words through small rings: none
// is lost, doubled, out of order or torn, and the race detector sees every slot.
func TestRingBetweenGoroutines(t *testing.T) {
	const n = 50_000
	for _, size := range []int{1, 8, 256} {
		p, c := NewRing[Desc](size)
		var wg sync.WaitGroup
		wg.Go(func() { produce(p, n) })
		if err := consume(c, n); err != nil {
			t.Errorf("%d entries: %v", size, err)
		}
		wg.Wait()
		if p.Pending() != 0 {
			t.Errorf("%d entries: %d left", size, p.Pending())
		}
	}
}

func produce(p *Producer[Desc], n int) {
	rng := rand.New(rand.NewPCG(1, 1))
	for sent := 0; sent < n; {
		got := p.Reserve(min(n-sent, 1+rng.IntN(p.Cap())))
		for range got {
			p.Put(Desc{Addr: uint64(sent), Len: ^uint32(sent)})
			sent++
		}
		p.Submit()
		if got == 0 {
			runtime.Gosched()
		}
	}
}

func consume(c *Consumer[Desc], n int) error {
	rng := rand.New(rand.NewPCG(2, 2))
	var bad error
	for next := 0; next < n; {
		got := c.Peek(1 + rng.IntN(c.Cap()))
		for range got {
			if d := c.Take(); d.Addr != uint64(next) || d.Len != ^uint32(next) {
				bad = fmt.Errorf("entry %d is %+v", next, d)
			}
			next++
		}
		c.Release()
		if got == 0 {
			runtime.Gosched()
		}
	}
	if c.Corrupt() {
		return fmt.Errorf("corrupt")
	}
	return bad
}

func TestNewRingRefuses(t *testing.T) {
	for _, n := range []int{-8, -1, 0, 3, 6, 100, 1<<31 + 1, 1 << 32, 1 << 62} {
		if panics(func() { NewRing[struct{}](n) }) == "" {
			t.Errorf("a ring of %d entries", n)
		}
	}
}

func TestNeedWakeup(t *testing.T) {
	p, c := NewRing[uint64](2)
	for _, on := range []bool{false, true, true, false} {
		c.SetNeedWakeup(on)
		if p.NeedWakeup() != on {
			t.Errorf("set %v, reads %v", on, p.NeedWakeup())
		}
	}
	p.w.flags.Store(^uint32(0) &^ ringNeedWakeup)
	if p.NeedWakeup() {
		t.Error("another flag is taken for the wakeup flag")
	}
}
