package afxdp

import (
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/umem"
)

// register is setsockopt(XDP_UMEM_REG): mem becomes the socket's UMEM. software asks the
// kernel to compute checksums itself.
func register(fd int, mem []byte, chunk, metadata int, software bool) error {
	// Valid: mem was mapped with mmap, so that it neither moves nor goes away while
	// the socket lives, and the kernel, which gets its address as a number, pins its
	// pages.
	reg := unix.XDPUmemReg{
		Addr: uint64(uintptr(unsafe.Pointer(unsafe.SliceData(mem)))),
		Len:  uint64(len(mem)),
		Size: uint32(chunk),
	}
	if metadata > 0 {
		reg.Flags = unix.XDP_UMEM_TX_METADATA_LEN
		reg.Tx_metadata_len = uint32(metadata)
	}
	if software {
		reg.Flags |= unix.XDP_UMEM_TX_SW_CSUM
	}
	// Valid: the kernel copies the struct during the call.
	return setsockopt(fd, unix.XDP_UMEM_REG, unsafe.Pointer(&reg), unsafe.Sizeof(reg))
}

// mmapOffsets is getsockopt(XDP_MMAP_OFFSETS).
func mmapOffsets(fd int) (o unix.XDPMmapOffsets, err error) {
	// Valid: the kernel writes at most the size of the struct during the call.
	_, err = getsockopt(fd, unix.XDP_MMAP_OFFSETS, unsafe.Pointer(&o), unsafe.Sizeof(o))
	return o, err
}

// statistics is getsockopt(XDP_STATISTICS). An older kernel fills in less.
func statistics(fd int) (st unix.XDPStatistics, err error) {
	// Valid: as with mmapOffsets.
	_, err = getsockopt(fd, unix.XDP_STATISTICS, unsafe.Pointer(&st), unsafe.Sizeof(st))
	return st, err
}

func setsockopt(fd, opt int, p unsafe.Pointer, size uintptr) error {
	_, _, errno := unix.Syscall6(unix.SYS_SETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), size, 0)
	if errno != 0 {
		return errno
	}
	return nil
}

func getsockopt(fd, opt int, p unsafe.Pointer, size uintptr) (int, error) {
	n := uint32(size)
	// Valid: n is alive across the call; the kernel reads and writes 4 bytes there.
	_, _, errno := unix.Syscall6(unix.SYS_GETSOCKOPT, uintptr(fd), unix.SOL_XDP, uintptr(opt), uintptr(p), uintptr(unsafe.Pointer(&n)), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// CompletionOffsets is where the words and entries of the completion ring of the
// AF_XDP socket fd lie in its mapping. It is for who maps that ring of a socket
// that somebody else made.
func CompletionOffsets(fd int) (umem.Offsets, error) {
	o, err := mmapOffsets(fd)
	return umem.Offsets(o.Cr), err
}
