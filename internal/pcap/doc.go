// Package pcap writes what the engine sent and received to a pcapng file. Nothing else can: neither tcpdump
// nor a qdisc on the sending host sees AF_XDP transmissions.
//
// # What it owns
//
// The file, with one interface description for what was sent and one for what was received; taps, one per
// queue, that the pollers fill; a goroutine that empties them. Packets are whole, times are in nanoseconds.
//
// # What it refuses
//
// Nothing of the poller's: a packet that its tap has no room for is counted there and missing here. When the
// file can't be written, taps go on being emptied and Close returns the error.
//
// # Goroutines
//
// One, from Create to Close. Tap may be called from any goroutine.
//
// # Limits
//
// A packet's time is that of the poller's pass that put it on the ring, or found it there. Differences between
// packets of one queue are exact; the time of day is right to about a millisecond. What the poller put on
// the ring has not necessarily left: what the wire saw only a capture at the other end can tell. Packets of
// several queues are in the order in which they were collected, not of time.
//
// Format: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html.
package pcap
