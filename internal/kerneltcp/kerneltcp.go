package kerneltcp

import (
	"fmt"
	"net"
	"net/netip"

	"golang.org/x/sys/unix"
)

// Connect connects to an address with that congestion control; by way of one interface, where link names it.
func Connect(to netip.AddrPort, congestion, link string) (fd int, err error) {
	family, sa := address(to)
	if fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0); err != nil {
		return -1, err
	}
	if err = prepare(fd, congestion, link); err == nil {
		err = unix.Connect(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

func prepare(fd int, congestion, link string) error {
	if err := unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion); err != nil {
		return fmt.Errorf("set TCP_CONGESTION to %s: %w", congestion, err)
	}
	if link == "" {
		return nil
	}
	if err := unix.BindToDevice(fd, link); err != nil {
		return fmt.Errorf("bind to %s: %w", link, err)
	}
	return nil
}

func address(to netip.AddrPort) (family int, sa unix.Sockaddr) {
	addr := to.Addr().Unmap()
	if addr.Is4() {
		return unix.AF_INET, &unix.SockaddrInet4{Port: int(to.Port()), Addr: addr.As4()}
	}
	six := &unix.SockaddrInet6{Port: int(to.Port()), Addr: addr.As16()}
	if zone, err := net.InterfaceByName(addr.Zone()); err == nil {
		six.ZoneId = uint32(zone.Index)
	}
	return unix.AF_INET6, six
}
