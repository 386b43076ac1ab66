// Package xsk is what every port over an AF_XDP socket shares, whoever made the
// socket: what the kernel's error numbers mean, in the doorbell (KickOf) and when
// a socket is set up (Refused), and how to sleep on the socket (Waiter).
//
// It owns no socket and no ring.
//
// Goroutines: none of its own. A Waiter's Wake may be called from any goroutine;
// everything else belongs to the port's.
//
// Kernel document: https://docs.kernel.org/networking/af_xdp.html
package xsk
