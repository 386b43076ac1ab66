package xsk

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Why a socket could not be set up. The error of the kernel is wrapped beside these.
var (
	// ErrPermission: the process lacks a capability that the message names.
	ErrPermission = errors.New("not permitted")
	// ErrMemlock: RLIMIT_MEMLOCK does not allow so much memory to be registered.
	ErrMemlock = errors.New("locked-memory limit too low")
	// ErrNoInterface: no interface with this index in this network namespace.
	ErrNoInterface = errors.New("no such interface")
	// ErrNoQueue: the interface has no queue with this number.
	ErrNoQueue = errors.New("no such queue")
	// ErrQueueBusy: another AF_XDP socket has the queue.
	ErrQueueBusy = errors.New("queue is in use")
	// ErrNoZeroCopy: the driver, or the queue as it is set up, cannot do zero-copy.
	ErrNoZeroCopy = errors.New("no zero-copy")
	// ErrUnsupported: this kernel, or this port, cannot do what was asked for.
	ErrUnsupported = errors.New("not supported")
)

// Where is the subject of a refusal.
type Where struct {
	Ifname string // for messages; may be empty
	Index  int
	Queue  int
	Bytes  int // size of the region
}

// String names interface and queue.
func (w Where) String() string {
	if w.Ifname == "" {
		return fmt.Sprintf("interface %d queue %d", w.Index, w.Queue)
	}
	return fmt.Sprintf("%s queue %d", w.Ifname, w.Queue)
}

// Refused makes an error of what the kernel answered: subject, operation, cause,
// remedy. cause may be nil where the kernel's own words have to do.
func Refused(w Where, op string, cause error, err error, remedy string) error {
	s := ""
	if remedy != "" {
		s = " (" + remedy + ")"
	}
	if cause == nil {
		return fmt.Errorf("%s: %s: %w%s", w, op, err, s)
	}
	return fmt.Errorf("%s: %s: %w: %w%s", w, op, cause, err, s)
}

// SocketRefused explains why there is no AF_XDP socket.
func SocketRefused(w Where, err error) error {
	switch {
	case errors.Is(err, unix.EPERM):
		return Refused(w, "open an AF_XDP socket", ErrPermission, err, "it takes CAP_NET_RAW: run as root, or give the program its capabilities with setcap")
	case errors.Is(err, unix.EAFNOSUPPORT):
		return Refused(w, "open an AF_XDP socket", ErrUnsupported, err, "the kernel was built without CONFIG_XDP_SOCKETS")
	}
	return Refused(w, "open an AF_XDP socket", nil, err, "")
}

// RegisterRefused explains why the kernel does not take the region.
func RegisterRefused(w Where, metadata bool, err error) error {
	op := fmt.Sprintf("register %d bytes of packet memory", w.Bytes)
	switch {
	case errors.Is(err, unix.ENOBUFS):
		return Refused(w, op, ErrMemlock, err, memlockRemedy(w.Bytes))
	case errors.Is(err, unix.EINVAL) && metadata:
		return Refused(w, op, ErrUnsupported, err, "TX metadata takes Linux 6.11 or newer: compute checksums in software instead")
	}
	return Refused(w, op, nil, err, "")
}

func memlockRemedy(need int) string {
	var l unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_MEMLOCK, &l); err != nil {
		return fmt.Sprintf("%d bytes are needed", need)
	}
	return fmt.Sprintf("%d bytes are needed for each queue, RLIMIT_MEMLOCK is %d for all sockets of the user: ulimit -l %d or more, or CAP_IPC_LOCK, or fewer frames",
		need, l.Cur, (need+1023)/1024)
}

// RingRefused explains why the kernel makes no such ring.
func RingRefused(w Where, ring string, entries int, err error) error {
	return Refused(w, fmt.Sprintf("make a %s ring of %d entries", ring, entries), nil, err, "")
}

// BindRefused explains why the socket was not bound to its queue.
func BindRefused(w Where, zeroCopy, sg bool, err error) error {
	op := "bind in copy mode"
	if zeroCopy {
		op = "bind in zero-copy mode"
	}
	switch {
	case errors.Is(err, unix.EBUSY):
		return Refused(w, op, ErrQueueBusy, err, "another AF_XDP socket has it, here or in another process: end that one, or take another queue")
	case errors.Is(err, unix.ENODEV):
		return Refused(w, op, ErrNoInterface, err, "is it in another network namespace?")
	case errors.Is(err, unix.EPERM):
		return Refused(w, op, ErrPermission, err, "it takes CAP_NET_RAW and CAP_NET_ADMIN")
	case zeroCopy && errors.Is(err, unix.EOPNOTSUPP):
		return Refused(w, op, ErrNoZeroCopy, err, noZeroCopy(sg))
	case zeroCopy && errors.Is(err, unix.EINVAL):
		return Refused(w, op, ErrNoZeroCopy, err, "the interface has no such queue, or its MTU does not fit a chunk: lower the MTU, take 4096-byte chunks, or copy mode")
	case errors.Is(err, unix.EINVAL):
		return Refused(w, op, ErrNoQueue, err, copyInvalid(sg))
	case errors.Is(err, unix.EOPNOTSUPP):
		return Refused(w, op, ErrUnsupported, err, "the kernel computes no checksums for a device that takes packets in pieces, such as virtio_net")
	}
	return Refused(w, op, nil, err, "")
}

func noZeroCopy(sg bool) string {
	if sg {
		return "the driver has no zero-copy, or none with several descriptors in a packet: use copy mode or no scatter-gather"
	}
	return "the driver has no zero-copy: use copy mode"
}

func copyInvalid(sg bool) string {
	if sg {
		return "queues count from 0: see ethtool -l; or the kernel is older than 6.6 and has no scatter-gather"
	}
	return "queues count from 0: see ethtool -l"
}
