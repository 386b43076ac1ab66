// Package settings changes what a NIC is set to for the time of one run, and puts it back: features, channels, rings,
// coalescing, pause frames and the MTU.
//
// # What it owns
//
// The snapshot of an interface: what package hw doesn't ask for, features as wanted, active and fixed, the indirection
// table and key of receive-side scaling, ntuple rules, and the knobs of NAPI in /sys. The journal of what has to be put back,
// on disk before the first change. The lock that makes it one run per interface. The guardian, a process that puts things back
// when the run was killed.
//
// # Order
//
// Features are changed first: LRO and the like decide which channels and MTU a driver takes. Then channels, since a driver
// that changes their number makes their rings anew; then rings; then coalescing, which several drivers keep per ring
// and lose with it; then pause, which may negotiate the link again; the MTU last, since it allocates the buffers of
// all rings that are there by then. Putting back goes the other way round, and then sees to what nobody
// asked to change: indirection, rules, NAPI. It is repeated while something differs that can be set, since a feature may be had again
// only after the one that it depends on.
//
// Steering comes last, since channels decide which queues and which table there are: a rule for the peer where one queue is to
// get its segments and the NIC keeps rules, else the indirection table, else an error. A way that the driver refuses, or takes and doesn't show
// when it is read back, is taken back before the next one is tried.
//
// # What it believes
//
// What is read back. ETHTOOL_SFEATURES says by a positive number that it refused; rings, channels and
// coalescing may be rounded or cut. A feature that isn't as asked for is an error; a number that became another one is reported as
// clamped.
//
// # What it refuses
//
// A second run on an interface ([ErrHeld]); to take a snapshot of settings that a dead run left behind ([ErrLeftOver]);
// and, unless forced, changes that can cut the link or the address of the interface that the machine is reached by ([ErrForce]).
//
// # Goroutines and network namespaces
//
// The namespace is the calling thread's, as in package hw: a caller whose thread was moved keeps it locked until the
// function returns. The guardian is started from that thread and so lives in its namespace. No goroutine is left running.
// The methods of a [Run] are called one at a time.
//
// # Limits
//
// What others change during the run is put back as well. Wake-on-LAN, speed, private flags and FEC are neither changed nor
// looked at. An indirection table that is as the kernel makes it by default is put back by asking for the default; that somebody
// may have chosen the same one by hand, the kernel doesn't tell. Interfaces are locked by index, within one state directory. An MTU below 1280 makes the kernel forget IPv6
// addresses, which nobody puts back: it needs force where there are any.
package settings
