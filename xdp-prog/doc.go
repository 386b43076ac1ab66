// Package xdpprog steers received frames: our flows to AF_XDP sockets, everything
// else to the kernel.
//
// It owns one XDP program (steer.bpf.c), its maps and its attachment to one
// interface. TCP segments whose destination port was added with AddPort, and ICMP
// errors that quote a TCP segment sent from such a port, go to the socket registered
// for the RX queue they arrived on:
//
//	frame                                           socket on its queue   no socket there
//	TCP to one of our ports                         redirect              drop, counted
//	ICMP 3, 11, 12 or ICMPv6 1 to 4 quoting ours    redirect              kernel
//	IP fragments                                    kernel, counted
//	cut short, or lengths that contradict           kernel, counted
//	all else                                        kernel
//
// Our segments are never passed to the kernel for want of a socket, because the
// kernel doesn't know the connection and would reset it. A drop is a loss, which TCP
// repairs; Counters tells on which queue it happened.
//
// It refuses to evict a program that is already attached, and to attach itself in a
// mode other than the one asked for. It never touches a ring, and reads no packet in Go.
// The attachment is a bpf_link: it ends with the process, kill -9 included, and leaves
// the interface to the kernel.
//
// Goroutines: none. A Program may be used by several at once. Attach must run on a
// thread of the network namespace that the interface is in; the other methods may run
// on any.
//
// Limits, each of them the kernel's business instead of ours: a third VLAN tag, IPv6
// extension headers before TCP or ICMPv6, tunnels. Fragments of our own segments reach
// the kernel, which reassembles and may reset: senders that set DF don't cause them.
// Steering goes by local port, not by address: a router must not forward connections
// whose destination port is in the map. Checksums and sequence numbers are not looked at;
// an ICMP error has to be checked against the connection by whoever acts on it
// (https://www.rfc-editor.org/rfc/rfc5927#section-4).
// Where the NIC strips VLAN tags, the program sees a frame without.
//
// Headers: RFC 791, RFC 8200, RFC 9293; quotes: RFC 792, RFC 4443. Needs Linux 5.18
// (multi-buffer XDP programs, bpf_xdp_load_bytes).
package xdpprog
