// Package race is what "xsend race" does: it shows, on the kernel in front of us, what becomes of bytes whose writer changes
// its buffer as soon as whoever sends it says that he may.
//
// # What it owns
//
// The rows (an API of the kernel, or a release mode of xsend, and the moment that its writer takes for "yours again"), their
// order, the runs, what they come to, and the verdict on the whole (Judge). A writer sends rounds of the pattern's bytes
// from a few buffers in turn; the moment that a buffer is its own again it writes Marker over all of it, and only then does
// it wait, fill or send anything else. All rows have as many buffers of the same size, the same bytes, the same path and,
// in the lab, the same packets lost. Each run is a child of its own, so that processor time is the sender's alone; rows of
// a turn run in an order that a seed shuffles.
//
// The receiver is "xsend sink --verify". It knows what was promised for every byte, and counts wrong bytes and the rounds
// that they are in. A stream that is short or broken is an error and no corruption.
//
// # What it refuses
//
// To leave a row out because this kernel hasn't got it: it is there with the reason.
//
// # Goroutines
//
// Run returns when all it started has ended. RunWriter and RunOther are the children's parts, each on the caller's goroutine.
//
// # Limits
//
// On a veth pair AF_XDP copies a frame when the doorbell is rung: what is rewritten later can only be sent wrong if it is
// sent again. And sendfile's pages travel by reference up to the receiver's read.
package race
