// Package lifecycle reads what the lifecycle trace (package dataplane/trace) wrote, and decides whether every frame was given back
// rightly.
//
// # What it owns
//
// A model of frames, descriptors and connections of its own: it shares no line with the ledger of umem and the books of
// the poller, so that a mistake in those shows as a difference. A reader of captures, taken at the peer, which says whether the ACKs that the
// trace claims were sent, and whether every retransmission carried the bytes of the first transmission. The life of a frame or a
// connection as text and JSON, and an export as pcapng.
//
// # What it refuses
//
// To call a trace right in which events are missing, or whose end is missing.
//
// # Goroutines
//
// None.
//
// # Limits
//
// It knows what the poller wrote, and no more: a poller that invents completions is found only by what the kernel and the NIC
// then send, which is what captures are for. A copy that the engine sends from a frame of its own (a split segment) is followed
// through the kernel, not through TCP. With a capture it needs memory for the payload in it. See docs/trace.md.
package lifecycle
