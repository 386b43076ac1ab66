package hw

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolChannels is struct ethtool_channels of linux/ethtool.h.
type ethtoolChannels struct {
	cmd                                    uint32
	maxRx, maxTx, maxOther, maxCombined    uint32
	rxCount, txCount, otherCount, combined uint32
}

// ethtoolIfreq is struct ifreq with the member ifr_data. The union is larger than a pointer; the padding
// makes room for all of it, because the kernel copies the whole struct in.
type ethtoolIfreq struct {
	name    [unix.IFNAMSIZ]byte
	command unsafe.Pointer
	_       [16]byte
}

// ioctlChannels issues ETHTOOL_GCHANNELS for the interface called name (at most 15 bytes).
func ioctlChannels(fd int, name string) (ethtoolChannels, error) {
	channels := ethtoolChannels{cmd: unix.ETHTOOL_GCHANNELS}
	// The conversion is valid because the struct has the kernel's layout and outlives the call
	// (KeepAlive); the field is an unsafe.Pointer, so that the collector sees it.
	ifr := ethtoolIfreq{command: unsafe.Pointer(&channels)}
	copy(ifr.name[:unix.IFNAMSIZ-1], name)
	// The conversion is valid because it stands in the argument list of the system call.
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(&channels)
	if errno != 0 {
		return ethtoolChannels{}, errno
	}
	return channels, nil
}

// ethtoolValue is struct ethtool_value of linux/ethtool.h.
type ethtoolValue struct{ cmd, value uint32 }

// ioctlFlag issues one of the commands that answer with a value of 0 or 1, for the interface called name.
func ioctlFlag(fd int, name string, cmd uint32) (bool, error) {
	v := ethtoolValue{cmd: cmd}
	// Valid as in ioctlChannels.
	ifr := ethtoolIfreq{command: unsafe.Pointer(&v)}
	copy(ifr.name[:unix.IFNAMSIZ-1], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(&ifr)))
	runtime.KeepAlive(&v)
	if errno != 0 {
		return false, errno
	}
	return v.value != 0, nil
}
