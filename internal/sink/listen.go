package sink

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// listen returns the listener to accept on. Options are set before listen(2): accepted sockets inherit
// them, and the window scale is chosen by the receive buffer before the first accept returns.
func (c Config) listen(ctx context.Context) (net.Listener, error) {
	if c.Listener != nil {
		return c.Listener, nil
	}
	lc := net.ListenConfig{Control: c.setOptions}
	lc.SetMultipathTCP(false)
	ln, err := lc.Listen(ctx, "tcp", c.Listen)
	if err != nil {
		return nil, listenError(c.Listen, err)
	}
	return ln, nil
}

func (c Config) setOptions(_, _ string, raw syscall.RawConn) error {
	var errs []error
	err := raw.Control(func(fd uintptr) {
		if c.ReadBuffer > 0 {
			errs = append(errs, wrap("set SO_RCVBUF",
				unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, c.ReadBuffer)))
		}
		if c.WindowClamp > 0 {
			errs = append(errs, wrap("set TCP_WINDOW_CLAMP",
				unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_WINDOW_CLAMP, c.WindowClamp)))
		}
	})
	return errors.Join(append(errs, err)...)
}

// listenError names the remedy where there is one.
func listenError(addr string, err error) error {
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return fmt.Errorf("sink: listen on %s: %w: end the program that has the port, or choose another (0 lets the kernel choose)", addr, unix.EADDRINUSE)
	case errors.Is(err, unix.EADDRNOTAVAIL):
		return fmt.Errorf("sink: listen on %s: %w: no interface here has that address", addr, unix.EADDRNOTAVAIL)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("sink: listen on %s: %w: choose a port from 1024 on, or get CAP_NET_BIND_SERVICE", addr, unix.EACCES)
	default:
		return fmt.Errorf("sink: %w", err)
	}
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
