// Package asavie is a dataplane.Port over github.com/asavie/xdp v0.3.3: the second
// opinion beside package afxdp when one of the two misbehaves on a NIC, and a
// baseline.
//
// The socket, its UMEM and its rings are that library's, made by its NewSocket and
// moved by its Transmit, Receive, Fill and Complete. Its allocator (GetDescs) is
// not used: it takes a completed frame for free, which is the mistake that xsend is
// there to avoid. The UMEM is taken whole with one GetFrame and laid under a
// umem.Region. Its Poll is not used either: it completes frames and forgets which.
//
// What the library cannot express, and where it comes from instead:
//
//   - Which frames completed. Complete counts and drops the addresses. They are
//     read, just before, through a second, read-only mapping of the completion
//     ring. (Matching them in order of submission would do on veth; but a packet
//     that is dropped completes at once, before those that a NIC still holds.)
//   - Giving the rings back. Close leaves all four mapped, and NewSocket does so
//     too where it fails; a mapped ring keeps socket and queue for ever. The
//     mappings are found in /proc/self/maps and unmapped here.
//   - Errors. The library panics where sendto answers anything but EAGAIN and
//     EBUSY. The panic is caught and the number taken from its text; what has none
//     makes the port dead. EAGAIN and EBUSY it swallows: KickAgain then stands for
//     "something is unsent", and KickDropped never comes.
//   - Copy or zero-copy: a global variable of the library, set and put back under
//     a lock while NewSocket runs.
//   - Sleeping until something arrives: ppoll on its file descriptor.
//
// What it refuses with ErrUnsupported: scatter-gather, TX metadata, a TX budget,
// huge pages, UMEM of 4 GiB and more, and CPUs that reorder stores, because the
// library uses plain loads and stores on words that it shares with the kernel.
//
// The region cannot be kept over a new Open: each NewSocket maps its own UMEM. So
// a queue over this port cannot be rebuilt under its connections. Close leaves the
// memory mapped, so that a writer who is late writes into nothing that matters;
// Free gives it back.
//
// Goroutines: none of its own. A Socket belongs to one goroutine; only Wake may be
// called by others.
package asavie
