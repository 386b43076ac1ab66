package afxdp

import (
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
)

// Kick implements dataplane.Port. It looks at the kernel's flag after Tx has
// published, because the kernel sets the flag and then looks at the ring once
// more: the other order can miss the wakeup. In copy mode the flag is always set,
// and only what is unsent counts.
func (s *Socket) Kick() dataplane.Kick {
	if s.tx.Pending() == 0 || s.onDemand && !s.tx.NeedWakeup() {
		s.counters.Idle++
		return dataplane.KickIdle
	}
	return s.counters.Count(ring(s.fd))
}

// ring is sendto(fd, NULL, 0, MSG_DONTWAIT), the doorbell. Raw: see the package
// comment for what that buys and costs. It cannot block: MSG_DONTWAIT, and the
// lock that it takes in the kernel is contended only by another doorbell.
func ring(fd int) unix.Errno {
	_, _, errno := unix.RawSyscall6(unix.SYS_SENDTO, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
	return errno
}

// wakeReceiver is recvfrom(fd, NULL, 0, MSG_DONTWAIT): the doorbell of the fill
// ring. Whether it helped shows in the RX ring.
func wakeReceiver(fd int) {
	_, _, _ = unix.RawSyscall6(unix.SYS_RECVFROM, uintptr(fd), 0, 0, unix.MSG_DONTWAIT, 0, 0)
}
