// Package late is a dataplane.Port around another one that hands completions on late. On a link where every completion is
// immediate (veth, and copy mode generally) a poller that takes an ACK for the end of a transmission shows nothing; behind
// this port it does, as it would behind a NIC that is slow to say that it has read a frame.
//
// It owns the delay and nothing else: every descriptor reaches the port inside when it is submitted, and everything but
// completions passes through. Nothing is lost, and nothing is invented.
//
// Like any port it is for the poller's goroutine; only Wake may be called by others. Unlike others it allocates while it
// works: it is for demonstrations and tests.
package late
