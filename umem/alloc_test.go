package umem

import "testing"

// cycle is the life of one frame on the hot path: filled by its writer, sent,
// completed, ACKed, told, and its writer's again.
func cycle(p *Pool, f Frame) {
	p.Commit(f)
	p.Submit(f)
	p.Complete(p.region.Addr(f) + 256)
	p.Drop(f)
	p.Drain()
}

// receive is the life of a frame of the fill ring.
func receive(p *Pool, f Frame) {
	if _, fault := p.Received(p.region.Addr(f) + 256); fault != FaultNone {
		panic(fault)
	}
	p.Refill(f)
}

// header is the life of a frame of the engine's own.
func header(p *Pool) {
	f, _ := p.Alloc()
	p.Submit(f)
	p.Complete(p.region.Addr(f))
}

// pass puts a batch through a ring and returns the last entry.
func pass[T any](p *Producer[T], c *Consumer[T], v T, n int) (last T) {
	for range p.Reserve(n) {
		p.Put(v)
	}
	p.Submit()
	for range c.Peek(n) {
		last = c.Take()
	}
	c.Release()
	return last
}

func TestHotCallsDoNotAllocate(t *testing.T) {
	r := mapped(t, 64, MinChunk)
	p := newPool(t, r, 0, 64, 8)
	f, rx := lent(p), filled(p)
	descs, descsOut := NewRing[Desc](64)
	over := overMapping(t, 64, 0)
	for name, call := range map[string]func(){
		"cycle":   func() { cycle(p, f) },
		"receive": func() { receive(p, rx) },
		"header":  func() { header(p) },
		"abandon": func() { g, _ := p.Lend(); p.Abandon(g) },
		"return":  func() { g, _ := p.Alloc(); p.Return(g) },
		"early":   func() { early(p, f) },
		"faults":  func() { p.Complete(1 << 40); p.Complete(r.Addr(63)); p.Received(0) },
		"dead":    func() { p.Quarantine(); p.Reregistered(); rx = filled(p) },
		"ring":    func() { pass(descs, descsOut, Desc{Addr: 1}, 64) },
		"mapped":  func() { pass(over.p, over.c, 1, 64) },
		"wakeup":  func() { descsOut.SetNeedWakeup(true); descs.NeedWakeup(); descs.Pending() },
		"views":   func() { r.Bytes(f)[0] = r.WriterBytes(f)[1] },
	} {
		if n := testing.AllocsPerRun(200, call); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if _, err := p.Audit(); err != nil {
		t.Error(err)
	}
}

// early is the wrong modes' life of a frame: lent again while held.
func early(p *Pool, f Frame) {
	p.Commit(f)
	p.Hold(f)
	p.Submit(f)
	p.LendEarly(f)
	p.Drop(f)
	p.Complete(p.region.Addr(f))
	p.Drop(f)
	p.Drain()
}

// TestEventsFitWithoutAllocating: all frames may end between two Drains.
func TestEventsFitWithoutAllocating(t *testing.T) {
	p := newPool(t, mapped(t, 64, MinChunk), 0, 64, 0)
	frames := make([]Frame, 0, 64)
	for f, ok := p.Lend(); ok; f, ok = p.Lend() {
		frames = append(frames, f)
	}
	n := testing.AllocsPerRun(100, func() {
		for _, f := range frames {
			then(p, f, (*Pool).Commit)
			p.Submit(f)
			p.Drop(f)
			p.Complete(p.region.Addr(f))
		}
		p.Drain()
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
