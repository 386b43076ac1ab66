package settings

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// system is the kernel of this machine, in the network namespace of the calling thread.
func system(r request) (reply, error) {
	switch r.group {
	case Feature, Channels, Ring, Coalesce, Pause:
		return withEthtool(r)
	case MTU:
		return mtus(r)
	case RSS, Rule:
		return withSocket(func(fd int) (reply, error) {
			if r.group == RSS {
				return rss(fd, r)
			}
			return rules(fd, r)
		})
	case NAPI:
		return napi("/sys/class/net", r)
	}
	panic("settings: no group " + string(r.group))
}

// withSocket opens a socket for ioctls: they act in its namespace.
func withSocket(f func(fd int) (reply, error)) (reply, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return reply{}, fmt.Errorf("open socket for ethtool: %w", err)
	}
	defer unix.Close(fd)
	return f(fd)
}
