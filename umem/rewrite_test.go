package umem

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"
)

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
