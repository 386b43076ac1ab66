package umem

import (
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNewPoolRefuses(t *testing.T) {
	r := mapped(t, 16, MinChunk)
	for _, c := range []struct {
		first      Frame
		n, reserve int
		want       error
		text       string
	}{
		{0, 16, 14, nil, ""},
		{14, 2, 0, nil, ""},
		{0, 0, 0, ErrGeometry, "0 frames"},
		{0, -1, 0, ErrGeometry, "-1 frames"},
		{0, 17, 0, ErrGeometry, "the region has 16"},
		{15, 2, 0, ErrGeometry, "from frame 15 on"},
		{17, 2, 0, ErrGeometry, "the region has 16"},
		{NoFrame, 2, 0, ErrGeometry, "the region has 16"},
		{1, math.MaxInt, 0, ErrGeometry, "the region has 16"},
		{0, 1, 0, ErrTooSmall, "make 2"},
		{0, 16, 15, ErrTooSmall, "the reserve of 15 and 2 to send from make 17"},
		{0, 16, -1, ErrTooSmall, "reserve of -1"},
		{0, 16, math.MaxInt, ErrTooSmall, "make 9223372036854775809"},
	} {
		_, err := NewPool(r, c.first, c.n, c.reserve)
		if !errors.Is(err, c.want) {
			t.Errorf("%+v: got %v", c, err)
		} else if err != nil && !strings.Contains(err.Error(), c.text) {
			t.Errorf("%+v: the text does not say %q: %v", c, c.text, err)
		}
	}
}

// TestFreedLastIsLentFirst: the frame that is still in the cache is used again.
func TestFreedLastIsLentFirst(t *testing.T) {
	p := newPool(t, mapped(t, 16, MinChunk), 4, 6, 2)
	var got []Frame
	for f, ok := p.Lend(); ok; f, ok = p.Lend() {
		got = append(got, f)
	}
	if want := []Frame{4, 5, 6, 7}; !slices.Equal(got, want) {
		t.Fatalf("lent %v, want %v: the reserve of 2 stays", got, want)
	}
	if p.Lendable() != 0 || p.Free() != 2 {
		t.Fatalf("lendable %d, free %d", p.Lendable(), p.Free())
	}
	p.Abandon(6)
	p.Abandon(4)
	for _, want := range []Frame{4, 6} {
		if f, ok := p.Lend(); !ok || f != want {
			t.Errorf("lent %d, want %d", f, want)
		}
	}
	for range 2 {
		if _, ok := p.Alloc(); !ok {
			t.Error("the engine cannot have the reserve")
		}
	}
	for name, take := range map[string]func() (Frame, bool){"lend": p.Lend, "alloc": p.Alloc, "fill": p.Fill} {
		if f, ok := take(); ok || f != NoFrame {
			t.Errorf("%s: frame %d out of an empty pool", name, f)
		}
	}
}

// TestReleaseNeedsBoth plays every order of two transmissions, their completions
// and the ACK: the frame goes back at the last of them, and not before.
func TestReleaseNeedsBoth(t *testing.T) {
	r := mapped(t, 4, MinChunk)
	for _, order := range []string{"kka", "kak", "akk"} {
		p := newPool(t, r, 0, 4, 0)
		f := then(p, committed(p), (*Pool).Submit, (*Pool).Submit)
		for i, what := range order {
			if what == 'a' {
				p.Drop(f)
			} else if _, fault := p.Complete(p.region.Addr(f) + 300); fault != FaultNone {
				t.Errorf("%s: fault %d", order, fault)
			}
			if back := len(p.Done()) > 0; back != (i == 2) {
				t.Errorf("%s: given back after %d of 3: %v", order, i+1, back)
			}
			if acked := len(p.Acked()) > 0; acked != strings.Contains(order[:i+1], "a") {
				t.Errorf("%s: acked event after %d of 3: %v", order, i+1, acked)
			}
		}
		if !slices.Equal(p.Done(), []Frame{f}) || !slices.Equal(p.Acked(), []Frame{f}) {
			t.Errorf("%s: done %v, acked %v", order, p.Done(), p.Acked())
		}
		p.Drain()
		if len(p.Done())+len(p.Acked()) > 0 {
			t.Error("events survive Drain")
		}
		p.Abandon(f) // it is the writer's again
		if p.Free() != 4 {
			t.Errorf("%s: %d free", order, p.Free())
		}
	}
}

// TestEventsInOrder: frames are told in the order in which they became free, not
// in the order of the stream.
func TestEventsInOrder(t *testing.T) {
	p := newPool(t, mapped(t, 4, MinChunk), 0, 4, 0)
	a, b, c := submitted(p), submitted(p), submitted(p)
	for _, f := range []Frame{a, b, c} {
		p.Drop(f)
	}
	for _, f := range []Frame{c, a, b} {
		p.Complete(p.region.Addr(f))
	}
	if want := []Frame{a, b, c}; !slices.Equal(p.Acked(), want) {
		t.Errorf("acked %v, want %v", p.Acked(), want)
	}
	if want := []Frame{c, a, b}; !slices.Equal(p.Done(), want) {
		t.Errorf("done %v, want %v", p.Done(), want)
	}
}

// TestKernelAddressesAreInput: nothing that a completion or RX ring says panics,
// and what is not believed changes nothing.
func TestKernelAddressesAreInput(t *testing.T) {
	r := mapped(t, 16, MinChunk)
	p := newPool(t, r, 4, 6, 0)
	f, g := submitted(p), filled(p)
	size := r.Addr(16)
	for _, c := range []struct {
		addr         uint64
		complete, rx Fault
	}{
		{r.Addr(3), FaultRange, FaultRange},             // in the region, not in the pool
		{r.Addr(4) - 1, FaultRange, FaultRange},         //
		{r.Addr(10), FaultRange, FaultRange},            //
		{size, FaultRange, FaultRange},                  // past the region
		{1 << 30, FaultRange, FaultRange},               // what the kernel was seen to hand back
		{math.MaxUint64, FaultRange, FaultRange},        //
		{r.Addr(4) | 1<<63, FaultRange, FaultRange},     //
		{r.Addr(4) + 1<<44, FaultRange, FaultRange},     // a frame number beyond 32 bits
		{r.Addr(9), FaultSpurious, FaultSpurious},       // a free frame
		{r.Addr(g), FaultSpurious, FaultNone},           // in the fill ring: no transmission of it
		{r.Addr(g) + 256, FaultSpurious, FaultSpurious}, // received twice
		{r.Addr(f) + 2047, FaultNone, FaultSpurious},    // anywhere in the frame; no RX of it
		{r.Addr(f), FaultSpurious, FaultSpurious},       // completed twice
	} {
		if _, fault := p.Complete(c.addr); fault != c.complete {
			t.Errorf("Complete(%#x): fault %d, want %d", c.addr, fault, c.complete)
		}
		if _, fault := p.Received(c.addr); fault != c.rx {
			t.Errorf("Received(%#x): fault %d, want %d", c.addr, fault, c.rx)
		}
		if _, err := p.Audit(); err != nil {
			t.Errorf("after %#x: %v", c.addr, err)
		}
	}
}

// TestQuarantineEnds: by a late completion, or by a new registration.
func TestQuarantineEnds(t *testing.T) {
	p := newPool(t, mapped(t, 8, MinChunk), 0, 8, 0)
	acked, unacked, late, rx := outlived(p), submitted(p), outlived(p), filled(p)
	p.Drain()
	if got := p.Quarantine(); got != 4 {
		t.Errorf("%d descriptors in quarantine, want 4", got)
	}
	if got := p.Quarantine(); got != 4 {
		t.Errorf("%d descriptors in quarantine at the second call, want 4", got)
	}
	if _, fault := p.Complete(p.region.Addr(late)); fault != FaultNone {
		t.Errorf("late completion: fault %d", fault)
	}
	if c, err := p.Audit(); err != nil || c.Quarantined != 3 || c.Writer != 1 {
		t.Errorf("census %+v, %v", c, err)
	}
	p.Reregistered()
	if want := []Frame{late, acked}; !slices.Equal(p.Done(), want) {
		t.Errorf("done %v, want %v", p.Done(), want)
	}
	want := Census{Total: 8, Free: 5, Writer: 2, TCP: 1}
	if c, err := p.Audit(); err != nil || c != want {
		t.Errorf("got %+v, %v\nwant %+v", c, err, want)
	}
	if p.InTCP(unacked) != 1 || p.InKernel(unacked) != 0 || p.InKernel(rx) != 0 {
		t.Error("un-ACKed bytes left TCP, or the kernel kept something")
	}
	if _, fault := p.Complete(p.region.Addr(unacked)); fault != FaultSpurious {
		t.Errorf("a completion of the old registration: fault %d", fault)
	}
}

// TestEarlyLendInQuarantine: a frame is in one state only, but both books are kept.
func TestEarlyLendInQuarantine(t *testing.T) {
	p := newPool(t, mapped(t, 4, MinChunk), 0, 4, 0)
	f := then(p, submitted(p), (*Pool).LendEarly)
	for _, step := range []struct {
		name string
		do   func()
		want Census
	}{
		{"lent early", func() {}, Census{Total: 4, Free: 3, LentWhileHeld: 1, Descriptors: 1}},
		{"quarantined", func() { p.Quarantine() }, Census{Total: 4, Free: 3, Quarantined: 1, Descriptors: 1}},
		{"registered anew", p.Reregistered, Census{Total: 4, Free: 3, LentWhileHeld: 1}},
		{"acked", func() { p.Drop(f) }, Census{Total: 4, Free: 3, Writer: 1}},
	} {
		step.do()
		if c, err := p.Audit(); err != nil || c != step.want {
			t.Errorf("%s: got %+v, %v\nwant %+v", step.name, c, err, step.want)
		}
	}
	if len(p.Acked())+len(p.Done()) > 0 || p.LentEarly() != 1 {
		t.Errorf("acked %v, done %v, lent early %d: the writer was told once", p.Acked(), p.Done(), p.LentEarly())
	}
}

// TestPoolsShareARegion: each keeps the books of its own frames only.
func TestPoolsShareARegion(t *testing.T) {
	r := mapped(t, 8, MinChunk)
	a, b := newPool(t, r, 0, 4, 0), newPool(t, r, 4, 4, 0)
	f := submitted(b)
	if f != 4 || b.Index(f) != 0 || a.Index(f) != 4 {
		t.Errorf("frame %d, index %d there and %d here", f, b.Index(f), a.Index(f))
	}
	if got, fault := a.Complete(r.Addr(f)); got != NoFrame || fault != FaultRange {
		t.Errorf("another pool's completion: frame %d, fault %d", got, fault)
	}
	if got, fault := b.Complete(r.Addr(f)); got != f || fault != FaultNone {
		t.Errorf("its own completion: frame %d, fault %d", got, fault)
	}
	if a.Region() != r || a.Len() != 4 || &a.Bytes(3)[0] != &r.Bytes(3)[0] {
		t.Error("the pool does not show its region")
	}
}

// TestAuditFindsBrokenBooks is the negative control of Audit: books that were
// cooked behind the pool's back are found.
func TestAuditFindsBrokenBooks(t *testing.T) {
	r := mapped(t, 8, MinChunk)
	for _, c := range []struct {
		name string
		cook func(*Pool)
	}{
		{"a frame lost", func(p *Pool) { p.pop() }},
		{"a frame free twice", func(p *Pool) { p.free[0] = p.free[1] }},
		{"a held frame on the stack", func(p *Pool) { f := submitted(p); p.free[0] = f }},
		{"a lent frame on the stack", func(p *Pool) { p.free = append(p.free, lent(p)) }},
		{"early lends miscounted", func(p *Pool) { p.early++ }},
		{"quarantine miscounted", func(p *Pool) { p.quarantine++ }},
		{"a free frame with a leftover", func(p *Pool) { p.at(p.first).committed = true }},
	} {
		p := newPool(t, r, 0, 8, 0)
		if _, err := p.Audit(); err != nil {
			t.Fatal(err)
		}
		c.cook(p)
		if census, err := p.Audit(); err == nil || census.Total != 8 {
			t.Errorf("%s: not found, or told without the census: %+v, %v", c.name, census, err)
		}
	}
}
