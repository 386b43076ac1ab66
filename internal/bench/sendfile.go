package bench

import (
	"fmt"
	"net/netip"
	"os"

	"golang.org/x/sys/unix"
)

// congestion is set explicitly: the machine's default may be anything.
const congestion = "cubic"

// SendfileReport is what the kernel's sendfile(2) did. Its JSON names are stable.
type SendfileReport struct {
	Bytes      int64  `json:"bytes"`
	Congestion string `json:"congestion"` // read back from the socket
}

// RunSendfile sends a file to ADDR:PORT with the kernel's TCP and waits until the peer has closed too.
func RunSendfile(target, path string) (r SendfileReport, err error) {
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return r, err
	}
	in, err := os.Open(path)
	if err != nil {
		return r, err
	}
	defer in.Close()
	st, err := in.Stat()
	if err != nil {
		return r, err
	}
	fd, err := connect(to)
	if err != nil {
		return r, fmt.Errorf("%v: %w", to, err)
	}
	defer unix.Close(fd) //nolint:errcheck // everything was ACKed by then
	if r.Congestion, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil {
		return r, fmt.Errorf("read TCP_CONGESTION: %w", err)
	}
	for r.Bytes < st.Size() {
		n, err := unix.Sendfile(fd, int(in.Fd()), nil, int(min(st.Size()-r.Bytes, 1<<30)))
		if err != nil || n == 0 {
			return r, fmt.Errorf("sendfile: %d bytes, %w", n, err)
		}
		r.Bytes += int64(n)
	}
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		return r, fmt.Errorf("shutdown: %w", err)
	}
	_, err = unix.Read(fd, make([]byte, 1)) // its FIN
	return r, err
}

func connect(to netip.AddrPort) (fd int, err error) {
	family, sa := unix.AF_INET, unix.Sockaddr(&unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().Unmap().As4()})
	fd, err = unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return -1, err
	}
	if err = unix.SetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION, congestion); err == nil {
		err = unix.Connect(fd, sa)
	}
	if err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}
