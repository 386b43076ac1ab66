package hw

import "errors"

// Sentinels for [errors.Is]. The error that wraps one names the subject, the cause and the remedy.
var (
	// ErrNoInterface means that no interface of that name or index is in this network namespace.
	ErrNoInterface = errors.New("no such interface")
	// ErrLinkDown means that the interface is administratively down.
	ErrLinkDown = errors.New("interface is down")
	// ErrNoCarrier means that the interface is up and its link isn't.
	ErrNoCarrier = errors.New("no carrier")
	// ErrNotEthernet means that the interface has no 6-byte link address to send from.
	ErrNotEthernet = errors.New("not an Ethernet interface")
	// ErrNoRoute means that the kernel knows no way to the destination, or one that forbids it.
	ErrNoRoute = errors.New("no route")
	// ErrLocalDestination means that the destination is an address of this host.
	ErrLocalDestination = errors.New("the destination is this host: AF_XDP sends on a NIC")
	// ErrNotUnicast means that the destination is a group or no address at all; TCP has one peer.
	ErrNotUnicast = errors.New("not a unicast destination")
	// ErrNoZone means that a link-local address came without the interface it is valid on.
	ErrNoZone = errors.New("link-local address without a zone")
	// ErrNoSource means that the source address isn't one of this host's, can't be used yet, or that
	// there is none to choose.
	ErrNoSource = errors.New("no usable source address")
	// ErrNoNeighbour means that the next hop didn't answer ARP or Neighbour Discovery in time.
	ErrNoNeighbour = errors.New("no neighbour")
	// ErrPortInUse means that a socket of this host holds the local port.
	ErrPortInUse = errors.New("local port already in use")
	// ErrNoHost means that a host name has no address of the wanted family.
	ErrNoHost = errors.New("no address for host")
)
