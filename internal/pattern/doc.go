// Package pattern is a stream whose every byte follows from its offset, so that it needs no file, its SHA-256 can be had
// without sending it, and a receiver can compare every byte.
//
// # What it owns
//
// The pattern: word i of eight bytes, little-endian, is SplitMix64 of i, that is the (i+1)th number of that generator
// seeded with 0 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, 2014). All streams of a run send the
// same one. What sends it ("xsend send --pattern") and what compares with it ("xsend sink --verify") take it from here,
// and share nothing else.
//
// # What it refuses
//
// To be changed: a sender and a receiver of different versions must agree.
//
// # Goroutines
//
// None; every function may be called from any goroutine.
package pattern
