package afxdp

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/internal/xsk"
	"github.com/xsend/xsend/umem"
)

// Socket is an AF_XDP socket bound to one queue. It implements dataplane.Port.
type Socket struct {
	tx         *umem.Producer[umem.Desc]
	completion *umem.Consumer[uint64]
	fill       *umem.Producer[uint64]
	rx         *umem.Consumer[umem.Desc]
	fd         int
	onDemand   bool // ring the doorbell only where the kernel's flag asks for it
	counters   Counters

	waiter     *xsk.Waiter
	caps       dataplane.Caps
	budget     int
	sendBuffer int
	busyPoll   time.Duration
	maps       [][]byte
}

var _ dataplane.Port = (*Socket)(nil)

// Counters is how often each kind of answer came from the doorbell.
type Counters = xsk.Counters

// FD is the socket's file descriptor, to put into an XSKMAP. It stays the Socket's.
func (s *Socket) FD() int { return s.fd }

// Caps implements dataplane.Port.
func (s *Socket) Caps() dataplane.Caps { return s.caps }

// Budget is how many descriptors one Kick takes at most; 0 in zero-copy mode,
// where Kick only wakes the driver.
func (s *Socket) Budget() int { return s.budget }

// BusyPoll is how long a system call polls the driver, as the kernel has it; 0 = not at all.
func (s *Socket) BusyPoll() time.Duration { return s.busyPoll }

// SendBuffer is the socket's send buffer in bytes as the kernel counts it. Copy
// mode stops taking descriptors (KickAgain) when frames in flight fill it.
func (s *Socket) SendBuffer() int { return s.sendBuffer }

// Counters is how often each kind of answer came from the doorbell so far. It is
// for the goroutine that the Socket belongs to.
func (s *Socket) Counters() Counters { return s.counters }

// TxRoom implements dataplane.Port.
func (s *Socket) TxRoom(n int) int { return s.tx.Reserve(n) }

// Tx implements dataplane.Port.
func (s *Socket) Tx(descs []umem.Desc) {
	for _, d := range descs {
		s.tx.Put(d)
	}
	s.tx.Submit()
}

// TxUnsent implements dataplane.Port.
func (s *Socket) TxUnsent() int { return s.tx.Pending() }

// Reap implements dataplane.Port.
func (s *Socket) Reap(addrs []uint64) int {
	n := s.completion.Peek(len(addrs))
	if n == 0 {
		return 0
	}
	for i := range addrs[:n] {
		addrs[i] = s.completion.Take()
	}
	s.completion.Release()
	return n
}

// FillRoom implements dataplane.Port.
func (s *Socket) FillRoom(n int) int { return s.fill.Reserve(n) }

// Fill implements dataplane.Port. In zero-copy mode it wakes a driver that ran
// out of frames to receive into.
func (s *Socket) Fill(addrs []uint64) {
	for _, a := range addrs {
		s.fill.Put(a)
	}
	s.fill.Submit()
	if s.onDemand && s.fill.NeedWakeup() {
		wakeReceiver(s.fd)
	}
}

// Rx implements dataplane.Port. An address is where the packet starts: behind the
// headroom of its chunk, not at the chunk's start.
func (s *Socket) Rx(descs []umem.Desc) int {
	n := s.rx.Peek(len(descs))
	if n == 0 {
		return 0
	}
	for i := range descs[:n] {
		descs[i] = s.rx.Take()
	}
	s.rx.Release()
	return n
}

// Wait implements dataplane.Port. It waits for what was received, not for room or
// completions, neither of which the kernel signals in a useful way.
func (s *Socket) Wait(d time.Duration) { s.waiter.Wait(d) }

// Wake implements dataplane.Port.
func (s *Socket) Wake() { s.waiter.Wake() }

// Corrupt implements dataplane.Port.
func (s *Socket) Corrupt() bool {
	return s.completion.Corrupt() || s.rx.Corrupt() || uint(s.tx.Pending()) > uint(s.tx.Cap())
}

// Close implements dataplane.Port. The region stays mapped: it is the caller's.
// The kernel lets go of queue and region up to some 30 ms later.
func (s *Socket) Close() error {
	if s.fd < 0 {
		return nil
	}
	var errs []error
	for _, m := range s.maps { // first: a mapped ring keeps the socket alive, and the queue with it
		errs = append(errs, unix.Munmap(m))
	}
	s.maps = nil
	errs = append(errs, unix.Close(s.fd))
	s.fd = -1
	if s.waiter != nil {
		errs = append(errs, s.waiter.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close AF_XDP socket: %w", err)
	}
	return nil
}
