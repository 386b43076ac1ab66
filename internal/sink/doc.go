// Package sink is a kernel TCP receiver: it accepts connections, reads each to its end and says how many
// bytes came, how fast, and what their SHA-256 is. It is the independent judge of what xsend sends, so it
// shares no code with the sender, except, to compare with, what the pattern is.
//
// # What it owns
//
// One listening socket (plain TCP, never MPTCP) with the options that the receiver's behaviour depends on,
// the accepted connections, and the output file.
//
// # Verdicts
//
// xsend throws away what its peer says, so that a sender could not learn from its connection what became of its bytes.
// With Config.Verify a sink compares each connection with the pattern, and a connection that begins with the line
// "xsend-verdict/1" is a question instead: the addresses of senders, ADDRESS:PORT, one a line, and an empty line. The answer
// is Verdicts as one JSON object. A question has at most 256 addresses and 16 KiB, and 5 s for everything.
//
// # What it refuses
//
// To write several connections to one writer, where they would be mixed; to go on with a connection whose
// bytes can't be written.
//
// # Goroutines
//
// Run accepts on the caller's goroutine and returns when all it started has ended. Each connection has one
// goroutine that reads and, unless it only counts, a second one that hashes, compares and writes; between
// them go a few large buffers, so that the read never waits for the hash as long as the hash keeps up on
// average. Config's functions are called one at a time, except BeforeRead.
//
// # Limits
//
// Linux only. Times are of this machine's clock and start at accept, which the kernel may have completed
// earlier. Every result is kept until Run returns.
package sink
