package xdpprog

import (
	"encoding/binary"
	"errors"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// xsk is the least that the kernel calls an AF_XDP socket: a UMEM and an RX ring. Its
// fill ring stays empty, so each frame that reaches it is counted in XDP_STATISTICS
// and dropped.
type xsk struct {
	fd   int
	umem []byte
}

const (
	chunk  = 2048
	chunks = 16
	ring   = 16
)

// newXSK binds a socket to an interface of the calling thread's namespace.
func newXSK(ifindex, queue int) (*xsk, error) {
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	x := &xsk{fd: fd}
	if x.umem, err = unix.Mmap(-1, 0, chunk*chunks, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE); err != nil {
		return nil, errors.Join(err, x.close())
	}
	// Valid: the kernel wants the number; the mapping doesn't move and outlives the socket.
	address := uint64(uintptr(unsafe.Pointer(&x.umem[0])))
	registration := binary.NativeEndian.AppendUint64(nil, address)
	registration = binary.NativeEndian.AppendUint64(registration, chunk*chunks)
	registration = binary.NativeEndian.AppendUint32(registration, chunk)
	registration = append(registration, make([]byte, 12)...) // headroom, flags, metadata
	err = errors.Join(
		unix.SetsockoptString(fd, unix.SOL_XDP, unix.XDP_UMEM_REG, string(registration)),
		unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_UMEM_FILL_RING, ring),
		unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_UMEM_COMPLETION_RING, ring),
		unix.SetsockoptInt(fd, unix.SOL_XDP, unix.XDP_RX_RING, ring))
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrXDP{Flags: unix.XDP_COPY, Ifindex: uint32(ifindex), QueueID: uint32(queue)})
	}
	if err != nil {
		return nil, errors.Join(err, x.close())
	}
	return x, nil
}

func (x *xsk) close() error {
	return errors.Join(unix.Close(x.fd), unix.Munmap(x.umem))
}

// reached is how many frames came as far as the socket.
func (x *xsk) reached() (uint64, error) {
	var s unix.XDPStatistics
	size := uint32(unsafe.Sizeof(s))
	// Valid: both point to variables of exactly the size passed, alive during the call.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(x.fd), unix.SOL_XDP, unix.XDP_STATISTICS,
		uintptr(unsafe.Pointer(&s)), uintptr(unsafe.Pointer(&size)), 0)
	if errno != 0 {
		return 0, errno
	}
	return s.Rx_fill_ring_empty_descs, nil
}

// socketOn binds a socket to a queue of the near end and closes it at the end of the test.
func (p *pair) socketOn(t testing.TB, queue int) *xsk {
	t.Helper()
	var x *xsk
	p.near.must(t, func() (err error) {
		x, err = newXSK(p.nearIndex, queue)
		return err
	})
	t.Cleanup(func() { x.close() })
	return x
}
