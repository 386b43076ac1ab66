// Package median is the median of a few measurements and where it lies, by order statistics.
//
// # What it refuses
//
// To assume how measurements are distributed: on a machine with other work they have long tails.
//
// # Goroutines
//
// None; every function may be called from any goroutine.
package median
