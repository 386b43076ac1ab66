package netem

import (
	"math"
	"math/bits"
)

// A draw decides one thing about one packet. Each thing has a seed of its own, made from the wire's, so
// that a packet's being lost says nothing about the next one's being corrupt. Loss has the wire's seed itself:
// the same pattern as the lab's loss program.
type draw uint64

const (
	drawLoss draw = iota
	drawReorder
	drawDuplicate
	drawCorrupt
	drawBit
	drawJitter
)

// of is what the draw gives for packet n, from 1: SplitMix64's n-th output (Steele, Lea, Flood: "Fast
// splittable pseudorandom number generators", 2014).
func (d draw) of(seed, n uint64) uint64 {
	if d != drawLoss {
		seed ^= splitMix(uint64(d))
	}
	return splitMix(seed + (n-1)*splitMixGamma)
}

const splitMixGamma = 0x9e3779b97f4a7c15

// splitMix is the output that follows a state.
func splitMix(x uint64) uint64 {
	x += splitMixGamma
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// threshold is the rate of occurrence that a draw's upper half is compared with.
type threshold uint64

func thresholdOf(percent float64) threshold {
	ppm := uint64(math.Round(percent * 10_000))
	return threshold((ppm << 32) / 1_000_000)
}

func (t threshold) hit(drawn uint64) bool { return drawn>>32 < uint64(t) }

// below maps a draw to 0 … n-1.
func below(drawn, n uint64) uint64 {
	hi, _ := bits.Mul64(drawn, n)
	return hi
}
