// Package simnet is a network in memory, on virtual time: the kernel's end of the
// rings with a NIC that reads between submission and completion, a wire in each
// direction, and a TCP peer that checks every byte. The poller, the engine and the
// rings under test are the real ones.
//
// It owns virtual time (World), the order in which things happen, and the count of
// what went wrong: bytes that changed under the NIC's eyes, descriptors that were
// never legal, stream bytes that are not what the writer promised. It refuses to be
// kind: what a kernel, a NIC or a path may do, it does when its seed says so.
//
// Its tests are scenarios (kinds of trouble, which the seed makes particular), each with
// a proof that the trouble happened; endings; controls, which release frames wrongly and must
// be found; an attacker; two flows that share; and golden files of traces and goodput.
//
// Everything comes from one seed: the same seed gives the same events in the same
// order, which World.Hash proves. No goroutines, no clocks, no sockets. A World and
// everything made with it belong to one goroutine.
//
// The peer is written against the RFCs (9293, 2018, 2883, 7323, 5681 section 4.2),
// not against package tcp, and shares only the wire format with it.
//
// Limits: one NIC queue per Kernel; linear descriptors only; no TX metadata. A
// duplicate completion comes at once behind the true one, and an invented one names
// a frame that is not out: a kernel that lied about a frame that is out could not be
// told from one that is done with it, by anybody.
package simnet
