package wire

import "errors"

// What Parse and ParseICMP return. They are compared with ==, never wrapped, and cost nothing to return.
var (
	// ErrNotTCP: the frame is well formed as far as it was read, but carries something else than was asked for: ARP,
	// UDP, a third VLAN tag, an IPv6 extension header, an ICMP message that is no error about a TCP segment.
	ErrNotTCP = errors.New("wire: frame carries no TCP segment of the kind asked for: leave it to the kernel")
	// ErrShort: the frame, or the packet inside it, ends before the fixed part of a header.
	ErrShort = errors.New("wire: frame ends inside a header: drop it")
	// ErrHeader: a header contradicts itself or the frame: version, header length, total length beyond the frame, or an
	// IPv4-mapped address inside an IPv6 header.
	ErrHeader = errors.New("wire: header contradicts itself or the frame's length: drop it")
	// ErrFragment: an IPv4 fragment; reassembly is the kernel's.
	ErrFragment = errors.New("wire: IPv4 fragment: leave it to the kernel")
	// ErrChecksum: the IPv4 header, TCP or ICMP checksum is wrong. Only returned when verification was asked for.
	ErrChecksum = errors.New("wire: wrong checksum: drop the frame, or trust checksums where the sender leaves them to its NIC")
)
