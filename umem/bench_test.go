package umem

import "testing"

// A frame freed last is in the cache: hot. A whole pool in turn is not: cold.

func BenchmarkPoolCycleHot(b *testing.B) {
	p := newPool(b, mapped(b, 4096, MinChunk), 0, 4096, 64)
	f := lent(p)
	b.ReportAllocs()
	for b.Loop() {
		cycle(p, f)
	}
}

func BenchmarkPoolCycleCold(b *testing.B) {
	p := newPool(b, mapped(b, 8192, MinChunk), 0, 8192, 64)
	var frames []Frame
	for f, ok := p.Lend(); ok; f, ok = p.Lend() {
		frames = append(frames, f)
	}
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		cycle(p, frames[i*2654435761%len(frames)])
	}
}

func BenchmarkPoolLendAbandon(b *testing.B) {
	p := newPool(b, mapped(b, 4096, MinChunk), 0, 4096, 64)
	b.ReportAllocs()
	for b.Loop() {
		f, _ := p.Lend()
		p.Abandon(f)
	}
}

func BenchmarkPoolReceive(b *testing.B) {
	p := newPool(b, mapped(b, 4096, MinChunk), 0, 4096, 64)
	f := filled(p)
	b.ReportAllocs()
	for b.Loop() {
		receive(p, f)
	}
}

// BenchmarkRing64 is per batch of 64 entries, put and taken by one goroutine.
func BenchmarkRing64(b *testing.B) {
	over := overMapping(b, 256, 0)
	p, c := NewRing[Desc](256)
	b.Run("memory", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pass(p, c, Desc{Addr: 1}, 64)
		}
	})
	b.Run("mapping", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			pass(over.p, over.c, 1, 64)
		}
	})
}

// BenchmarkAudit is per audit of 4096 frames.
func BenchmarkAudit(b *testing.B) {
	p := newPool(b, mapped(b, 4096, MinChunk), 0, 4096, 64)
	for b.Loop() {
		if _, err := p.Audit(); err != nil {
			b.Fatal(err)
		}
	}
}
