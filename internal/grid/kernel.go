package grid

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/xsend/xsend/internal/kerneltcp"
	"github.com/xsend/xsend/internal/pattern"
	"golang.org/x/sys/unix"
)

// writeSize is how much one write(2) offers to the kernel, in bytes.
const writeSize = 256 << 10

// KernelReport is what the kernel's TCP did. Its JSON names are stable; times are in microseconds.
type KernelReport struct {
	Congestion  string `json:"congestion"` // read back from the socket
	Bytes       int64  `json:"bytes"`      // that the socket took
	Retransmits uint64 `json:"retransmits"`
	Cwnd        uint64 `json:"snd_cwnd"` // segments
	RTT         uint64 `json:"rtt"`
	MinRTT      uint64 `json:"min_rtt"`
}

// RunKernel sends the pattern to ADDR:PORT with the kernel's TCP and that congestion control until the
// receiver resets the connection.
func RunKernel(target, congestion string) (r KernelReport, err error) {
	to, err := netip.ParseAddrPort(target)
	if err != nil {
		return r, err
	}
	fd, err := kerneltcp.Connect(to, congestion, "")
	if err != nil {
		return r, fmt.Errorf("%v: %w", to, err)
	}
	defer unix.Close(fd)
	if r.Congestion, err = unix.GetsockoptString(fd, unix.IPPROTO_TCP, unix.TCP_CONGESTION); err != nil {
		return r, fmt.Errorf("read TCP_CONGESTION: %w", err)
	}
	r.Bytes, err = pour(fd)
	if !errors.Is(err, unix.ECONNRESET) && !errors.Is(err, unix.EPIPE) {
		return r, fmt.Errorf("write: %w", err)
	}
	info, err := unix.GetsockoptTCPInfo(fd, unix.IPPROTO_TCP, unix.TCP_INFO)
	if err != nil {
		return r, fmt.Errorf("read TCP_INFO: %w", err)
	}
	r.Retransmits, r.Cwnd = uint64(info.Total_retrans), uint64(info.Snd_cwnd)
	r.RTT, r.MinRTT = uint64(info.Rtt), uint64(info.Min_rtt)
	return r, nil
}

// pour writes the pattern until that fails.
func pour(fd int) (total int64, err error) {
	block := make([]byte, writeSize)
	for {
		pattern.At(block, total)
		for rest := block; len(rest) > 0; {
			// MSG_NOSIGNAL: a reset connection is an error and no signal.
			n, err := unix.SendmsgN(fd, rest, nil, nil, unix.MSG_NOSIGNAL)
			if errors.Is(err, unix.EINTR) {
				continue
			}
			if err != nil {
				return total, err
			}
			total += int64(n)
			rest = rest[n:]
		}
	}
}
