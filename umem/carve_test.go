package umem

import "testing"

// Pieces of a frame are free together, when the kernel has completed each of them; the next frame is begun
// when no piece is left, or when the frame was free meanwhile.
func TestCarve(t *testing.T) {
	r, err := Map(Config{Frames: 4, ChunkSize: 2048})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p, err := NewPool(r, 0, 4, 1)
	if err != nil {
		t.Fatal(err)
	}
	piece := func(wantOff int) Frame {
		t.Helper()
		f, off, ok := p.Carve(512, 0)
		if !ok || off != wantOff {
			t.Fatalf("piece at %d, %v; want one at %d", off, ok, wantOff)
		}
		p.Submit(f)
		return f
	}
	f := piece(0)
	for k := 1; k < 4; k++ {
		if g := piece(k * 512); g != f {
			t.Fatalf("frame %d, not %d", g, f)
		}
	}
	g := piece(0)
	if g == f {
		t.Fatal("more than a frame holds")
	}
	for k := range 4 {
		if p.Free() != 2 {
			t.Fatalf("%d frames free after %d completions", p.Free(), k)
		}
		if _, fault := p.Complete(r.Addr(f) + uint64(k*512)); fault != FaultNone {
			t.Fatal(fault)
		}
	}
	if p.Free() != 3 {
		t.Fatalf("%d frames free", p.Free())
	}
	p.Complete(r.Addr(g))
	if p.Free() != 4 {
		t.Fatalf("%d frames free", p.Free())
	}
	begun := piece(0) // another frame that becomes free meanwhile does not end it
	other, _ := p.Alloc()
	p.Submit(other)
	p.Complete(r.Addr(other))
	if next := piece(512); next != begun {
		t.Fatalf("frame %d, not %d", next, begun)
	}
	p.Complete(r.Addr(begun))
	p.Complete(r.Addr(begun) + 512)
	h := piece(0) // the begun frame was free, and is begun anew
	p.Quarantine()
	if i := piece(0); i == h {
		t.Fatal("carved from a frame in quarantine")
	}
	if _, _, ok := p.Carve(2048, 2); ok {
		t.Fatal("none of the last two frames was to be taken")
	}
	if _, err := p.Audit(); err != nil {
		t.Fatal(err)
	}
}
