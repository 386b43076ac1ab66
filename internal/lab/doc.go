// Package lab makes two network namespaces joined by a veth pair, or by a wire that impairs what passes, to send
// between without touching the host's network: NAME-a holds the sender's end, NAME-b the receiver's.
//
// # What it owns
//
// The two namespaces, bind-mounted under /run/netns so that "ip netns" sees them; the veth pair, which
// is born inside them and never visible in the default namespace; its addresses (10.77.0.1 and
// 10.77.0.2, fd77:7873::1 and fd77:7873::2, without duplicate address detection), MTU and offloads; and
// a generic XDP program at the receiver that drops packets on request. All of it outlives the process
// that made it and is gone after Down. No program such as ip or ethtool is needed: only rtnetlink, the
// ethtool ioctl and bpf(2).
//
// # What it refuses
//
// A second lab of the same name (ErrExists), and to remove a namespace that it did not make: each one
// carries a mark, the alias of its loopback interface. The directory /run/netns, which belongs to the
// system, is created when missing and stays, as with "ip netns".
//
// # Offloads
//
// With checksum offload on, veth hands over frames whose checksum nobody ever computed and the peer
// believes them: a sender's wrong checksum stays hidden, and a kernel peer's replies look wrong to a
// program that verifies them. Therefore transmit checksums, TSO, GSO and GRO are off at both ends unless
// Config asks for them.
//
// # Loss
//
// The program is attached in generic mode, since a native one would switch TSO and GSO of the other end
// off as a side effect, and by rtnetlink instead of by a bpf_link, which would end with the process that
// made it. It is attached when loss is first asked for: a generic program costs each packet a copy.
//
// # VLAN
//
// With Config.VLAN the wire between the ends is that of an 802.1Q VLAN: BPF programs of the traffic control
// layer tag what the kernel at either end sends, and drop what arrives without the tag. It takes no 8021q
// module. What AF_XDP sends passes none of them: its sender tags for itself, and the XDP programs of both ends
// see the tags. With the offload of tags that veth offers they would travel beside the frame, so it is off. A wire
// passes tags on as they are: it numbers, marks and corrupts what is behind one as it does untagged packets.
//
// # Wire
//
// With Config.Wire there are two veth pairs, and between them, in a namespace NAME-w, a process that forwards frames
// (package netem). It is a copy of this program, or Config.Program, in a session of its own; it outlives the process
// that made the lab and ends before the lab does, when it is asked, or killed through a descriptor of
// the process that holds the control socket, so that no other one can be hit. It ends by itself when its
// interfaces are deleted. A loss program at the receiver works behind a wire too.
//
// # Goroutines and threads
//
// A network namespace belongs to an OS thread. Do locks the caller's goroutine to its thread, moves the
// thread, and moves it back before it unlocks; a thread that can't be moved back stays locked and dies
// with its goroutine, so no other goroutine ever runs in the wrong namespace. A Lab has no state besides
// its name: its methods may be called concurrently.
//
// # Limits
//
// Linux 5.12 or newer (atomics in BPF), root or CAP_SYS_ADMIN with CAP_NET_ADMIN and CAP_BPF. IPv6 is
// left out where the kernel has none, and below an MTU of 1280 bytes
// (https://www.rfc-editor.org/rfc/rfc8200#section-5).
package lab
