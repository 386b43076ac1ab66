// Package transfer is what "xsend send" does with a dataplane/session: it opens what is to be sent, connects,
// fills frames, takes releases back, measures, and reports.
//
// # What it owns
//
// The sources (a regular file, standard input or another stream, a pattern), one pump per connection, the
// hash of what was sent, samples of the progress, and the report with its exit code. The report's JSON names
// are stable as long as Schema doesn't change.
//
// # What it refuses
//
// To let part of a stream look like the whole: a source that fails, or a file that is shorter than when it
// was opened, ends its connection with a RST and never with a FIN. A file that grows is sent up to the size
// it had when it was opened.
//
// # Done
//
// A stream is done when the peer ACKed our FIN and every frame came back. The peer's own FIN is awaited for
// the linger time; if it doesn't come, that is worth a line and no error. TIME-WAIT isn't waited for.
//
// # Copies
//
// A regular file is read with preadv(2) into many frames at a time: one copy, from the page cache to the
// UMEM. Pipes and the like are read with readv(2) in the same way, and what came is committed at once, a
// partly filled frame included.
//
// # Goroutines
//
// Run returns when all it started has ended. Each connection has a goroutine of its own, which reads, fills,
// commits and takes releases; with a hash it has a second one that sums the frames before they are committed.
// One more samples the progress. Config's functions are called from several goroutines.
package transfer
