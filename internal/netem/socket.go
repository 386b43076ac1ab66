package netem

import (
	"errors"
	"fmt"
	"io/fs"
	"net"

	"golang.org/x/sys/unix"
)

const (
	// receiveBuffer holds about a second of the fastest traffic, should the wire be kept from running.
	receiveBuffer = 128 << 20
	sendBuffer    = 32 << 20
)

// socket is a packet socket on one interface. It sees what comes in, and what goes out by other means not at all.
type socket struct {
	fd    int
	index int // of the interface
	name  string
	in    *batch
	out   *batch
}

func openSocket(name string) (*socket, error) {
	nic, err := net.InterfaceByName(name)
	if err != nil {
		return nil, fmt.Errorf("interface %s: %w", name, err)
	}
	// Protocol 0 at first: nothing comes before the options are set.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return nil, fmt.Errorf("packet socket: %w", needRoot(err))
	}
	s := &socket{fd: fd, index: nic.Index, name: name, in: newBatch(true), out: newBatch(false)}
	if err := s.configure(); err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("packet socket on %s: %w", name, err)
	}
	return s, nil
}

func (s *socket) configure() error {
	for _, o := range []struct {
		name                 string
		level, option, value int
	}{
		{"SO_RCVBUFFORCE", unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, receiveBuffer},
		{"SO_SNDBUFFORCE", unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, sendBuffer},
		{"SO_TIMESTAMPNS", unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1},
		{"PACKET_AUXDATA", unix.SOL_PACKET, unix.PACKET_AUXDATA, 1},
		// What the wire sends is not to come back to it.
		{"PACKET_IGNORE_OUTGOING", unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1},
		{"PACKET_QDISC_BYPASS", unix.SOL_PACKET, unix.PACKET_QDISC_BYPASS, 1},
	} {
		if err := unix.SetsockoptInt(s.fd, o.level, o.option, o.value); err != nil {
			return fmt.Errorf("set %s: %w", o.name, needRoot(err))
		}
	}
	all := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8) // in network byte order
	if err := unix.Bind(s.fd, &unix.SockaddrLinklayer{Protocol: all, Ifindex: s.index}); err != nil {
		return fmt.Errorf("bind: %w", err)
	}
	return nil
}

func (s *socket) close() { unix.Close(s.fd) }

// countDrops returns the packets that the kernel had no room for since the last call.
func (s *socket) countDrops() (uint64, error) {
	st, err := unix.GetsockoptTpacketStats(s.fd, unix.SOL_PACKET, unix.PACKET_STATISTICS)
	if err != nil {
		return 0, fmt.Errorf("%s: read PACKET_STATISTICS: %w", s.name, err)
	}
	return uint64(st.Drops), nil
}

// gone tells whether the interface has been deleted.
func (s *socket) gone() bool {
	nic, err := net.InterfaceByName(s.name)
	return err != nil || nic.Index != s.index
}

// needRoot adds the remedy to errors that come from missing privileges.
func needRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (run as root, or with CAP_NET_RAW and CAP_NET_ADMIN)", err)
	}
	return err
}
