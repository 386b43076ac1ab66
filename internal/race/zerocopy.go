package race

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/internal/kerneltcp"
	"golang.org/x/sys/unix"
)

// zerocopy sends with MSG_ZEROCOPY. Its writer waits for the notifications, or doesn't.
type zerocopy struct {
	fd     int
	mem    *memory
	hasty  bool
	done   []int
	calls  map[uint32]int // which buffer each call that wasn't notified yet sent from
	held   []int          // such calls of each buffer
	next   uint32
	report *WriterReport
}

func newZerocopy(fd int, m *memory, cfg *WriterConfig, r *WriterReport) (api, error) {
	if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
		return nil, fmt.Errorf("%w: set SO_ZEROCOPY: %w", errLacking, err)
	}
	r.Notified, r.Copied = new(uint64), new(uint64)
	return &zerocopy{fd: fd, mem: m, hasty: cfg.Sender == ZerocopyReturn, calls: map[uint32]int{}, held: make([]int, cfg.Buffers), report: r}, nil
}

func (z *zerocopy) send(slot int) error {
	b := z.mem.slot(slot)
	err := all(len(b), func(done int) (int, error) {
		n, err := unix.SendmsgN(z.fd, b[done:], nil, nil, unix.MSG_NOSIGNAL|unix.MSG_ZEROCOPY)
		if errors.Is(err, unix.ENOBUFS) && len(z.calls) > 0 {
			if err := z.notified(true); err != nil { // there is no room for another notification
				return 0, err
			}
			return 0, unix.EINTR // again
		}
		if err == nil {
			z.calls[z.next] = slot
			z.held[slot]++
			z.next++
		}
		return n, err
	})
	if z.hasty {
		z.done = append(z.done, slot)
	}
	return err
}

func (z *zerocopy) back(wait bool) ([]int, error) {
	if err := z.notified(wait && len(z.done) == 0); err != nil {
		return nil, err
	}
	done := z.done
	z.done = nil
	return done, nil
}

// notified takes the notifications that are there; it waits for one if asked to.
func (z *zerocopy) notified(wait bool) error {
	for {
		notices, empty, err := kerneltcp.Notices(z.fd)
		switch {
		case err != nil:
			return err
		case empty && !wait:
			return nil
		case empty:
			if err := kerneltcp.AwaitNotice(z.fd, patience); err != nil {
				return err
			}
			continue
		}
		for _, n := range notices {
			if err := z.note(n); err != nil {
				return err
			}
		}
		wait = false
	}
}

func (z *zerocopy) note(n kerneltcp.Notice) error {
	if n.Last-n.First >= uint32(len(z.calls)) {
		return fmt.Errorf("the kernel notifies of calls %d to %d, and %d are under way", n.First, n.Last, len(z.calls))
	}
	for id := n.First; ; id++ {
		if slot, ok := z.calls[id]; ok {
			delete(z.calls, id)
			*z.report.Notified++
			if n.Copied {
				*z.report.Copied++
			}
			if z.held[slot]--; z.held[slot] == 0 && !z.hasty {
				z.done = append(z.done, slot)
			}
		}
		if id == n.Last {
			return nil
		}
	}
}

// close takes what notifications are left, so that they are counted.
func (z *zerocopy) close() error { return z.notified(false) }
