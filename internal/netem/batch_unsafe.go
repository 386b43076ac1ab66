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
	notes   [batchSize]notes
	frames  [batchSize][]byte
	used    int
}

// newBatch returns a batch with buffers to receive into, or without.
func newBatch(receive bool) *batch {
	b := &batch{}
	for i := range b.headers {
		// Both are members of b, which lives as long as the pointer to it, and the collector doesn't move it.
		b.headers[i].header.Iov = &b.vectors[i]
		b.headers[i].header.SetIovlen(1)
		if receive {
			b.frames[i] = make([]byte, tagLen+maxFrame)
			b.vectors[i].Base = &b.frames[i][tagLen] // a tag may have to be put back
			b.vectors[i].SetLen(maxFrame)
			b.headers[i].header.Control = &b.notes[i][0] // a member of b, too
			b.headers[i].header.SetControllen(len(notes{}))
		}
	}
	return b
}

// add puts a frame to send at the end.
func (b *batch) add(frame []byte) {
	b.frames[b.used] = frame
	b.vectors[b.used].Base = unsafe.SliceData(frame)
	b.vectors[b.used].SetLen(len(frame))
	b.used++
}

// receive fills the batch with what has come, without waiting, and returns the number of frames.
func (b *batch) receive(fd int) (int, error) {
	for i := range b.used { // the last call has shortened it to what there was
		b.headers[i].header.SetControllen(len(notes{}))
	}
	// MSG_TRUNC makes the length that of the whole frame, as it was before it was cut.
	n, err := b.call(unix.SYS_RECVMMSG, fd, 0, batchSize, unix.MSG_DONTWAIT|unix.MSG_TRUNC)
	b.used = n
	return n, err
}

// received returns frame i as it was on the line, and when it came, in nanoseconds of the real-time clock (0
// where the kernel doesn't say). Without ok it was larger than any frame should be.
func (b *batch) received(i int) (frame []byte, came int64, ok bool) {
	size := int(b.headers[i].length)
	if size > maxFrame {
		return nil, 0, false
	}
	came, tag := b.notes[i].read(int(b.headers[i].header.Controllen))
	if tag == 0 || size < etherLen {
		return b.frames[i][tagLen:][:size], came, true
	}
	frame = b.frames[i][:tagLen+size]
	insertTag(frame, tag)
	return frame, came, true
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
