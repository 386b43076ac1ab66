// Package hw asks the kernel what a sender has to know before and while it sends: the NIC's facts, the
// route to a destination, the source address, the next hop's MAC address, and every change of them.
//
// # What it owns
//
// Questions to rtnetlink (RTM_GETLINK, RTM_GETROUTE, RTM_GETADDR, RTM_GETNEIGH), to the ethtool ioctl, and to
// generic netlink (family "netdev": what a driver claims of XDP);
// the request that makes the kernel resolve a neighbour (NTF_USE); a kernel TCP socket that keeps a local
// port from being taken; the list of capabilities that AF_XDP asks for. [Watch] follows link, route and
// neighbour while connections live.
//
// # What it refuses
//
// It sends no frame and speaks neither ARP nor Neighbour Discovery: the kernel does, as for any other flow
// (RFC 826, RFC 4861). It refuses destinations that leave through no Ethernet NIC: this host, loopback,
// tunnels, multicast, broadcast.
//
// # Goroutines and network namespaces
//
// The namespace is the calling thread's. Every function opens its sockets in the goroutine that calls it,
// so a caller that has moved its thread to another namespace keeps it locked
// ([runtime.LockOSThread]) until the function returns. [NewWatch] opens all its sockets before it starts
// its two goroutines, which then work in that namespace wherever they run. [HostResolve] asks Go's
// resolver, which answers from the namespace of whichever thread it runs on. /sys shows the namespace of
// its mount: it is believed only where it describes the same interface.
//
// All functions may be called from several goroutines; so may the methods of Watch.
//
// # Limits
//
// The route is asked for without protocol and ports, so policy rules that match on those, and multipath
// hashing over them, may choose differently for a kernel socket. Route questions leave VRFs to the rules.
// Interfaces are known by their index: one that is deleted and made again is another one.
package hw
