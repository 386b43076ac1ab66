package porttest

import (
	"errors"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// EtherType is what test frames carry: for local experiments (IEEE Std 802).
const EtherType = 0x88B5

const etherLen = 14

// Peer is a packet socket on an end of a wire: it sends test frames, and sees
// those that arrive.
type Peer struct{ fd int }

// NewPeer opens a peer on the end. It sees only frames of EtherType.
func (e *End) NewPeer(t testing.TB) *Peer {
	t.Helper()
	const proto = EtherType>>8 | EtherType&0xff<<8 // in network byte order
	p := &Peer{fd: -1}
	e.Do(t, func() (err error) {
		p.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, proto)
		return err
	})
	t.Cleanup(func() { _ = unix.Close(p.fd) })
	must(t, unix.Bind(p.fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: e.Index}))
	must(t, unix.SetsockoptInt(p.fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 64<<20))
	must(t, unix.SetsockoptInt(p.fd, unix.SOL_PACKET, unix.PACKET_IGNORE_OUTGOING, 1))
	return p
}

// Send puts one frame on the wire.
func (p *Peer) Send(frame []byte) error {
	_, err := unix.Write(p.fd, frame)
	return err
}

// Next reads the next frame that arrived into buf; 0 where none did within d.
func (p *Peer) Next(buf []byte, d time.Duration) int {
	fds := []unix.PollFd{{Fd: int32(p.fd), Events: unix.POLLIN}}
	for {
		n, err := unix.Poll(fds, int(d.Milliseconds()))
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n == 0 {
			return 0
		}
		n, _, err = unix.Recvfrom(p.fd, buf, unix.MSG_DONTWAIT)
		if errors.Is(err, unix.ENETDOWN) { // told once each time the link goes down
			continue
		}
		if err != nil {
			return 0
		}
		return n
	}
}
