// Package dataplane moves TCP connections over one NIC queue: it joins a Port
// (an AF_XDP socket, or something that behaves like one), a umem.Pool and the
// connections of package tcp, and it keeps the writers' contract.
//
// It owns the Poller: which descriptor belongs to which connection, demultiplexing,
// timers, the rings between writers and poller, budgets, the doorbell, the
// watchdog and the counters. It decides nothing about TCP and nothing about the
// NIC, and it never looks into a payload.
//
// # The writers' contract
//
// A Writer reserves a frame for a Stream, fills it, and commits it with a cookie
// of its own. Exactly one Release answers each commit, in the order in which
// frames become free. With ReleaseAck, the only mode that is right, it comes when
// the peer's cumulative ACK covers every byte and the kernel has completed every
// transmission of the frame; from then on the bytes are the writer's again. The
// other modes tell the writer too early on purpose, so that a test can show what
// that costs.
//
// Each stream has a budget of frames, so that a peer that stops reading cannot
// take the memory that other streams need. Where tcp.Config.Hold says so, what such a
// peer has not ACKed is copied to an arena, and its frames come back with the reason
// Demoted: they are the writer's, but a flush must wait for Stream.Acked as well (see
// Writer.WaitAcked).
//
// # Pipes
//
// Writer.Pipe makes an io.Writer and io.ReaderFrom of a stream, for programs that have
// bytes and not frames: Write copies, ReadFrom and SendFile read files straight into
// frames, many with one system call. Reserve and Send are the writers' contract with a
// function for each piece: it is told when the piece is done with. Flush waits for that
// of everything written, and a Mark lets other goroutines wait for their part of it.
// Done with is ACKed by the peer's TCP and out of the NIC; whether the program behind
// that TCP has read anything, TCP does not say.
//
// # Evidence
//
// With Config.Audit the poller compares payload with what was committed, before each transmission and before the
// release. With Config.Trap a frame can be written only while it is its writer's (package trap).
//
// # Goroutines
//
// The Poller has none. Its methods belong to one goroutine, whoever calls Run or,
// in a simulation on virtual time, Step; those that others may call say so. A
// Writer belongs to one goroutine, and so does writing to the streams that were
// opened with it, through a Pipe too. Between them are single-producer single-consumer
// rings. Two goroutines in one Pipe corrupt its books; that is not detected. Only a
// Mark may be waited for anywhere.
//
// Step takes no lock, uses no channel, changes no map, reads no clock and
// allocates nothing. What needs any of these is done between two Steps: Notify,
// Rebuild, and the functions handed to Do.
//
// # Limits
//
// One queue, one descriptor for each packet. A packet that arrives on the queue of
// another poller is handed over through a Directory, headers only, and counted.
package dataplane
