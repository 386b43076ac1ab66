// Package tcp is a TCP sender: a connection's state, its send queue, loss
// recovery, congestion control and timers as values. It opens connections, sends
// what writers committed to umem frames, and gives each frame back to the pool's
// books when the peer's cumulative ACK covers it.
//
// It refuses to read clocks, start goroutines, take locks, allocate after New,
// open sockets or log: time comes in as a parameter, packets go out as
// descriptors (Transmit), deadlines are values (Deadline). Whoever calls decides
// when; the dataplane's poller and a simulator on virtual time call it alike.
//
// Goroutines: a Conn, and the umem.Pool it was given, belong to one.
//
// # Segments and frames
//
// What is sent, sent again and cut is a segment (a slot of the send queue); a
// frame is only where its bytes are. A segment is not sent again while the kernel
// holds one of its own transmissions: that is put off, counted, and is no news
// about the network. SACKed is not ACKed: it is never given back.
//
// # Implemented
//
//   - RFC 9293: active open (simultaneous too), the life after it, window rules of
//     both sides, zero-window probes, TIME-WAIT. RFC 5961: challenge ACKs.
//   - RFC 7323: timestamps with PAWS, window scaling. RFC 6691: MSS.
//   - RFC 2018: SACK; RFC 8985: RACK loss detection with its reordering window;
//     RFC 6582 for peers without SACK; RFC 9937: proportional rate reduction.
//   - RFC 6298: retransmission timeout. RFC 5681 and 3465: NewReno. RFC 6928: IW10.
//   - RFC 1191, 8201: path MTU from ICMP, with the check of RFC 5927.
//
// # Departures
//
//   - The floor of the retransmission timeout is 200 ms above the smoothed RTT, as
//     in Linux, not one second (RFC 6298 section 2.4); Config.RTOMin sets it.
//   - The least MSS believed is 64 bytes, so that no peer can make packets of a byte.
//   - A segment that is ACKed in part is sent again whole, from its first byte.
//   - Zero-window probes carry one byte at sndUna-1 that the peer has already
//     (RFC 1122 section 4.2.3.6) instead of the next byte of the stream: nothing
//     has to be cut, and Linux answers every one of them.
//   - An ACK that is not acceptable in SYN-SENT is dropped; no RST answers it.
//   - What arrives out of order is not kept: it is ACKed when it comes again.
//
// # Limits
//
// No passive open, no delivery of received data, no tail loss probe, F-RTO, undo of
// spurious recoveries, ECN, keepalive, urgent data, Nagle or auto-corking.
package tcp
