package xsk

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
)

func TestKickOf(t *testing.T) {
	for errno, want := range map[unix.Errno]dataplane.Kick{
		0:               dataplane.KickOK,
		unix.EAGAIN:     dataplane.KickAgain,
		unix.EINTR:      dataplane.KickAgain,
		unix.ENOBUFS:    dataplane.KickAgain,
		unix.ENOMEM:     dataplane.KickAgain,
		unix.EBUSY:      dataplane.KickDropped,
		unix.ENETDOWN:   dataplane.KickDown,
		unix.EINVAL:     dataplane.KickDead,
		unix.ENXIO:      dataplane.KickDead,
		unix.EBADF:      dataplane.KickDead,
		unix.EOPNOTSUPP: dataplane.KickDead,
	} {
		if got := KickOf(errno); got != want {
			t.Errorf("%v: %v, want %v", errno, got, want)
		}
	}
}

// Every number that the kernel could answer means something, and only those of
// the table mean that the socket lives.
func TestKickOfUnknownIsDead(t *testing.T) {
	alive := 0
	for e := unix.Errno(0); e < 4096; e++ {
		switch k := KickOf(e); k {
		case dataplane.KickDead:
		case dataplane.KickIdle:
			t.Errorf("errno %d is idle: a system call was made", e)
		default:
			alive++
		}
	}
	if alive != 7 {
		t.Errorf("%d error numbers leave the socket alive, want the 7 of the table", alive)
	}
}

func TestCountersCount(t *testing.T) {
	var c Counters
	for _, e := range []unix.Errno{0, 0, unix.EAGAIN, unix.EBUSY, unix.ENETDOWN, unix.EINVAL, unix.EAGAIN} {
		if k := c.Count(e); k != KickOf(e) {
			t.Errorf("%v counted as %v", e, k)
		}
	}
	want := Counters{OK: 2, Again: 2, Dropped: 1, Down: 1, Dead: 1, Last: unix.EINVAL}
	if c != want {
		t.Errorf("%+v, want %+v", c, want)
	}
	if c.Calls() != 7 {
		t.Errorf("%d calls, want 7", c.Calls())
	}
}
