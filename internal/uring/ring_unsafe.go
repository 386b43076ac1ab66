package uring

import (
	"errors"
	"fmt"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ErrUnavailable says that this kernel, or who set it up, does not let us have a ring, or this operation.
var ErrUnavailable = errors.New("io_uring is not to be had")

// From linux/io_uring.h.
const (
	opSendZC          = 47      // IORING_OP_SEND_ZC
	reportUsage       = 1 << 3  // IORING_SEND_ZC_REPORT_USAGE
	enterGetEvents    = 1       // IORING_ENTER_GETEVENTS
	featureSingleMmap = 1       // IORING_FEAT_SINGLE_MMAP
	offsetSQEs        = 1 << 28 // IORING_OFF_SQES
	flagMore          = 1 << 1  // IORING_CQE_F_MORE
	flagNotification  = 1 << 3  // IORING_CQE_F_NOTIF
	usageCopied       = 1 << 31 // IORING_NOTIF_USAGE_ZC_COPIED
)

// sqOffsets is struct io_sqring_offsets, cqOffsets struct io_cqring_offsets.
type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array, _ uint32
	_                                                   uint64
}

type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags, _ uint32
	_                                                   uint64
}

// parameters is struct io_uring_params.
type parameters struct {
	sqEntries, cqEntries, flags, threadCPU, threadIdle, features, wqFD uint32
	_                                                                  [3]uint32
	sq                                                                 sqOffsets
	cq                                                                 cqOffsets
}

// request is struct io_uring_sqe as SEND_ZC uses it.
type request struct {
	op       uint8
	flags    uint8
	zcFlags  uint16 // ioprio
	fd       int32
	_        uint64
	addr     uint64
	len      uint32
	msgFlags uint32
	cookie   uint64
	_        [3]uint64
}

// event is struct io_uring_cqe.
type event struct {
	cookie uint64
	res    int32
	flags  uint32
}

// Ring is an io_uring.
type Ring struct {
	fd             int
	rings, entries []byte // the mappings
	sqTail         *atomic.Uint32
	sqHead         *atomic.Uint32
	cqHead, cqTail *atomic.Uint32
	requests       []request
	array          []uint32
	events         []event
	unsent         uint32
}

// New makes a ring for n requests at a time, a power of two, and at least twice as many completions. The error is
// ErrUnavailable where there is no io_uring.
func New(n int) (r *Ring, err error) {
	p := parameters{}
	// The kernel reads and writes p during the call only; p lives until it returns.
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("%w: io_uring_setup: %w%s", ErrUnavailable, errno, remedy(errno))
	}
	r = &Ring{fd: int(fd)}
	if err := r.mapAll(&p); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	return r, nil
}

// remedy says what a refusal of io_uring_setup means.
func remedy(errno unix.Errno) string {
	switch errno {
	case unix.EPERM:
		return " (kernel.io_uring_disabled, or a seccomp filter, forbids it)"
	case unix.ENOSYS:
		return " (the kernel was built without it, or a seccomp filter hides it)"
	}
	return ""
}

func (r *Ring) mapAll(p *parameters) (err error) {
	if p.features&featureSingleMmap == 0 {
		return fmt.Errorf("%w: the kernel is older than SEND_ZC", ErrUnavailable)
	}
	size := max(p.sq.array+p.sqEntries*4, p.cq.cqes+p.cqEntries*uint32(unsafe.Sizeof(event{})))
	const prot, flags = unix.PROT_READ | unix.PROT_WRITE, unix.MAP_SHARED | unix.MAP_POPULATE
	if r.rings, err = unix.Mmap(r.fd, 0, int(size), prot, flags); err != nil {
		return fmt.Errorf("map the rings: %w", err)
	}
	if r.entries, err = unix.Mmap(r.fd, offsetSQEs, int(p.sqEntries)*int(unsafe.Sizeof(request{})), prot, flags); err != nil {
		return fmt.Errorf("map the requests: %w", err)
	}
	// The kernel lays aligned 32-bit words, and arrays of these structures, at these offsets of a mapping of that size.
	word := func(at uint32) *atomic.Uint32 { return (*atomic.Uint32)(unsafe.Pointer(&r.rings[at])) }
	r.sqHead, r.sqTail, r.cqHead, r.cqTail = word(p.sq.head), word(p.sq.tail), word(p.cq.head), word(p.cq.tail)
	r.array = unsafe.Slice((*uint32)(unsafe.Pointer(&r.rings[p.sq.array])), p.sqEntries)
	r.events = unsafe.Slice((*event)(unsafe.Pointer(&r.rings[p.cq.cqes])), p.cqEntries)
	r.requests = unsafe.Slice((*request)(unsafe.Pointer(&r.entries[0])), p.sqEntries)
	return nil
}

// SendZC asks for all of b to be sent on a stream socket. Answers carry the cookie: a Completion, and where that says so a
// notification later. It is submitted by the next Enter. The error says that the ring is full.
func (r *Ring) SendZC(fd int, b []byte, cookie uint64) error {
	tail := r.sqTail.Load()
	if int(tail-r.sqHead.Load()) == len(r.requests) || len(b) == 0 {
		return fmt.Errorf("io_uring: no room for a request of %d bytes", len(b))
	}
	i := tail & uint32(len(r.requests)-1)
	r.requests[i] = request{
		op: opSendZC, zcFlags: reportUsage, fd: int32(fd),
		addr: uint64(uintptr(unsafe.Pointer(&b[0]))), // the caller keeps b mapped and unmoved until the notification
		len:  uint32(len(b)), msgFlags: unix.MSG_WAITALL | unix.MSG_NOSIGNAL, cookie: cookie,
	}
	r.array[i] = i
	r.sqTail.Store(tail + 1)
	r.unsent++
	return nil
}

// Enter submits what was asked for, and waits, if asked to, until something is to be taken.
func (r *Ring) Enter(wait bool) error {
	least, flags := uintptr(0), uintptr(enterGetEvents)
	if wait {
		least = 1
	}
	for {
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(r.fd), uintptr(r.unsent), least, flags, 0, 0)
		switch {
		case errno == unix.EINTR:
			continue
		case errno != 0:
			return fmt.Errorf("io_uring_enter: %w", errno)
		}
		r.unsent -= uint32(n)
		return nil
	}
}

// Completion is an answer.
type Completion struct {
	Cookie       uint64
	Sent         int   // bytes that the socket took; 0 in a notification
	Err          error // why it took none; ErrUnavailable where there is no such operation
	More         bool  // a notification follows: until then the kernel may read the memory
	Notification bool  // the kernel reads the memory no more
	Copied       bool  // with Notification: it has copied it
}

// Next takes an answer that is there; false where none is.
func (r *Ring) Next() (Completion, bool) {
	head := r.cqHead.Load()
	if head == r.cqTail.Load() {
		return Completion{}, false
	}
	e := r.events[head&uint32(len(r.events)-1)]
	r.cqHead.Store(head + 1)
	c := Completion{Cookie: e.cookie, More: e.flags&flagMore != 0, Notification: e.flags&flagNotification != 0}
	switch {
	case c.Notification:
		c.Copied = uint32(e.res)&usageCopied != 0
	case e.res >= 0:
		c.Sent = int(e.res)
	default:
		c.Err = unix.Errno(-e.res)
		if c.Err == unix.EINVAL || c.Err == unix.EOPNOTSUPP {
			c.Err = fmt.Errorf("%w: SEND_ZC: %w (it is of Linux 6.0, and what it reports of 6.2)", ErrUnavailable, c.Err)
		}
	}
	return c, true
}

// Close gives the ring back. What was asked for and not answered is cancelled by the kernel.
func (r *Ring) Close() error {
	var errs []error
	for _, m := range []*[]byte{&r.rings, &r.entries} {
		if *m != nil {
			errs = append(errs, unix.Munmap(*m))
		}
		*m = nil
	}
	return errors.Join(append(errs, unix.Close(r.fd))...)
}
