package umem

import "testing"

// A frame has one holder at every point of its life, and Holder says what the census does.
func TestHolder(t *testing.T) {
	r := mapped(t, 8, MinChunk)
	p, err := NewPool(r, 2, 6, 1)
	if err != nil {
		t.Fatal(err)
	}
	want := func(f Frame, who Holder, payload bool) {
		t.Helper()
		if h, has := p.Holder(f); h != who || has != payload {
			t.Fatalf("held by %d, payload %v, want %d, %v", h, has, who, payload)
		}
		c, err := p.Audit()
		if err != nil {
			t.Fatal(err)
		}
		sum := 0
		for h := HeldByNobody; h <= HeldAndLent; h++ {
			sum += *c.of(h)
		}
		if sum != c.Total || *c.of(who) == 0 {
			t.Fatalf("%+v: %d of %d frames have a holder", c, sum, c.Total)
		}
	}
	if p.Reserve() != 1 {
		t.Errorf("reserve %d", p.Reserve())
	}
	f, _ := p.Lend()
	want(f, HeldByWriter, false)
	p.Commit(f)
	want(f, HeldByTCP, true)
	p.Submit(f)
	want(f, HeldByTCPAndKernel, true)
	p.LendEarly(f)
	want(f, HeldAndLent, false)
	p.Commit(f)
	want(f, HeldByTCPAndKernel, true)
	p.Drop(f)
	p.Drop(f)
	want(f, HeldByKernel, true)
	p.Quarantine()
	want(f, HeldByQuarantine, true)
	p.Complete(r.Addr(f))
	want(f, HeldByWriter, false)
	p.Abandon(f)
	want(f, HeldByNobody, false)

	f, _ = p.Alloc()
	want(f, HeldByEngine, false)
	p.Submit(f)
	want(f, HeldByKernel, false)
	p.Complete(r.Addr(f))
	want(f, HeldByNobody, false)

	f, _ = p.Fill()
	want(f, HeldByFillRing, false)
	p.Received(r.Addr(f))
	want(f, HeldByRX, false)
	p.Recycle(f)
	want(f, HeldByNobody, false)
}
