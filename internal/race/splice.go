package race

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// pipeBytes is how much goes through the pipe at a time: what a pipe holds by default.
const pipeBytes = 16 * pageSize

// splicer lends pages to a pipe with vmsplice(2), and moves them from there to the socket with splice(2).
type splicer struct {
	returning
	in, out int
}

func newSplicer(fd int, m *memory) (api, error) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	s := &splicer{in: p[1], out: p[0]}
	s.call = func(slot int) error { return s.move(fd, m.slot(slot)) }
	s.end = func() error { return errors.Join(unix.Close(s.in), unix.Close(s.out)) }
	if err := s.probe(m); err != nil {
		return nil, errors.Join(err, s.end())
	}
	return s, nil
}

// probe lends a page and takes it out again, to find out whether the kernel has the call.
func (s *splicer) probe(m *memory) error {
	err := s.lend(m.slot(0)[:pageSize])
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return fmt.Errorf("%w: %w", errLacking, err)
	}
	if err != nil {
		return err
	}
	into := make([]byte, pageSize)
	return all(pageSize, func(done int) (int, error) { return unix.Read(s.out, into[done:]) })
}

func (s *splicer) move(fd int, b []byte) error {
	for ; len(b) > 0; b = b[min(len(b), pipeBytes):] {
		n := min(len(b), pipeBytes)
		if err := s.lend(b[:n]); err != nil {
			return err
		}
		if err := all(n, func(done int) (int, error) {
			m, err := unix.Splice(s.out, nil, fd, nil, n-done, unix.SPLICE_F_MOVE)
			return int(m), err
		}); err != nil {
			return fmt.Errorf("splice: %w", err)
		}
	}
	return nil
}

func (s *splicer) lend(b []byte) error {
	err := all(len(b), func(done int) (int, error) {
		v := unix.Iovec{Base: &b[done]}
		v.SetLen(len(b) - done)
		return unix.Vmsplice(s.in, []unix.Iovec{v}, 0)
	})
	if err != nil {
		return fmt.Errorf("vmsplice: %w", err)
	}
	return nil
}
