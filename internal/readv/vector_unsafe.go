package readv

import (
	"unsafe"

	"golang.org/x/sys/unix"
)

// MaxRanges is how many ranges one system call fills; IOV_MAX is 1024.
const MaxRanges = 256

// Vector is the argument of readv(2) and preadv(2), kept from call to call: the wrappers of x/sys would
// allocate one each time.
type Vector struct {
	iov [MaxRanges]unix.Iovec
	n   int
}

// Set describes the ranges after their first skip bytes, at most limit bytes of them. Ranges beyond MaxRanges are
// left out.
func (v *Vector) Set(into [][]byte, skip int, limit int64) {
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
		if len(b) == 0 || v.n == MaxRanges {
			return
		}
		v.iov[v.n].Base = &b[0]
		v.iov[v.n].SetLen(len(b))
		v.n++
		limit -= int64(len(b))
	}
}

// Empty tells whether there is nothing to read into.
func (v *Vector) Empty() bool { return v.n == 0 }

// Preadv reads at an offset; the file's own stays where it is. The error is a unix.Errno; no bytes and no error are
// the end of the file.
func (v *Vector) Preadv(fd int, offset int64) (int, error) {
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

// Readv reads at the file's own offset, and moves it. Otherwise it is Preadv.
func (v *Vector) Readv(fd int) (int, error) {
	// As in preadv.
	n, _, errno := unix.Syscall(unix.SYS_READV, uintptr(fd), uintptr(unsafe.Pointer(&v.iov)), uintptr(v.n))
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}
