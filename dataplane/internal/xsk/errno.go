package xsk

import (
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
)

// KickOf is the errno table of sendto(MSG_DONTWAIT) on an AF_XDP socket. 0 stands
// for success. What is not in the table is KickDead: a socket that answers
// something unknown is better rebuilt than believed.
func KickOf(errno unix.Errno) dataplane.Kick {
	switch errno {
	case 0:
		// Also the answer of a queue that does not exist any more: only the
		// consumer index of the TX ring tells.
		return dataplane.KickOK
	case unix.EAGAIN, unix.EINTR, unix.ENOBUFS, unix.ENOMEM:
		// Budget used up, completion ring or send buffer full, or no memory for an
		// skb just now: nothing was lost.
		return dataplane.KickAgain
	case unix.EBUSY:
		return dataplane.KickDropped
	case unix.ENETDOWN:
		return dataplane.KickDown
	default:
		return dataplane.KickDead
	}
}

// Counters is how often each kind of answer came from the doorbell.
type Counters struct {
	Idle    uint64 // no system call was needed
	OK      uint64
	Again   uint64
	Dropped uint64
	Down    uint64
	Dead    uint64

	// Last is the last error number that was neither success nor EAGAIN; 0 if none was.
	Last unix.Errno
}

// Count adds one answer, and returns what it means.
func (c *Counters) Count(errno unix.Errno) dataplane.Kick {
	k := KickOf(errno)
	switch k {
	case dataplane.KickOK:
		c.OK++
		return k
	case dataplane.KickAgain:
		c.Again++
	case dataplane.KickDropped:
		c.Dropped++
	case dataplane.KickDown:
		c.Down++
	default:
		c.Dead++
	}
	if errno != unix.EAGAIN {
		c.Last = errno
	}
	return k
}

// Calls is the number of system calls that the answers took.
func (c Counters) Calls() uint64 { return c.OK + c.Again + c.Dropped + c.Down + c.Dead }
