package race

import (
	"errors"
	"fmt"

	"github.com/xsend/xsend/internal/uring"
)

// sendZC sends with io_uring's SEND_ZC. Its writer waits for the notifications, or for the completions only.
type sendZC struct {
	fd     int
	mem    *memory
	ring   *uring.Ring
	hasty  bool
	done   []int
	out    int // notifications that are still to come
	report *WriterReport
}

func newSendZC(fd int, m *memory, cfg *WriterConfig, r *WriterReport) (api, error) {
	entries := 1
	for entries < cfg.Buffers {
		entries *= 2
	}
	ring, err := uring.New(entries)
	if errors.Is(err, uring.ErrUnavailable) {
		err = fmt.Errorf("%w: %w", errLacking, err)
	}
	if err != nil {
		return nil, err
	}
	s := &sendZC{fd: fd, mem: m, ring: ring, hasty: cfg.Sender == SendZCReturn, report: r}
	if err := s.probe(); err != nil {
		return nil, errors.Join(err, ring.Close())
	}
	r.Notified, r.Copied = new(uint64), new(uint64)
	return s, nil
}

// probe asks for a send on no socket: a kernel that has the call says that it is none.
func (s *sendZC) probe() error {
	if err := s.ring.SendZC(-1, s.mem.slot(0)[:1], 0); err != nil {
		return err
	}
	for more := true; more; {
		if err := s.ring.Enter(true); err != nil {
			return err
		}
		for c, ok := s.ring.Next(); ok; c, ok = s.ring.Next() {
			if errors.Is(c.Err, uring.ErrUnavailable) {
				return fmt.Errorf("%w: %w", errLacking, c.Err)
			}
			more = c.More
		}
	}
	return nil
}

// send returns when the socket has taken the buffer.
func (s *sendZC) send(slot int) error {
	if err := s.ring.SendZC(s.fd, s.mem.slot(slot), uint64(slot)); err != nil {
		return err
	}
	for wait := true; wait; {
		if err := s.ring.Enter(true); err != nil {
			return err
		}
		sent, err := s.take()
		if err != nil {
			return err
		}
		wait = !sent
	}
	if s.hasty {
		s.done = append(s.done, slot)
	}
	return nil
}

// take takes the answers that are there; sent tells that a completion was among them.
func (s *sendZC) take() (sent bool, err error) {
	for c, ok := s.ring.Next(); ok; c, ok = s.ring.Next() {
		switch {
		case c.Err != nil:
			return sent, fmt.Errorf("SEND_ZC: %w", c.Err)
		case c.Notification:
			s.out--
			*s.report.Notified++
			if c.Copied {
				*s.report.Copied++
			}
			if !s.hasty {
				s.done = append(s.done, int(c.Cookie))
			}
		case c.Sent != s.mem.round:
			return sent, fmt.Errorf("SEND_ZC: %d of %d bytes were sent", c.Sent, s.mem.round)
		case !c.More:
			return sent, errors.New("SEND_ZC: no notification is announced")
		default:
			sent = true
			s.out++
		}
	}
	return sent, nil
}

func (s *sendZC) back(wait bool) ([]int, error) {
	if err := s.ring.Enter(wait && len(s.done) == 0 && s.out > 0); err != nil {
		return nil, err
	}
	if _, err := s.take(); err != nil {
		return nil, err
	}
	done := s.done
	s.done = nil
	return done, nil
}

// close takes the notifications that are left: until then the kernel may read the memory.
func (s *sendZC) close() error {
	for s.out > 0 {
		if err := s.ring.Enter(true); err != nil {
			return errors.Join(err, s.ring.Close())
		}
		if _, err := s.take(); err != nil {
			return errors.Join(err, s.ring.Close())
		}
	}
	return s.ring.Close()
}
