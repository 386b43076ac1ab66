package wire_test

import (
	"bytes"
	"testing"

	"github.com/xsend/xsend/internal/wire"
)

// slowSum is RFC 1071 word by word.
func slowSum(b []byte, initial uint32) uint16 {
	s := uint64(initial)
	for i, c := range b {
		s += uint64(c) << (8 * (1 - i&1))
	}
	for s > 0xffff {
		s = s>>16 + s&0xffff
	}
	return uint16(s)
}

func TestSumExample(t *testing.T) {
	// https://www.rfc-editor.org/rfc/rfc1071#section-3
	b := []byte{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7}
	if got := wire.Sum(b, 0); got != 0xddf2 {
		t.Fatalf("Sum = %#x, want 0xddf2", got)
	}
}

func TestSumMatchesWordByWord(t *testing.T) {
	r := newRandom(1)
	for n := range 2100 {
		for _, b := range [][]byte{r.bytes(n), bytes.Repeat([]byte{0xff}, n), make([]byte, n)} {
			for _, initial := range []uint32{0, 1, 0xffff, 0x10000, 0xffffffff, r.Uint32()} {
				if got, want := wire.Sum(b, initial), uint32(slowSum(b, initial)); got != want {
					t.Fatalf("Sum of %d bytes on %#x = %#x, want %#x", n, initial, got, want)
				}
			}
		}
	}
}

// TestSumCarries puts the carries of 64-bit additions everywhere, where random bytes seldom have them.
func TestSumCarries(t *testing.T) {
	r := newRandom(2)
	for i := range 20000 {
		b := make([]byte, r.IntN(200))
		for j := range b {
			b[j] = [...]byte{0, 0, 1, 0x80, 0xfe, 0xff, 0xff, 0xff}[r.IntN(8)]
		}
		if got, want := wire.Sum(b, 0), uint32(slowSum(b, 0)); got != want {
			t.Fatalf("round %d: Sum(% x) = %#x, want %#x", i, b, got, want)
		}
	}
}

func TestFold(t *testing.T) {
	for sum, want := range map[uint64]uint16{
		0: 0, 1: 1, 0xffff: 0xffff, 0x10000: 1, 0x1fffe: 0xffff, 0x1ffff: 1, 0xffff0000: 0xffff, 0xffffffff: 0xffff,
		1 << 32: 1, 0xffffffff00000000: 0xffff, 0xffffffffffffffff: 0xffff, 0xfffffffffffffffe: 0xfffe, 0x0001ffffffffffff: 1,
	} {
		if got := wire.Fold(sum); got != want {
			t.Errorf("Fold(%#x) = %#x, want %#x", sum, got, want)
		}
		if sum < 1<<32 && wire.Fold(uint32(sum)) != want {
			t.Errorf("Fold(uint32 %#x) = %#x, want %#x", sum, wire.Fold(uint32(sum)), want)
		}
	}
}

// sumCuts adds up b in parts that end at cuts, swapping those at odd offsets if asked to.
func sumCuts(b []byte, cuts []int, swap bool) uint32 {
	var sum uint32
	from := 0
	for _, to := range append(cuts, len(b)) {
		part := wire.Sum(b[from:to], 0)
		if swap && from&1 == 1 {
			part = wire.SumSwap(part)
		}
		sum += part
		from = to
	}
	return uint32(wire.Fold(sum))
}

// TestSumOfCuts cuts anywhere, as the engine does; the control forgets the swap and has to be wrong.
func TestSumOfCuts(t *testing.T) {
	control := 0
	for seed := range uint64(5000) {
		r := newRandom(seed)
		b := r.bytes(r.IntN(3000))
		var cuts []int
		for at := 0; len(b) > 0 && len(cuts) < 9; cuts = append(cuts, at) {
			at += r.IntN(len(b) - at + 1)
		}
		flat := wire.Sum(b, 0)
		if got := sumCuts(b, cuts, true); got != flat {
			t.Fatalf("seed %d: cuts at %v of %d: %#x, flat %#x", seed, cuts, len(b), got, flat)
		}
		if sumCuts(b, cuts, false) != flat {
			control++
		}
	}
	if control < 2000 {
		t.Errorf("without SumSwap only %d of 5000 were wrong: the test has no power", control)
	}
}

func FuzzSum(f *testing.F) {
	f.Add([]byte{}, uint32(0), uint16(0))
	f.Add([]byte{1}, uint32(0xffffffff), uint16(1))
	f.Add(bytes.Repeat([]byte{0xff}, 1449), uint32(7), uint16(333))
	f.Fuzz(func(t *testing.T, b []byte, initial uint32, cut uint16) {
		want := uint32(slowSum(b, initial))
		if got := wire.Sum(b, initial); got != want {
			t.Fatalf("Sum = %#x, want %#x", got, want)
		}
		at := int(cut) % (len(b) + 1)
		tail := wire.Sum(b[at:], 0)
		if at&1 == 1 {
			tail = wire.SumSwap(tail)
		}
		if got := uint32(wire.Fold(wire.Sum(b[:at], initial) + tail)); got != want {
			t.Fatalf("cut at %d: %#x, want %#x", at, got, want)
		}
	})
}
