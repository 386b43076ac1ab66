// Package bench compares the goodput of xsend with two others in one run, on a veth pair at an MTU of 1500.
//
// # What it owns
//
// A lab of a name of its own, and the order of the runs: in each round every contender runs once, and the
// next round starts with another one, so that what else the machine does falls on all of them. Medians and
// ratios within a round are reported, since the same command moves by a third between batches.
//
//	xsend     "xsend send" of a file
//	sendfile  the kernel's sendfile(2) of the same file, congestion control cubic, TSO and GSO off
//	raw       frames of the same size through the AF_XDP socket as fast as it takes them, the receiver
//	          dropping each one at its first look: what any sender over this socket can reach at most
//
// Both TCP contenders send to the same receiver: "xsend sink" without hashing. Each contender and the receiver
// is a process of its own. The raw contender's rate is that of the payload its frames would carry.
//
// # What it refuses
//
// To compare what was not paired: there is no stored baseline.
//
// # Goroutines
//
// Run returns when all it started has ended.
package bench
