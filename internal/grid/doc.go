// Package grid measures xsend against the kernel's TCP on the lab's wire: the same path, the same receiver, the
// same losses, in turn.
//
// # What it owns
//
// One lab with a wire for the whole run. A cell is a rate of loss, an RTT and a congestion control; in a cell's
// turn both senders run once, one right after the other, and the next turn begins with the other one. Turns of
// one cell are as far apart as the grid allows, so that what else the machine does falls on all cells alike.
//
//	xsend   "xsend send --pattern -C NAME"
//	linux   the kernel's TCP: write(2) of the same pattern, TCP_CONGESTION set to NAME and read back
//
// Both send to the kernel's receiver at the other end, until the wire has lost a number of packets or the time
// is over. Goodput is what the receiver's program has read, over the time since its first byte; whatever the
// senders think doesn't count. Packets are lost by their number from a seed, the same for both senders of a turn and
// another one in the next turn.
//
// Buffers of both kernels are made large enough for any path, and the sender's kernel remembers nothing from one
// connection to the next; both are settings of the lab's namespaces.
//
// With Config.RealTime all of them have real-time priority, the kernel's sender too: on a machine with other work the
// kernel's TCP would win by doing most of its own in interrupts, which wait for nobody.
//
// # What it refuses
//
// A turn in which a packet got lost that nobody asked to lose: it is void, and run again. To go on with the
// results of another version or with other settings.
//
// # Goroutines
//
// Run and Fair return when all they started has ended.
package grid
