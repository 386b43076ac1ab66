package dataplane

import (
	"time"

	"github.com/xsend/xsend/umem"
)

// Port is one NIC queue as the poller sees it: rings and a doorbell. Behind it
// are the native AF_XDP socket, github.com/asavie/xdp, or a simulated kernel;
// the poller and the engine cannot tell them apart. Methods are called once per
// batch, never per packet, from the poller's goroutine only, and do not allocate.
//
// A Port moves addresses; it keeps no books. Which frame may be given to it, and
// whether an address that it returns is to be believed, is the pool's business.
type Port interface {
	// Caps says what the port can do. It does not change during the port's life.
	Caps() Caps

	// TxRoom reports how many of n descriptors TX would accept now.
	TxRoom(n int) int
	// Tx puts descriptors on the TX ring and publishes them, all of them: the
	// caller asked TxRoom first. Nothing is promised to leave before a Kick.
	Tx(descs []umem.Desc)
	// TxUnsent is the number of published descriptors that the kernel has not
	// taken off the TX ring yet.
	TxUnsent() int
	// Reap takes completed addresses, at most len(addrs), and returns how many.
	Reap(addrs []uint64) int

	// FillRoom reports how many of n addresses Fill would accept now.
	FillRoom(n int) int
	// Fill puts frame addresses on the fill ring and publishes them, all of them.
	Fill(addrs []uint64)
	// Rx takes received descriptors, at most len(descs), and returns how many.
	Rx(descs []umem.Desc) int

	// Kick rings the doorbell if the kernel asks for one: after Tx, and again
	// while TxUnsent is not zero.
	Kick() Kick
	// Wait blocks until something was received, until Wake is called, or for at
	// most d. It may return early.
	Wait(d time.Duration)
	// Wake makes a Wait in another goroutine return; the only method that another
	// goroutine may call.
	Wake()

	// Corrupt reports that a ring index of the kernel's was nonsense; the port is
	// of no use any more.
	Corrupt() bool
	// Close gives rings and socket back to the kernel. Frames that it still held
	// do not come back.
	Close() error
}

// Caps is what a port can do, so that a configuration it cannot carry is refused
// before a byte moves.
type Caps struct {
	Binding    string // "native", "asavie", "simnet"
	Queue      int
	ZeroCopy   bool // as XDP_OPTIONS reports it, not as asked
	SG         bool // packets of several descriptors
	MaxSegs    int  // descriptors in a packet, 1 without SG
	TxMetadata bool // checksum requests in front of the packet
	TxRing     int  // entries
	RxRing     int
	FillRing   int
	Completion int
}

// Kick is what the doorbell answered: the errno table of AF_XDP as the poller
// needs it.
type Kick uint8

const (
	// KickIdle: no system call was needed.
	KickIdle Kick = iota
	// KickOK: the kernel took what it could; TxUnsent tells what is left.
	KickOK
	// KickAgain (EAGAIN, EINTR, ENOBUFS): budget used up, completion ring or socket
	// buffer full. Reap, and kick again in the next pass.
	KickAgain
	// KickDropped (EBUSY): a packet was completed and not sent (link without
	// carrier, packet larger than the MTU). A loss, which TCP repairs.
	KickDropped
	// KickDown (ENETDOWN): the interface is down, nothing was consumed. Frames
	// stay where they are; go on when it is up.
	KickDown
	// KickDead (EINVAL, ENXIO, EBADF, EOPNOTSUPP and everything not known): the
	// socket will not send again. Rebuild it.
	KickDead
)

// String is the name used in counters and reports.
func (k Kick) String() string {
	return [...]string{"idle", "ok", "again", "dropped", "down", "dead"}[min(int(k), 5)]
}
