// Package netem is a wire: it forwards frames between two interfaces and does to them what real paths do.
// Kernels without a netem qdisc can't, and a qdisc sees nothing of what AF_XDP sends.
//
// # What it owns
//
// Two packet sockets, one line per direction between them, and a control socket by which the wire is asked
// and ended. A line does, in this order: loss, a queue in front of a bottleneck, marks of congestion (ECN) where that is long, delay with jitter, holding
// back (reordering), duplication. What it does to a packet is a function of a seed and the packet's number,
// so that two senders meet the same pattern: number n is dropped when the upper half of SplitMix64's n-th
// output for the seed is below the rate, just as the lab's loss program decides it.
//
// # Which packets are numbered
//
// Those that carry something: TCP segments with payload, UDP, and whatever isn't recognised. Not ARP, ICMPv6 and IPv6
// packets with hop-by-hop options, which keep neighbours known; not SYN, and no segment without payload
// unless Impairment.All says so. Packets without a number pass, in order, and share queue and delay. At a loss
// of 100 % nothing passes at all. An 802.1Q tag stays in its frame and changes nothing of this; behind two of them nothing
// is recognised.
//
// # What it refuses
//
// To lose a packet silently. What the kernel or the wire itself drops without having been asked to is counted
// apart (Direction.Unintended) and makes a measurement worthless. It imports nothing of ours: it is what
// senders are measured with.
//
// # Time
//
// A line is pure: time is a parameter. Run reads the clock once per batch; when a packet came is what the kernel
// stamped it with, so that a pass that comes late puts nothing off but the packet itself. It sleeps in ppoll(2)
// with a timer slack of a nanosecond and, where it is allowed, real-time priority, wakes at most every 100 µs while
// packets pass, and counts how late each one left: none is early. On two busy processors the mean is 50 to 100 µs.
//
// # Goroutines
//
// Run has one goroutine, locked to its thread, that forwards, and one that answers the control socket, one
// client at a time; a lock keeps them apart except while the first one sleeps.
//
// # Limits
//
// Linux 6.5 or newer (SO_PEERPIDFD), CAP_NET_RAW. About 150,000 packets a second on one CPU. Transmit checksums, TSO, GSO and GRO
// must be off at all ends: a packet socket takes frames as they are.
package netem
