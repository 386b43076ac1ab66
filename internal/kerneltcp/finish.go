package kerneltcp

import (
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// Finish closes behind what was sent and waits for the peer's FIN, for so long from one answer to the next: everything is ACKed then.
func Finish(fd int, patience time.Duration) error {
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return fmt.Errorf("shutdown: %w", err)
	}
	limit := unix.NsecToTimeval(int64(patience))
	if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit); err != nil {
		return fmt.Errorf("set SO_RCVTIMEO: %w", err)
	}
	for buf := make([]byte, 4096); ; {
		n, err := unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return fmt.Errorf("the peer doesn't close: %w", err)
		case n == 0:
			return nil
		}
	}
}

// Local is the connection's own address.
func Local(fd int) (at netip.AddrPort, err error) {
	local, err := unix.Getsockname(fd)
	if err != nil {
		return at, fmt.Errorf("read the local address: %w", err)
	}
	switch a := local.(type) {
	case *unix.SockaddrInet4:
		at = netip.AddrPortFrom(netip.AddrFrom4(a.Addr), uint16(a.Port))
	case *unix.SockaddrInet6:
		at = netip.AddrPortFrom(netip.AddrFrom16(a.Addr).Unmap(), uint16(a.Port))
	}
	return at, nil
}
