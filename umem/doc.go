// Package umem owns the memory that a NIC reads directly, and the books about it.
//
// It owns four things:
//
//   - the Region: one memfd, mapped twice. The engine's view is registered with
//     the kernel and always writable; the writers' view is what writers fill, so
//     that it can be protected against stray writes. Over wraps memory that
//     somebody else mapped; it has one view.
//   - the Pool: the ledger that knows, for each frame, who holds it. Two of the
//     holds are counts: descriptors the kernel has not completed, and un-ACKed
//     segments that refer to the frame. A frame is free when both are zero and
//     nobody was lent it.
//   - the Arena: plain memory in blocks, for bytes that are not ACKed and whose frames
//     must go back. It is mapped once; a block is held by the segments in it.
//   - the rings: Producer and Consumer, one generic implementation for the fill,
//     completion, RX and TX rings of AF_XDP, and for the rings between writers
//     and poller. Every unsafe pointer into shared memory is in ring_unsafe.go.
//
// The writers' view can be protected frame by frame (Protect), and the ledger be laid where another process can read it
// (Share): package dataplane/trap does both.
//
// It knows no packet format and makes no system call but those that map and protect memory.
//
// Goroutines: none of its own, no locks. A Pool belongs to one goroutine (the
// poller). A Producer belongs to one goroutine and the Consumer of the same ring
// to one other. A Region may be read by all; who may touch which frame's bytes is
// what the Pool records.
//
// Kernel document: https://docs.kernel.org/networking/af_xdp.html
package umem
