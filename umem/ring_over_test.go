package umem

import (
	"encoding/binary"
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// layout is what this kernel answers to XDP_MMAP_OFFSETS for its rings of uint64.
var layout = Offsets{Producer: 0, Consumer: 128, Flags: 192, Desc: 320}

const wordsEnd = 320 // bytes before the entries in layout

// mapping is shared memory as a ring's mmap returns it.
func mapping(tb testing.TB, size int) []byte {
	tb.Helper()
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() {
		if err := unix.Munmap(mem); err != nil {
			tb.Error(err)
		}
	})
	return mem
}

func setWord(mem []byte, off uint64, v uint32) { binary.NativeEndian.PutUint32(mem[off:], v) }

// overMapping is a ring over a mapping, both ends laid over it by themselves.
func overMapping(tb testing.TB, n int, start uint32) ringEnds {
	tb.Helper()
	mem := mapping(tb, wordsEnd+8*n)
	setWord(mem, layout.Producer, start)
	setWord(mem, layout.Consumer, start)
	return laidOver(tb, mem, n)
}

func laidOver(tb testing.TB, mem []byte, n int) ringEnds {
	tb.Helper()
	p, err := ProducerOver[uint64](mem, layout, n)
	if err != nil {
		tb.Fatal(err)
	}
	c, err := ConsumerOver[uint64](mem, layout, n)
	if err != nil {
		tb.Fatal(err)
	}
	return ringEnds{p, c}
}

// TestRingIsTheMapping: the words and entries lie where the offsets say.
func TestRingIsTheMapping(t *testing.T) {
	mem := mapping(t, 4096)
	o := Offsets{Producer: 64, Consumer: 128, Flags: 4, Desc: 512}
	p, err := ProducerOver[Desc](mem, o, 4)
	if err != nil {
		t.Fatal(err)
	}
	p.Put(Desc{Addr: 0x1122334455667788, Len: 0xAABBCCDD, Options: 1})
	p.Put(Desc{Addr: 2})
	word := func(off uint64) uint32 { return binary.NativeEndian.Uint32(mem[off:]) }
	if word(o.Producer) != 0 {
		t.Error("the other side sees what was not submitted")
	}
	p.Submit()
	if word(o.Producer) != 2 || word(o.Consumer) != 0 {
		t.Errorf("producer %d, consumer %d", word(o.Producer), word(o.Consumer))
	}
	at := mem[o.Desc:]
	if binary.NativeEndian.Uint64(at) != 0x1122334455667788 || binary.NativeEndian.Uint32(at[8:]) != 0xAABBCCDD ||
		binary.NativeEndian.Uint32(at[12:]) != 1 || binary.NativeEndian.Uint64(at[16:]) != 2 {
		t.Errorf("struct xdp_desc: % x", at[:32])
	}
	setWord(mem, o.Flags, unix.XDP_RING_NEED_WAKEUP)
	if !p.NeedWakeup() {
		t.Error("the kernel's wakeup flag is not seen")
	}
	setWord(mem, o.Consumer, 2)
	if p.Pending() != 0 || p.Reserve(9) != 4 {
		t.Errorf("pending %d, room %d after the kernel took all", p.Pending(), p.Reserve(9))
	}
}

// TestRingContinues: an end laid over a used ring goes on where the words stand.
func TestRingContinues(t *testing.T) {
	mem := mapping(t, 4096)
	setWord(mem, layout.Producer, 1<<32-1)
	setWord(mem, layout.Consumer, 1<<32-1)
	laidOver(t, mem, 4).p.Put(7) // lost: not submitted
	e := laidOver(t, mem, 4)
	e.p.Put(1)
	e.p.Put(2)
	e.p.Submit()
	e = laidOver(t, mem, 4)
	if got := e.p.Reserve(4); got != 2 {
		t.Errorf("room for %d, want 2", got)
	}
	if got := e.c.Peek(4); got != 2 {
		t.Fatalf("%d ready, want 2", got)
	}
	if a, b := e.c.Take(), e.c.Take(); a != 1 || b != 2 {
		t.Errorf("took %d and %d", a, b)
	}
}

// TestNonsenseProducerIndex: more entries than the ring is long can't be. None of
// them is taken, then or later, also where the ring was found like that.
func TestNonsenseProducerIndex(t *testing.T) {
	for _, start := range starts {
		for _, ahead := range []uint32{9, 10, 1 << 20, 1 << 31, 1<<32 - 1} {
			e, mem := ringAt(t, start)
			setWord(mem, layout.Producer, start+ahead)
			found := laidOver(t, mem, 8)
			for _, c := range []*Consumer[uint64]{e.c, found.c} {
				if got := c.Peek(8); got != 0 || !c.Corrupt() {
					t.Errorf("from %d, %d ahead: %d ready, corrupt %v", start, ahead, got, c.Corrupt())
				}
				setWord(mem, layout.Producer, start+1)
				if got := c.Peek(8); got != 0 || !c.Corrupt() {
					t.Errorf("from %d, %d ahead and back: %d ready, corrupt %v", start, ahead, got, c.Corrupt())
				}
				setWord(mem, layout.Producer, start+ahead)
			}
		}
		e, mem := ringAt(t, start)
		setWord(mem, layout.Producer, start+8)
		if got := e.c.Peek(9); got != 8 || e.c.Corrupt() {
			t.Errorf("from %d, a full ring: %d ready, corrupt %v", start, got, e.c.Corrupt())
		}
	}
}

// TestNonsenseConsumerIndex: entries taken that nobody put. Nothing is free while
// the index says so, and the ring is of use again once it is right.
func TestNonsenseConsumerIndex(t *testing.T) {
	for _, start := range starts {
		for _, ahead := range []uint32{9, 10, 1 << 20, 1 << 31, 1<<32 - 9} {
			e, mem := ringAt(t, start)
			for range e.p.Reserve(8) {
				e.p.Put(1)
			}
			e.p.Submit()
			setWord(mem, layout.Consumer, start+ahead)
			found := laidOver(t, mem, 8)
			for _, p := range []*Producer[uint64]{e.p, found.p} {
				if got := p.Reserve(1); got != 0 {
					t.Errorf("from %d, consumer %d ahead: room for %d", start, ahead, got)
				}
				if got := p.Pending(); uint(got) <= 8 {
					t.Errorf("from %d, consumer %d ahead: %d pending looks right", start, ahead, got)
				}
			}
			setWord(mem, layout.Consumer, start+8)
			for _, p := range []*Producer[uint64]{e.p, found.p} {
				if got := p.Reserve(9); got != 8 {
					t.Errorf("from %d, consumer right again: room for %d", start, got)
				}
			}
		}
	}
}

// TestLooksOnlyWhenItMust: words that the other side shares are read once per batch, so
// that what it writes in the meantime, nonsense too, is not seen while the last look suffices.
func TestLooksOnlyWhenItMust(t *testing.T) {
	e, mem := ringAt(t, 5)
	setWord(mem, layout.Consumer, 1<<20)
	if got := e.p.Reserve(8); got != 8 {
		t.Errorf("room for %d, though the last look said 8", got)
	}
	setWord(mem, layout.Producer, 9)
	if got := e.c.Peek(1); got != 1 {
		t.Fatalf("%d ready", got)
	}
	setWord(mem, layout.Producer, 1<<20)
	if got := e.c.Peek(4); got != 4 || e.c.Corrupt() {
		t.Errorf("%d ready, corrupt %v, though the last look said 4", got, e.c.Corrupt())
	}
	if got := e.c.Peek(5); got != 0 || !e.c.Corrupt() {
		t.Errorf("%d ready, corrupt %v, and now it must look", got, e.c.Corrupt())
	}
}

// TestLongestRing: 2^31 entries are the most whose indices can tell full from empty.
func TestLongestRing(t *testing.T) {
	for n, want := range map[int]bool{1: true, 1 << 30: true, 1 << 31: true, 1 << 32: false, 1<<31 - 1: false} {
		if sizeOK(n) != want {
			t.Errorf("%d entries: %v", n, !want)
		}
	}
}

// ringAt is a ring of 8 whose indices stand at start, and its mapping.
func ringAt(tb testing.TB, start uint32) (ringEnds, []byte) {
	mem := mapping(tb, wordsEnd+8*8)
	setWord(mem, layout.Producer, start)
	setWord(mem, layout.Consumer, start)
	return laidOver(tb, mem, 8), mem
}

func TestRingOverRefuses(t *testing.T) {
	mem := mapping(t, 4096)
	at := func(p, c, f, d uint64) Offsets { return Offsets{Producer: p, Consumer: c, Flags: f, Desc: d} }
	for _, c := range []struct {
		name string
		mem  []byte
		o    Offsets
		n    int
		text string
	}{
		{"no entries", mem, layout, 0, "power of two"},
		{"a negative number", mem, layout, -4, "power of two"},
		{"the most negative number", mem, layout, math.MinInt, "power of two"},
		{"three", mem, layout, 3, "power of two"},
		{"more than indices can count", mem, layout, 1 << 32, "power of two"},
		{"entries whose size wraps round to 0", mem, layout, 1 << 60, "power of two"},
		{"one too many", mem, layout, 256, "do not fit in 4096 bytes"},
		{"entries past the end", mem, at(0, 64, 128, 4096), 1, "do not fit"},
		{"entries far past the end", mem, at(0, 64, 128, math.MaxUint64-7), 1, "do not fit"},
		{"entries misaligned", mem, at(0, 64, 128, 324), 1, "do not fit"},
		{"producer past the end", mem, at(4096, 64, 128, 320), 1, "word at offset 4096"},
		{"producer across the end", mem, at(4094, 64, 128, 320), 1, "word at offset 4094"},
		{"consumer misaligned", mem, at(0, 66, 128, 320), 1, "word at offset 66"},
		{"flags across an odd end", mem[:323], at(0, 64, 320, 0), 1, "word at offset 320"},
		{"flags nowhere", mem, at(0, 64, math.MaxUint64&^3, 320), 1, "word at offset"},
		{"no memory", nil, at(0, 0, 0, 0), 1, "do not fit in 0 bytes"},
		{"memory of one byte", mem[:1], at(0, 0, 0, 0), 1, "do not fit in 1 bytes"},
		{"memory misaligned", mem[4:], layout, 1, "multiple of 8"},
	} {
		_, perr := ProducerOver[Desc](c.mem, c.o, c.n)
		_, cerr := ConsumerOver[Desc](c.mem, c.o, c.n)
		for _, err := range []error{perr, cerr} {
			if !errors.Is(err, ErrRing) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("%s: got %v, want %q", c.name, err, c.text)
			}
		}
	}
	if _, err := ProducerOver[uint64](mem[:wordsEnd+8], layout, 1); err != nil {
		t.Errorf("a ring that fits exactly: %v", err)
	}
	if _, err := ProducerOver[uint64](mem[:20], at(8, 12, 16, 0), 1); err != nil {
		t.Errorf("words that end with the memory: %v", err)
	}
}

// FuzzRingOver lays rings by any offsets over any memory, and lets the other side
// write anything into the words: entries granted never exceed the ring, and
// everything stays inside the memory.
func FuzzRingOver(f *testing.F) {
	f.Add(uint16(4096), uint64(0), uint64(128), uint64(192), uint64(320), 8, []byte{1, 2, 3, 4, 5})
	f.Add(uint16(16), uint64(0), uint64(4), uint64(4), uint64(8), 1, []byte{255, 255, 255, 255, 0})
	f.Add(uint16(8), uint64(0), uint64(4), uint64(4), uint64(0), 1<<60, []byte{})
	whole := mapping(f, 1<<16)
	f.Fuzz(func(t *testing.T, size uint16, prod, cons, flags, desc uint64, n int, other []byte) {
		mem := whole[:size]
		o := Offsets{Producer: prod, Consumer: cons, Flags: flags, Desc: desc}
		p, err := ProducerOver[Desc](mem, o, n)
		c, cerr := ConsumerOver[Desc](mem, o, n)
		if (err == nil) != (cerr == nil) {
			t.Fatalf("producer %v, consumer %v", err, cerr)
		}
		if err != nil {
			if !errors.Is(err, ErrRing) {
				t.Fatal(err)
			}
			return
		}
		if n*16 > len(mem) {
			t.Fatalf("%d entries in %d bytes", n, len(mem))
		}
		for ; len(other) >= 5; other = other[5:] {
			setWord(mem, []uint64{prod, cons}[other[0]%2], binary.NativeEndian.Uint32(other[1:]))
			turn(t, p, c)
		}
	})
}

// turn asks both ends for everything, and uses what they grant.
func turn(t *testing.T, p *Producer[Desc], c *Consumer[Desc]) {
	room, ready := p.Reserve(p.Cap()+1), c.Peek(c.Cap()+1)
	if room < 0 || room > p.Cap() || ready < 0 || ready > c.Cap() {
		t.Fatalf("room %d, ready %d of %d", room, ready, p.Cap())
	}
	for range room {
		p.Put(Desc{Addr: 1})
	}
	for range ready {
		c.Take()
	}
	p.Submit()
	c.Release()
	p.Pending()
}

// TestRingOverNonsense drives the same with random words, so that it runs without a fuzzer.
func TestRingOverNonsense(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	for range 2000 {
		mem := mapping(t, wordsEnd+16*8)
		o := layout
		p, perr := ProducerOver[Desc](mem, o, 8)
		c, cerr := ConsumerOver[Desc](mem, o, 8)
		if perr != nil || cerr != nil {
			t.Fatal(perr, cerr)
		}
		for range 20 {
			setWord(mem, []uint64{o.Producer, o.Consumer}[rng.IntN(2)], rng.Uint32()>>rng.IntN(32))
			turn(t, p, c)
		}
	}
}
