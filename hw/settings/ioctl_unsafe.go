package settings

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ifreq is struct ifreq with the member ifr_data. The union is larger than a pointer; the padding makes room for all of
// it, because the kernel copies the whole struct in.
type ifreq struct {
	name    [unix.IFNAMSIZ]byte
	command unsafe.Pointer
	_       [16]byte
}

// ethtoolIoctl issues the ethtool command in buf, which begins with its number and is as long as the kernel writes at most.
func ethtoolIoctl(fd int, name string, buf []byte) error {
	if len(name) >= unix.IFNAMSIZ || len(buf) < 4 {
		return unix.EINVAL
	}
	// The conversion is valid because buf outlives the call (KeepAlive); the field is an unsafe.Pointer, so that
	// the collector sees it and the stack may move.
	ifr := ifreq{command: unsafe.Pointer(unsafe.SliceData(buf))}
	copy(ifr.name[:unix.IFNAMSIZ-1], name)
	// The conversion is valid because it stands in the argument list of the system call.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(buf)
	if errno != 0 {
		return errno
	}
	return nil
}
