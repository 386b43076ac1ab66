package hw

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"golang.org/x/sys/unix"
)

// PortReservation keeps a local TCP port from the rest of the host: a kernel socket is bound to it that
// neither listens nor connects. It doesn't stop the kernel from answering segments to that port with RST;
// only steering does.
type PortReservation struct {
	local netip.AddrPort
	close func() error
}

// ReservePort binds a kernel TCP socket to local; port 0 lets the kernel choose one of its ephemeral ports.
// A link-local address needs its zone. Errors: [ErrPortInUse], [ErrNoSource], [ErrNoInterface].
func ReservePort(local netip.AddrPort) (*PortReservation, error) {
	sa, err := sockaddr(local)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(familyOf(plain(local.Addr())), unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("reserve local port %d: open socket: %w", local.Port(), err)
	}
	port, err := bind(fd, sa)
	if err != nil {
		unix.Close(fd)
		return nil, refusedPort(local, err)
	}
	return &PortReservation{
		local: netip.AddrPortFrom(local.Addr(), port),
		close: sync.OnceValue(func() error { return unix.Close(fd) }),
	}, nil
}

// Port returns the reserved port.
func (p *PortReservation) Port() uint16 { return p.local.Port() }

// Local returns the address given to [ReservePort] with the reserved port.
func (p *PortReservation) Local() netip.AddrPort { return p.local }

// Close gives the port back to the host. Further calls do nothing.
func (p *PortReservation) Close() error { return p.close() }

// bind binds without SO_REUSEADDR: a port that another connection of this host keeps in TIME-WAIT isn't free.
func bind(fd int, sa unix.Sockaddr) (uint16, error) {
	if err := unix.Bind(fd, sa); err != nil {
		return 0, err
	}
	bound, err := unix.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	switch bound := bound.(type) {
	case *unix.SockaddrInet4:
		return uint16(bound.Port), nil
	case *unix.SockaddrInet6:
		return uint16(bound.Port), nil
	}
	return 0, unix.EAFNOSUPPORT
}

func sockaddr(a netip.AddrPort) (unix.Sockaddr, error) {
	addr := a.Addr().Unmap()
	switch {
	case !addr.IsValid():
		return nil, fmt.Errorf("reserve local port %d: %w: no address given", a.Port(), ErrNoSource)
	case addr.Is4():
		return &unix.SockaddrInet4{Port: int(a.Port()), Addr: addr.As4()}, nil
	}
	sa := &unix.SockaddrInet6{Port: int(a.Port()), Addr: addr.As16()}
	if addr.Zone() == "" {
		return sa, nil
	}
	m, err := withKernel(func(k *kernel) (linkMessage, error) { return k.linkByZone(addr.Zone()) })
	sa.ZoneId = uint32(m.index)
	return sa, err
}

func refusedPort(local netip.AddrPort, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE) && local.Port() == 0:
		return fmt.Errorf("reserve a local port on %v: %w: all ephemeral ports are taken; name one with --cport", local.Addr(), ErrPortInUse)
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("local port %v: %w; \"ss -tanp sport = :%d\" shows by whom; choose another with --cport, or leave it out", local, ErrPortInUse, local.Port())
	case errors.Is(err, unix.EADDRNOTAVAIL), errors.Is(err, unix.EINVAL):
		return fmt.Errorf("local address %v: %w: not an address of this host, or not ready yet; \"ip addr\" lists them", local, ErrNoSource)
	case errors.Is(err, unix.EACCES):
		return fmt.Errorf("local port %v: %w: ports below net.ipv4.ip_unprivileged_port_start need CAP_NET_BIND_SERVICE; choose one above", local, err)
	}
	return fmt.Errorf("reserve local port %v: %w", local, err)
}
