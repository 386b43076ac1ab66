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
// There are two layouts. Linear: a packet is one descriptor, with its headers in front of the payload in the writer's
// frame; what cannot be sent in place is copied once. Scatter-gather (Config.MaxSegs): headers are in a frame of the
// engine's, payload is where its writer put it, at any byte and over several frames.
//
// # Implemented
//
//   - RFC 9293: active open (simultaneous too), the life after it, window rules of
//     both sides, zero-window probes, TIME-WAIT. RFC 5961: challenge ACKs.
//   - RFC 7323: timestamps with PAWS, window scaling. RFC 6691: MSS.
//   - RFC 2018 and 2883: SACK and DSACK; RFC 8985: RACK loss detection with a reordering
//     window that DSACKs widen, and the tail loss probe; RFC 5682: F-RTO with SACK;
//     RFC 3522, 3708 and 4015: needless recoveries are seen by timestamps and DSACKs, and undone;
//     RFC 6582 and 3042 for peers without SACK; RFC 9937: proportional rate reduction.
//   - RFC 6298: retransmission timeout. RFC 6928: IW10.
//   - RFC 9438: CUBIC, RFC 9406: HyStart++ for the first slow start of both. RFC 5681
//     and 3465: NewReno, the restart after a pause. Fixed: none, on
//     purpose. BBRv3 and its delivery rate samples: draft-ietf-ccwg-bbr as it stood in August 2026.
//   - RFC 3168: explicit congestion notification, where Config.ECN asks for it, with the milder
//     reduction of RFC 8511 in congestion avoidance.
//   - RFC 1191, 8201: path MTU from ICMP, with the check of RFC 5927; RFC 4821 section 7.7: paths
//     that drop large packets and say nothing.
//   - Limits for a peer that makes no progress (Config.Hold): what it holds is copied out of its frames, or it is reset.
//   - Keepalive (RFC 9293 section 3.8.4), off unless asked for; the user timeout of RFC 5482, ours
//     alone: its option is neither sent nor read.
//   - Checksum offload by TX metadata, and a canary that finds out whether it is done, with the
//     garbage byte of RFC 1122 section 4.2.3.6 (Config.Checksum, Config.Canary).
//   - Pacing of every congestion control but Fixed, for which Config.Rate alone sets a pace, a
//     millisecond's worth at a time.
//
// # Departures
//
//   - The floor of the retransmission timeout is 200 ms above the smoothed RTT, as
//     in Linux, not one second (RFC 6298 section 2.4); Config.RTOMin sets it. Its backoff
//     ends with the first new ACK, as in Linux, not with the next measurement
//     (section 5): a lossy path without timestamps would stand still for minutes.
//   - Slow start grows by all that an ACK covers, as in Linux, not by two segments at
//     most (RFC 3465 section 2.3); after a timeout by one.
//   - Every partial ACK of a peer without SACK starts the retransmission timer anew, as RFC 6298
//     section 5 says and Linux does; RFC 6582 section 3.2 wants it for the first alone.
//   - SYNs end after 127 seconds, as in Linux, not after three minutes (RFC 9293 section 3.8.3);
//     Config.SynRetries says how long.
//   - Of segments sent at the same time, those behind one that RACK thinks may still be on
//     its way wait with it (RFC 8985 section 6.2).
//   - A tail loss probe waits 2 ms longer than RFC 8985 section 7.2 says, as in Linux: on a path
//     of microseconds a busy machine needs longer than two round trips to answer.
//   - DSACKs count only as long as there are fewer than retransmissions: the rest is the
//     network's own duplicates. An undo counts them too, as Linux does, and does not look for the
//     retransmission that each is of (RFC 3708 section 2).
//   - An undo restores the window as it was, as in Linux, and leaves the retransmission timer to
//     the measurements that follow (RFC 4015 has a smaller window and a more patient timer).
//   - A window is paced over half a round trip, not the 0.8 of one that Linux takes with sch_fq:
//     at 1 to 3 % loss that costs 4 to 9 % of goodput, this 0 to 3 %. Without Config.Rate the initial
//     window goes at once under BBR too, and time lost behind a packet's turn is made up, 50 ms at
//     most (section 5.6.2 of the BBR draft paces from the first packet on, and makes nothing up).
//   - BBR is told of losses with the next ACK, all together (section 5.5.10.2 of the draft: one by one): of
//     those of one ACK the first that is too much counts, and those that a timer found wait for it.
//     What a needless recovery must not change is saved when it begins (section 5.5.11.1), and not
//     again at the first loss of each round trip (section 5.5.10.2): what changes later in it is its own
//     doing. After a timeout the window is one segment, whatever is still in flight (section 5.6.4.4:
//     that, and one). The in-flight bound of the last probe is reached when it has no room for a segment
//     (section 5.3.3.9: when as much is in flight): windows are bytes here.
//   - BBR takes a mark for a loss, once in a window (section 3.7 wants it to be taken for congestion and
//     says no more): in Startup the pipe counts as full at the first, a probe for bandwidth is over and
//     the bound is what was in flight, and else the short-term model falls, at the end of the round trip,
//     to what was delivered, by three tenths at most. Fixed heeds no mark.
//   - HyStart++ has no limit per ACK where NoPacing is set (RFC 9406 section 4.3, L).
//   - F-RTO without SACK (RFC 5682 section 2) is left to timestamps. With SACK, a duplicate ACK
//     before that of the retransmission ends it; section 3.1 waits on.
//   - A loss halves the congestion window where that is what limited us, as in Linux; what is
//     in flight (RFC 5681 section 3.1, equation 4) is up to a segment less. NewReno leaves whole
//     segments of it, for a mark too, and counts the first ACK after a reduction in congestion
//     avoidance, both as in Linux: after a mark that is the first which covers data that told of it.
//   - CUBIC takes 0.15 of the window for a mark in congestion avoidance (RFC 8511 section 3.1), not
//     the 0.3 of a loss (RFC 9438 section 4.6, for both), and what Reno would have grows in its
//     estimate by the alpha of a loss (section 4.3).
//   - A mark reduces the window of NewReno and CUBIC in proportion to what is delivered, as in Linux,
//     not at once (RFC 3168 section 6.1.2), and not to less than two segments: the wait for a timeout
//     at one is left out. A loss in the same window takes no more.
//   - ECN is given up, which is any sender's right, where a loss comes before anything marked as
//     capable is known to have arrived (some paths drop it), and where ten windows in a row
//     come back with an echo in every ACK.
//   - After four timeouts in a row, and each one that follows, a packet is tried at the next lower of
//     1500, 1280 and, over IPv4, 576 bytes. Nothing is probed upwards (RFC 4821 section 7): after ten minutes the
//     link's MTU is tried again, at the risk of four more timeouts.
//   - The least MSS believed is 64 bytes, so that no peer can make packets of a byte, and
//     the least IPv4 path MTU 576: paths below it are not served (RFC 1191 section 3).
//   - A segment that is ACKed in part is sent again whole, from its first byte.
//   - Zero-window probes carry one byte at sndUna-1 that the peer has already
//     (RFC 1122 section 4.2.3.6) instead of the next byte of the stream: nothing
//     has to be cut, and Linux answers every one of them.
//   - Segments go out as they were committed: small ones go when the
//     window has room for them (no Nagle, RFC 9293 section 3.7.4; Queue is PUSH), and are joined, while they
//     wait, only where packets have several descriptors.
//   - An ACK that is not acceptable in SYN-RECEIVED is dropped; no RST answers it, nor
//     what arrives when the connection is closed.
//   - A segment without payload that PAWS refuses is dropped without an answer (RFC 7323
//     section 5.3): such ACKs are mostly overtaken ones, and two ends could go on for ever.
//   - A reset in CLOSING or LAST-ACK is ErrReset, and Abort sends one there (RFC 9293
//     section 3.10.5 does neither): what is not ACKed did perhaps not arrive.
//   - With Config.Hold a peer that answers zero-window probes and takes nothing is reset after a time, where
//     RFC 9293 section 3.8.6.1 lets it keep the connection for ever. 10 s after its last progress memory is
//     given back, 30 minutes after it the connection is (both can be set, and left out).
//   - What arrives out of order is not kept: it is ACKed when it comes again.
//
// # Limits
//
// No passive open, no delivery of received data, no urgent data,
// auto-corking. FIN-WAIT-2 has no timeout of its own: whoever waits for
// the peer's FIN says how long.
package tcp
