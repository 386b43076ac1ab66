package ethtool

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ifreq is struct ifreq of linux/if.h as SIOCETHTOOL uses it: the name and a pointer. The padding makes
// it at least as large as the kernel's, which copies all of it, on 32 and 64 bits.
type ifreq struct {
	name  [unix.IFNAMSIZ]byte
	value unsafe.Pointer
	_     [16]byte
}

// Value is struct ethtool_value of linux/ethtool.h.
type Value struct {
	Cmd   uint32
	Value uint32
}

// Do runs a command that reads or writes one number on an interface of the thread's namespace.
func Do(name string, v *Value) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("socket for ethtool: %w", err)
	}
	defer unix.Close(fd)
	var req ifreq
	if len(name) >= len(req.name) {
		return fmt.Errorf("interface name %q is longer than %d bytes", name, len(req.name)-1)
	}
	copy(req.name[:], name)
	// The pointer is kept as unsafe.Pointer in a struct the collector knows, so *v stays alive and in
	// place; it is read and written by the kernel during the call only.
	req.value = unsafe.Pointer(v)
	// The conversion to uintptr is in the argument list of the system call, as package unsafe asks.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&req)))
	if errno != 0 {
		return errno
	}
	return nil
}
