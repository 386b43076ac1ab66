// Package probe is what "xsend probe" does: it finds out what an interface can do for AF_XDP, beside what its driver
// claims, by trying.
//
// # What it owns
//
// The facts of an interface, the claims about it, the tries, and for each refusal its reason and the command that
// would fix it. Abilities are tried on the interface itself: a program is attached and taken off, sockets are bound and
// closed, and no frame is sent. Quirks of the kernel are tried with frames on a veth pair in two network namespaces
// without names, which are gone with the thread that made them, however the process ends.
//
// # What it refuses
//
// To touch a program that is attached: then nothing is attached and no queue is put into zero-copy, which could stop
// its traffic. To attach a generic program where LRO or hardware GRO are on: the kernel switches them off for it and
// leaves them off. To leave anything changed: what the interface is like is read before and after, features that are
// different are asked for again, and every difference that is left is reported.
//
// # Goroutines
//
// Run works on the caller's goroutine, in the network namespace of its thread, except for the quirks, which have a
// thread of their own that ends with them.
package probe
