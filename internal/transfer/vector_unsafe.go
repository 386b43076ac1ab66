package transfer

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// maxVector is how many ranges one system call fills; IOV_MAX is 1024.
const maxVector = 256

// vector is the argument of readv(2) and preadv(2), kept from call to call: the wrappers of x/sys would
// allocate one each time.
type vector struct {
	iov [maxVector]unix.Iovec
	n   int
}

// set describes the ranges after their first skip bytes, at most limit bytes of them.
func (v *vector) set(into [][]byte, skip int, limit int64) {
	v.n = 0
	for _, b := range into {
		if skip >= len(b) {
			skip -= len(b)
			continue
		}
		b = b[skip:]
		skip = 0
		if int64(len(b)) > limit {
			b = b[:limit]
		}
		if len(b) == 0 || v.n == maxVector {
			return
		}
		v.iov[v.n].Base = &b[0]
		v.iov[v.n].SetLen(len(b))
		v.n++
		limit -= int64(len(b))
	}
}

func (v *vector) empty() bool { return v.n == 0 }

// preadv reads at an offset, which it leaves alone.
func (v *vector) preadv(fd int, offset int64) (int, error) {
	// The pointer is to a field of v, which lives through the call, and is converted in the argument list
	// of the system call, as package unsafe asks. The kernel takes the offset in two longs; where a long
	// has 64 bits the second one is shifted out.
	n, _, errno := unix.Syscall6(unix.SYS_PREADV, uintptr(fd), uintptr(unsafe.Pointer(&v.iov)), uintptr(v.n),
		uintptr(offset), uintptr(uint64(offset)>>32), 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// readv reads at the file's own offset.
func (v *vector) readv(fd int) (int, error) {
	// As in preadv.
	n, _, errno := unix.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&v.iov)), uintptr(v.n))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
