package netem

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// batchSize is how many frames one system call moves at most.
const batchSize = 64

// maxFrame is the largest frame that a veth pair carries: its largest MTU with Ethernet header and VLAN tag.
const maxFrame = 65535 + etherLen + tagLen

// mmsghdr is struct mmsghdr of linux/socket.h.
type mmsghdr struct {
	header unix.Msghdr
	length uint32
}

// batch is the argument of recvmmsg(2) and sendmmsg(2): one buffer for each message.
type batch struct {
	headers [batchSize]mmsghdr
	vectors [batchSize]unix.Iovec
	control [batchSize]stamp // when each frame came
	frames  [batchSize][]byte
	due     [batchSize]Time // of each frame to send
	used    int
}

// stamp is the control message of SO_TIMESTAMPNS.
type stamp struct {
	header unix.Cmsghdr
	at     unix.Timespec
}

// newBatch returns a batch with buffers to receive into, or without.
func newBatch(receive bool) *batch {
	b := &batch{}
	for i := range b.headers {
		// Both are members of b, which lives as long as the pointer to it, and the collector doesn't move it.
		b.headers[i].header.Iov = &b.vectors[i]
		b.headers[i].header.SetIovlen(1)
		if receive {
			b.frames[i] = make([]byte, maxFrame)
			b.point(i)
			b.headers[i].header.Control = (*byte)(unsafe.Pointer(&b.control[i])) // a member of b, too
		}
	}
	return b
}

// point makes the kernel read or write frame i, which isn't empty.
func (b *batch) point(i int) {
	b.vectors[i].Base = &b.frames[i][0]
	b.vectors[i].SetLen(len(b.frames[i]))
}

// add puts a frame to send at the end.
func (b *batch) add(frame []byte, due Time) {
	b.frames[b.used], b.due[b.used] = frame, due
	b.point(b.used)
	b.used++
}

// receive fills the batch with what has come, without waiting, and returns the number of frames.
func (b *batch) receive(fd int) (int, error) {
	for i := range max(b.used, 1) { // the last call has used them
		b.headers[i].header.SetControllen(int(unsafe.Sizeof(stamp{})))
	}
	// MSG_TRUNC makes the length that of the whole frame, as it was before it was cut.
	n, err := b.call(unix.SYS_RECVMMSG, fd, 0, batchSize, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	b.used = n
	return n, err
}

// came is when frame i came, in nanoseconds of the real-time clock; 0 where the kernel doesn't say.
func (b *batch) came(i int) int64 {
	s := &b.control[i]
	if b.headers[i].header.Controllen == 0 || s.header.Level != unix.SOL_SOCKET || s.header.Type != unix.SCM_TIMESTAMPNS {
		return 0
	}
	return s.at.Nano()
}

// send sends frames from number i on and returns how many the kernel took.
func (b *batch) send(fd, i int) (int, error) {
	return b.call(unix.SYS_SENDMMSG, fd, i, b.used-i, unix.MSG_DONTWAIT)
}

// call does not tell the scheduler: the calls return at once.
func (b *batch) call(number uintptr, fd, first, count int, flags uintptr) (int, error) {
	// The conversion is in the argument list, and b is kept alive over the call: what the headers
	// point to is reachable from b.
	n, _, errno := unix.RawSyscall6(number, uintptr(fd), uintptr(unsafe.Pointer(&b.headers[first])), uintptr(count), flags, 0, 0)
	runtime.KeepAlive(b)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// pollBriefly is ppoll(2) without telling the scheduler, which would let another thread run meanwhile: to get
// a place again costs more than a short sleep.
func pollBriefly(fds []unix.PollFd, timeout Time) error {
	ts := unix.NsecToTimespec(int64(timeout))
	// All conversions are in the argument list; nothing is kept by the kernel.
	_, _, errno := unix.RawSyscall6(unix.SYS_PPOLL, uintptr(unsafe.Pointer(unsafe.SliceData(fds))), uintptr(len(fds)),
		uintptr(unsafe.Pointer(&ts)), 0, 0, 0)
	if errno != 0 {
		return errno
	}
	return nil
}
