package afxdp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/internal/xsk"
	"github.com/xsend/xsend/umem"
)

// bindRetry is how long to wait before a queue that is in use is asked for again.
// The kernel frees a closed socket's queue about 30 ms later.
const bindRetry = 2 * time.Millisecond

// Open makes a socket, registers the region with it and binds it to its queue.
// The XDP program has to be attached before, in the same network namespace as the
// calling thread's. The error wraps one of the Err values of this package; ctx
// ends the waiting for a queue that is in use.
func Open(ctx context.Context, cfg Config) (*Socket, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_XDP, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, xsk.SocketRefused(cfg.where(), err)
	}
	s := &Socket{fd: fd}
	if err := s.setUp(ctx, cfg); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// setUp follows the one order that the kernel takes: region, rings, bind.
func (s *Socket) setUp(ctx context.Context, cfg Config) (err error) {
	if s.waiter, err = xsk.NewWaiter(s.fd); err != nil {
		return err
	}
	w := cfg.where()
	if err := register(s.fd, cfg.Region.Memory(), cfg.Region.ChunkSize(), cfg.TxMetadataLen, cfg.TxSoftwareChecksum); err != nil {
		return xsk.RegisterRefused(w, cfg.TxMetadataLen > 0, err)
	}
	if err := s.makeRings(w, cfg); err != nil {
		return err
	}
	s.raiseLimits(cfg)
	if err := s.bind(ctx, cfg); err != nil {
		return err
	}
	return s.readBack(cfg)
}

// makeRings sizes the four rings and lays our ends over them.
func (s *Socket) makeRings(w xsk.Where, cfg Config) error {
	for _, r := range []struct {
		name   string
		option int
		n      int
	}{
		{"fill", unix.XDP_UMEM_FILL_RING, cfg.FillRing},
		{"completion", unix.XDP_UMEM_COMPLETION_RING, cfg.CompletionRing},
		{"RX", unix.XDP_RX_RING, cfg.RxRing},
		{"TX", unix.XDP_TX_RING, cfg.TxRing},
	} {
		if err := unix.SetsockoptInt(s.fd, unix.SOL_XDP, r.option, r.n); err != nil {
			return xsk.RingRefused(w, r.name, r.n, err)
		}
	}
	off, err := mmapOffsets(s.fd)
	if err != nil {
		return xsk.Refused(w, "ask for the ring layout", nil, err, "")
	}
	s.fill, err = mapRing(s, unix.XDP_UMEM_PGOFF_FILL_RING, off.Fr, cfg.FillRing, 8, umem.ProducerOver[uint64])
	if err != nil {
		return xsk.RingRefused(w, "fill", cfg.FillRing, err)
	}
	s.completion, err = mapRing(s, unix.XDP_UMEM_PGOFF_COMPLETION_RING, off.Cr, cfg.CompletionRing, 8, umem.ConsumerOver[uint64])
	if err != nil {
		return xsk.RingRefused(w, "completion", cfg.CompletionRing, err)
	}
	s.rx, err = mapRing(s, unix.XDP_PGOFF_RX_RING, off.Rx, cfg.RxRing, 16, umem.ConsumerOver[umem.Desc])
	if err != nil {
		return xsk.RingRefused(w, "RX", cfg.RxRing, err)
	}
	s.tx, err = mapRing(s, unix.XDP_PGOFF_TX_RING, off.Tx, cfg.TxRing, 16, umem.ProducerOver[umem.Desc])
	if err != nil {
		return xsk.RingRefused(w, "TX", cfg.TxRing, err)
	}
	return nil
}

// mapRing maps one ring of n entries of size bytes, to be unmapped by Close, and
// lays end over it.
func mapRing[R any](s *Socket, page int64, off unix.XDPRingOffset, n, size int, end func([]byte, umem.Offsets, int) (R, error)) (R, error) {
	mem, err := unix.Mmap(s.fd, page, int(off.Desc)+n*size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		var none R
		return none, err
	}
	s.maps = append(s.maps, mem)
	return end(mem, umem.Offsets(off), n)
}

// raiseLimits asks for more than the defaults of copy mode. An old kernel or a
// missing capability costs speed, not correctness: what is in force is reported.
func (s *Socket) raiseLimits(cfg Config) {
	s.budget = defaultBudget
	if unix.SetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_MAX_TX_SKB_BUDGET, cfg.TxBudget) == nil {
		s.budget = cfg.TxBudget
	}
	if unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, cfg.SendBuffer) != nil {
		_ = unix.SetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF, cfg.SendBuffer)
	}
	s.sendBuffer, _ = unix.GetsockoptInt(s.fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
}

// bind tries the modes in turn.
func (s *Socket) bind(ctx context.Context, cfg Config) (err error) {
	var flags uint16
	if !cfg.NoWakeup {
		flags |= unix.XDP_USE_NEED_WAKEUP
	}
	if cfg.SG {
		flags |= unix.XDP_USE_SG
	}
	for _, mode := range cfg.Mode.Attempts(cfg.GenericProgram) {
		err = bindQueue(ctx, s.fd, cfg, flags|mode)
		if err == nil || errors.Is(err, ErrQueueBusy) || ctx.Err() != nil {
			return err // who waited for a queue in vain does not wait twice
		}
	}
	return err
}

// bindQueue binds, and binds again while the queue is in use.
func bindQueue(ctx context.Context, fd int, cfg Config, flags uint16) error {
	sa := &unix.SockaddrXDP{Flags: flags, Ifindex: uint32(cfg.Ifindex), QueueID: uint32(cfg.Queue)}
	refused := func(err error) error {
		return xsk.BindRefused(cfg.where(), flags&unix.XDP_ZEROCOPY != 0, cfg.SG, err)
	}
	again := time.NewTicker(bindRetry)
	defer again.Stop()
	end := time.NewTimer(cfg.BindTimeout)
	defer end.Stop()
	for {
		err := unix.Bind(fd, sa)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EBUSY) {
			return refused(err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w; gave up waiting: %w", refused(err), context.Cause(ctx))
		case <-end.C:
			return fmt.Errorf("%w; waited %v", refused(err), cfg.BindTimeout)
		case <-again.C:
		}
	}
}

// readBack asks what is really active.
func (s *Socket) readBack(cfg Config) error {
	options, err := unix.GetsockoptInt(s.fd, unix.SOL_XDP, unix.XDP_OPTIONS)
	if err != nil {
		return xsk.Refused(cfg.where(), "ask for the active mode", nil, err, "")
	}
	s.caps = dataplane.Caps{
		Binding: "native", Queue: cfg.Queue,
		ZeroCopy:   options&unix.XDP_OPTIONS_ZEROCOPY != 0,
		SG:         cfg.SG,
		MaxSegs:    1,
		TxMetadata: cfg.TxMetadataLen > 0,
		TxRing:     cfg.TxRing, RxRing: cfg.RxRing, FillRing: cfg.FillRing, Completion: cfg.CompletionRing,
	}
	switch {
	case cfg.SG && s.caps.ZeroCopy:
		s.caps.MaxSegs = cfg.ZeroCopyMaxSegs
	case cfg.SG:
		s.caps.MaxSegs = copyMaxSegs
	}
	if s.caps.ZeroCopy {
		s.budget = 0
	}
	s.onDemand = s.caps.ZeroCopy && !cfg.NoWakeup
	return nil
}
