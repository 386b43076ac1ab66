package matrix

import (
	"encoding/binary"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/xsend/xsend/internal/pattern"
	"golang.org/x/sys/unix"
)

// The pattern is made in blocks of a file in memory, in turn. Together they are more than any socket has in flight, so
// that a block is hardly ever waited for.
const (
	blockSize = 256 << 10
	blocks    = 128
)

// feed hands the pattern to a socket, as it is made. No block is written while the kernel may still read it: that would
// be the race that xsend is about.
type feed struct {
	fd, file int
	call     string
	ring     []byte // the file, mapped
	sent     int64  // bytes that the socket took

	// With MSG_ZEROCOPY: which block each call that wasn't notified yet sent from, and how many such calls each block has.
	calls     map[uint32]int
	held      [blocks]int
	next      uint32 // number of the next call
	completed uint64
	copied    uint64 // of those that were notified, with a copy
}

func newFeed(fd int, call string) (f *feed, err error) {
	f = &feed{fd: fd, file: -1, call: call, calls: map[uint32]int{}}
	switch call {
	case CallSend, CallSendfile:
	case CallZerocopy:
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ZEROCOPY, 1); err != nil {
			return nil, fmt.Errorf("set SO_ZEROCOPY: %w", err)
		}
	default:
		return nil, fmt.Errorf("no such call: %q: choose from %s, %s, %s", call, CallSend, CallSendfile, CallZerocopy)
	}
	if f.file, err = unix.MemfdCreate("xsend-pattern", unix.MFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	if err = unix.Ftruncate(f.file, blocks*blockSize); err == nil {
		f.ring, err = unix.Mmap(f.file, 0, blocks*blockSize, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		unix.Close(f.file)
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	return f, nil
}

func (f *feed) close() {
	_ = unix.Munmap(f.ring) // it is mapped
	_ = unix.Close(f.file)
}

// pour sends block after block until the time is over.
func (f *feed) pour(until time.Time) error {
	for i := 0; time.Now().Before(until); i = (i + 1) % blocks {
		if f.call == CallSend {
			i = 0 // the kernel has copied it
		}
		if err := f.await(i); err != nil {
			return err
		}
		pattern.At(f.block(i), f.sent)
		if err := f.put(i); err != nil {
			return err
		}
	}
	return nil
}

func (f *feed) block(i int) []byte { return f.ring[i*blockSize : (i+1)*blockSize] }

// put sends a block.
func (f *feed) put(i int) error {
	for done := 0; done < blockSize; {
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
	rest := f.block(i)[done:]
	switch f.call {
	case CallSendfile:
		offset := int64(i*blockSize + done)
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
	switch f.call {
	case CallZerocopy:
		if err := f.notified(false); err != nil {
			return err
		}
		for f.held[i] > 0 {
			if err := f.notified(true); err != nil {
				return err
			}
		}
	case CallSendfile:
		for f.sent >= blocks*blockSize {
			unacked, err := unix.IoctlGetInt(f.fd, unix.SIOCOUTQ)
			if err != nil {
				return fmt.Errorf("SIOCOUTQ: %w", err)
			}
			if int64(unacked) <= (blocks-1)*blockSize {
				return nil
			}
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}

// notified takes the notifications that are there; it waits for one if asked to.
func (f *feed) notified(wait bool) error {
	control := make([]byte, 128)
	for {
		_, n, _, _, err := unix.Recvmsg(f.fd, nil, control, unix.MSG_ERRQUEUE|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EAGAIN) && !wait:
			return nil
		case errors.Is(err, unix.EAGAIN):
			if err := f.sleep(); err != nil {
				return err
			}
			continue
		case err != nil:
			return fmt.Errorf("read the error queue: %w", err)
		}
		if err := f.note(control[:n]); err != nil {
			return err
		}
		wait = false
	}
}

// sleep returns when something may be on the error queue. That is POLLERR, which nobody has to ask for.
func (f *feed) sleep() error {
	state := []unix.PollFd{{Fd: int32(f.fd)}}
	ready, err := unix.Poll(state, int(farewell.Milliseconds()))
	switch {
	case errors.Is(err, unix.EINTR):
		return nil
	case err != nil:
		return fmt.Errorf("poll: %w", err)
	case ready == 0:
		return errors.New("no notification came")
	}
	if n, err := unix.GetsockoptInt(f.fd, unix.SOL_SOCKET, unix.SO_ERROR); err == nil && n != 0 {
		return syscall.Errno(n)
	}
	if state[0].Revents&unix.POLLHUP != 0 {
		return errors.New("the connection has ended")
	}
	return nil
}

// note takes over a notification: struct sock_extended_err of linux/errqueue.h, with a range of calls.
func (f *feed) note(control []byte) error {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return fmt.Errorf("read the error queue: %w", err)
	}
	for _, m := range messages {
		of4 := m.Header.Level == unix.IPPROTO_IP && m.Header.Type == unix.IP_RECVERR
		of6 := m.Header.Level == unix.IPPROTO_IPV6 && m.Header.Type == unix.IPV6_RECVERR
		if !of4 && !of6 || len(m.Data) < 16 || m.Data[4] != unix.SO_EE_ORIGIN_ZEROCOPY {
			continue
		}
		first, last := binary.NativeEndian.Uint32(m.Data[8:]), binary.NativeEndian.Uint32(m.Data[12:])
		if last-first >= uint32(len(f.calls)) {
			return fmt.Errorf("the kernel notifies of calls %d to %d, and %d are under way", first, last, len(f.calls))
		}
		for id := first; ; id++ {
			if i, ok := f.calls[id]; ok {
				delete(f.calls, id)
				f.held[i]--
				f.completed++
				if m.Data[6]&unix.SO_EE_CODE_ZEROCOPY_COPIED != 0 {
					f.copied++
				}
			}
			if id == last {
				break
			}
		}
	}
	return nil
}
