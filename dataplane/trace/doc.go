// Package trace is the lifecycle trace: what happened to each frame and each connection, in events of 32 bytes, from
// which somebody else can decide whether every frame was given back rightly. docs/trace.md has the format.
//
// # What it owns
//
// The event, the file, the ring between a poller and the goroutine that writes the file, and that goroutine. What an
// event means is said here; whether a sequence of them is legal is decided elsewhere (internal/lifecycle), by a model
// that shares nothing with the ledger of umem.
//
// # What it refuses
//
// Nothing of the poller's: what the ring has no room for is lost, and the file says how many and where.
//
// # Goroutines
//
// A Ring's Put and Flush are the poller's; a Writer has one goroutine from Start to Close, which is the rings' other end.
//
// # Limits
//
// Times are those of the poller's passes. The time of day is right to about ten milliseconds. Connections have numbers
// of 16 bits within a queue: after 65,535 of them numbers are used again.
package trace
