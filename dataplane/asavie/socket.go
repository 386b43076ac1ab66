package asavie

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/internal/xsk"
	"github.com/xsend/xsend/umem"
)

// Socket is a socket of the library. It implements dataplane.Port.
type Socket struct {
	lib       *xdp.Socket
	completed *umem.Consumer[uint64] // over second: it reads, and the library's Complete consumes
	out       []xdp.Desc
	fills     []xdp.Desc
	txRing    int
	rang      dataplane.Kick // what the doorbell answered inside Tx; KickIdle: nothing to tell
	corrupt   bool
	counters  afxdp.Counters

	region *umem.Region
	waiter *xsk.Waiter
	caps   dataplane.Caps
	rings  []mapping
	second []byte
	closed bool
}

var _ dataplane.Port = (*Socket)(nil)

// FD is the socket's file descriptor, to put into an XSKMAP. It stays the Socket's.
func (s *Socket) FD() int { return s.lib.FD() }

// Region is the library's UMEM. It has one view, and is usable until Free.
func (s *Socket) Region() *umem.Region { return s.region }

// Caps implements dataplane.Port.
func (s *Socket) Caps() dataplane.Caps { return s.caps }

// Counters is how often each kind of answer came from the doorbell so far. EBUSY
// is counted as OK and EAGAIN as Again only where something stayed unsent: the
// library does not tell.
func (s *Socket) Counters() afxdp.Counters { return s.counters }

// Stats is the library's own account of the socket.
func (s *Socket) Stats() (xdp.Stats, error) { return s.lib.Stats() }

// TxRoom implements dataplane.Port.
func (s *Socket) TxRoom(n int) int { return min(n, s.lib.NumFreeTxSlots()) }

// Tx implements dataplane.Port. The library rings the doorbell at once; what that
// answered is for the next Kick to tell.
func (s *Socket) Tx(descs []umem.Desc) {
	s.out = s.out[:0]
	for _, d := range descs {
		s.out = append(s.out, xdp.Desc(d))
	}
	s.rang = max(s.rang, s.transmit(s.out))
}

// TxUnsent implements dataplane.Port.
func (s *Socket) TxUnsent() int { return s.txRing - s.lib.NumFreeTxSlots() }

// Kick implements dataplane.Port.
func (s *Socket) Kick() dataplane.Kick {
	if k := s.rang; k != dataplane.KickIdle {
		s.rang = dataplane.KickIdle
		return k
	}
	if s.TxUnsent() == 0 {
		s.counters.Idle++
		return dataplane.KickIdle
	}
	return s.transmit(nil)
}

// transmit is the library's Transmit without its panics.
func (s *Socket) transmit(descs []xdp.Desc) (k dataplane.Kick) {
	defer func() {
		if p := recover(); p != nil {
			k = s.panicked(p)
		}
	}()
	if n := s.lib.Transmit(descs); n != len(descs) {
		s.corrupt = true // there was room, says the contract
	}
	if s.TxUnsent() > 0 {
		return s.counters.Count(unix.EAGAIN)
	}
	return s.counters.Count(0)
}

// panicked makes sense of what the library panicked with: the error number of
// sendto, after the descriptors were published; or an index out of range, from an
// address that is in no frame.
func (s *Socket) panicked(p any) dataplane.Kick {
	var rc uint64
	var errno unix.Errno
	if err, ok := p.(error); ok {
		if n, _ := fmt.Sscanf(err.Error(), "sendto failed with rc=%d and errno=%d", &rc, &errno); n == 2 {
			return s.counters.Count(errno)
		}
	}
	s.corrupt = true
	s.counters.Dead++
	return dataplane.KickDead
}

// Reap implements dataplane.Port: it reads the addresses that the library's
// Complete is about to drop.
func (s *Socket) Reap(addrs []uint64) int {
	n := s.completed.Peek(len(addrs))
	if n == 0 {
		return 0
	}
	for i := range addrs[:n] {
		addrs[i] = s.completed.Take()
	}
	s.complete(n)
	return n
}

// complete is the library's Complete without its panics. After one the completion
// ring stands still: the port is of no use any more.
func (s *Socket) complete(n int) {
	defer s.distrust()
	s.lib.Complete(n)
}

// distrust catches what the library panics with when an address of the kernel's
// lies outside its UMEM.
func (s *Socket) distrust() {
	if recover() != nil {
		s.corrupt = true
	}
}

// FillRoom implements dataplane.Port.
func (s *Socket) FillRoom(n int) int { return min(n, s.lib.NumFreeFillSlots()) }

// Fill implements dataplane.Port.
func (s *Socket) Fill(addrs []uint64) {
	s.fills = s.fills[:0]
	for _, a := range addrs {
		s.fills = append(s.fills, xdp.Desc{Addr: a})
	}
	defer s.distrust()
	if s.lib.Fill(s.fills) != len(addrs) {
		s.corrupt = true
	}
}

// Rx implements dataplane.Port.
func (s *Socket) Rx(descs []umem.Desc) (n int) {
	if s.lib.NumReceived() == 0 {
		return 0
	}
	defer s.distrust()
	for i, d := range s.lib.Receive(len(descs)) {
		descs[i] = umem.Desc(d)
		n = i + 1
	}
	return n
}

// Wait implements dataplane.Port.
func (s *Socket) Wait(d time.Duration) { s.waiter.Wait(d) }

// Wake implements dataplane.Port.
func (s *Socket) Wake() { s.waiter.Wake() }

// Corrupt implements dataplane.Port.
func (s *Socket) Corrupt() bool { return s.corrupt || s.completed.Corrupt() }

// Close implements dataplane.Port. The library's own Close would unmap the UMEM
// under a writer and keep the rings mapped; this does the opposite. The socket
// goes by putting /dev/null in its place, because the library keeps the number
// and will close it in Free.
func (s *Socket) Close() error {
	if s.closed {
		return nil
	}
	s.closed = true
	errs := []error{unmap(s.rings)}
	if s.second != nil {
		errs = append(errs, unix.Munmap(s.second))
	}
	null, err := os.Open(os.DevNull)
	if err == nil {
		err = errors.Join(unix.Dup3(int(null.Fd()), s.lib.FD(), unix.O_CLOEXEC), null.Close())
	}
	errs = append(errs, err)
	if s.waiter != nil {
		errs = append(errs, s.waiter.Close())
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("close the library's socket: %w", err)
	}
	return nil
}

// Free unmaps the region of a closed socket. Nobody may look at a frame any more.
func (s *Socket) Free() error {
	if !s.closed {
		return errors.New("asavie: Free of a socket that is not closed")
	}
	if s.lib == nil {
		return nil
	}
	err := s.lib.Close()
	s.lib = nil
	return err
}

// Refused is the number of invalid descriptors, which the kernel gave back as completed and did not send: see
// dataplane.Refused.
func (s *Socket) Refused() uint64 {
	if s.closed {
		return 0
	}
	st, err := s.Stats()
	if err != nil {
		return 0
	}
	return st.KernelStats.Tx_invalid_descs
}
