package matrix

import (
	"errors"
	"fmt"
	"time"

	"github.com/xsend/xsend/internal/kerneltcp"
	"github.com/xsend/xsend/internal/pattern"
	"golang.org/x/sys/unix"
)

// With MSG_ZEROCOPY the pattern is made in blocks in turn. Together they are more than a socket usually has in flight, so that
// a block is hardly ever waited for.
const (
	blockSize = 256 << 10
	blocks    = 128
)

// feed hands the pattern to a socket, as it is made. No memory is written while the kernel may still read it: that would
// be the race that xsend is about. With send(2) the kernel has copied it; with MSG_ZEROCOPY it says when it is done. With
// sendfile(2) it never says so, and that the peer has ACKed is not enough: where the receiver is on the same machine, what waits
// to be read there are the same pages. Therefore each block goes to fresh pages of a file in memory, and the file forgets
// those that were sent.
type feed struct {
	fd, file    int
	call        string
	ring        []byte
	size, count int   // of a block, in bytes; of blocks
	sent        int64 // bytes that the socket took
	hasty       bool  // writes at once where it must not: a test's control

	// With MSG_ZEROCOPY: which block each call that wasn't notified yet sent from, and how many such calls each block has.
	calls     map[uint32]int
	held      []int
	next      uint32 // number of the next call
	completed uint64
	copied    uint64 // of those that were notified, with a copy
}

func newFeed(fd int, call string, size, count int) (f *feed, err error) {
	f = &feed{fd: fd, file: -1, call: call, size: size, count: 1, calls: map[uint32]int{}}
	switch call {
	case CallSend:
	case CallSendfile:
		if f.file, err = unix.MemfdCreate("xsend-pattern", unix.MFD_CLOEXEC); err != nil {
			return nil, fmt.Errorf("make a file in memory: %w", err)
		}
	case CallZerocopy:
		f.count = count
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
			return nil, fmt.Errorf("set SO_ZEROCOPY: %w", err)
		}
	default:
		return nil, fmt.Errorf("no such call: %q: choose from %s, %s, %s", call, CallSend, CallSendfile, CallZerocopy)
	}
	f.ring, f.held = make([]byte, f.size*f.count), make([]int, f.count)
	return f, nil
}

func (f *feed) close() {
	if f.file >= 0 {
		_ = unix.Close(f.file) // nobody needs it
	}
}

// pour sends block after block until the time is over.
func (f *feed) pour(until time.Time) error {
	for i := 0; time.Now().Before(until); i = (i + 1) % f.count {
		if err := f.step(i); err != nil {
			return err
		}
	}
	return nil
}

// step makes the next bytes in a block and sends them.
func (f *feed) step(i int) error {
	if err := f.await(i); err != nil {
		return err
	}
	b := f.ring[i*f.size : (i+1)*f.size]
	pattern.At(b, f.sent)
	if f.call == CallSendfile {
		if err := f.save(b); err != nil {
			return err
		}
	}
	return f.put(i)
}

// save writes the file anew, on fresh pages.
func (f *feed) save(b []byte) error {
	if !f.hasty {
		if err := unix.Ftruncate(f.file, 0); err != nil {
			return fmt.Errorf("forget what was sent: %w", err)
		}
	}
	for at := 0; at < len(b); {
		n, err := unix.Pwrite(f.file, b[at:], int64(at))
		if err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("write the file in memory: %w", err)
		}
		at += max(0, n)
	}
	return nil
}

// put sends a block.
func (f *feed) put(i int) error {
	for done := 0; done < f.size; {
		n, err := f.some(i, done)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.ENOBUFS) && f.call == CallZerocopy && len(f.calls) > 0:
			err = f.notified(true) // there is no room for another notification
		case err == nil && n == 0:
			err = errors.New("the socket takes nothing")
		}
		if err != nil {
			return err
		}
		done += n
		f.sent += int64(n)
	}
	return nil
}

// some sends as much of a block's rest as the socket takes.
func (f *feed) some(i, done int) (n int, err error) {
	rest := f.ring[i*f.size+done : (i+1)*f.size]
	switch f.call {
	case CallSendfile:
		offset := int64(done)
		return unix.Sendfile(f.fd, f.file, &offset, len(rest))
	case CallZerocopy:
		if n, err = unix.SendmsgN(f.fd, rest, nil, nil, unix.MSG_NOSIGNAL|unix.MSG_ZEROCOPY); err == nil {
			f.calls[f.next] = i
			f.held[i]++
			f.next++
		} else {
			n = 0
		}
		return n, err
	}
	if n, err = unix.SendmsgN(f.fd, rest, nil, nil, unix.MSG_NOSIGNAL); err != nil {
		n = 0
	}
	return n, err
}

// await returns when the kernel reads a block no more.
func (f *feed) await(i int) error {
	if f.call != CallZerocopy {
		return nil
	}
	err := f.notified(false)
	for err == nil && f.held[i] > 0 && !f.hasty {
		err = f.notified(true)
	}
	return err
}

// notified takes the notifications that are there; it waits for one if asked to.
func (f *feed) notified(wait bool) error {
	for {
		notices, empty, err := kerneltcp.Notices(f.fd)
		switch {
		case err != nil:
			return err
		case empty && !wait:
			return nil
		case empty:
			if err := kerneltcp.AwaitNotice(f.fd, farewell); err != nil {
				return err
			}
			continue
		}
		if err := f.note(notices); err != nil {
			return err
		}
		wait = false
	}
}

// note takes over notifications of ranges of calls.
func (f *feed) note(notices []kerneltcp.Notice) error {
	for _, n := range notices {
		if n.Last-n.First >= uint32(len(f.calls)) {
			return fmt.Errorf("the kernel notifies of calls %d to %d, and %d are under way", n.First, n.Last, len(f.calls))
		}
		for id := n.First; ; id++ {
			if i, ok := f.calls[id]; ok {
				delete(f.calls, id)
				f.held[i]--
				f.completed++
				if n.Copied {
					f.copied++
				}
			}
			if id == n.Last {
				break
			}
		}
	}
	return nil
}
