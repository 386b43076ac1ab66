package asavie

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/asavie/xdp"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/dataplane"
	"github.com/xsend/xsend/dataplane/afxdp"
	"github.com/xsend/xsend/dataplane/internal/xsk"
	"github.com/xsend/xsend/umem"
)

// bindRetry is how long to wait before a queue that is in use is asked for again.
const bindRetry = 2 * time.Millisecond

// flagsMu guards xdp.DefaultSocketFlags while a socket is made.
var flagsMu sync.Mutex

// Open makes a socket with the library, in the network namespace of the calling
// thread, and takes over its UMEM. The XDP program has to be attached before. The
// error wraps ErrConfig, ErrUnsupported or an Err value of package afxdp; ctx ends
// the waiting for a queue that is in use.
func Open(ctx context.Context, cfg Config) (*Socket, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	lib, err := bind(ctx, cfg)
	if err != nil {
		return nil, err
	}
	s := &Socket{
		lib:    lib,
		txRing: cfg.TxRing,
		out:    make([]xdp.Desc, 0, cfg.TxRing),
		fills:  make([]xdp.Desc, 0, cfg.FillRing),
	}
	if err := s.takeOver(cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("%v: take over the library's socket: %w", cfg.where(), err), s.Close(), s.Free())
	}
	return s, nil
}

// bind tries the modes in turn.
func bind(ctx context.Context, cfg Config) (lib *xdp.Socket, err error) {
	for _, flags := range cfg.Mode.Attempts(cfg.GenericProgram) {
		lib, err = bindQueue(ctx, cfg, flags)
		if err == nil || errors.Is(err, afxdp.ErrQueueBusy) || ctx.Err() != nil {
			return lib, err
		}
	}
	return nil, err
}

// bindQueue makes a socket, and another one while the queue is in use.
func bindQueue(ctx context.Context, cfg Config, flags uint16) (*xdp.Socket, error) {
	again := time.NewTicker(bindRetry)
	defer again.Stop()
	end := time.NewTimer(cfg.BindTimeout)
	defer end.Stop()
	for {
		lib, err := newSocket(cfg, flags)
		if err == nil {
			return lib, nil
		}
		err = refused(cfg.where(), flags, err)
		if !errors.Is(err, afxdp.ErrQueueBusy) {
			return nil, err
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%w; gave up waiting: %w", err, context.Cause(ctx))
		case <-end.C:
			return nil, fmt.Errorf("%w; waited %v", err, cfg.BindTimeout)
		case <-again.C:
		}
	}
}

// newSocket calls the library, and sweeps up after it where it fails.
func newSocket(cfg Config, flags uint16) (*xdp.Socket, error) {
	flagsMu.Lock()
	defer flagsMu.Unlock()
	before, err := ringMappings()
	if err != nil {
		return nil, err
	}
	old := xdp.DefaultSocketFlags
	defer func() { xdp.DefaultSocketFlags = old }()
	xdp.DefaultSocketFlags = flags
	lib, err := xdp.NewSocket(cfg.Ifindex, cfg.Queue, &xdp.SocketOptions{
		NumFrames: cfg.Frames, FrameSize: cfg.ChunkSize,
		TxRingNumDescs: cfg.TxRing, RxRingNumDescs: cfg.RxRing,
		FillRingNumDescs: cfg.FillRing, CompletionRingNumDescs: cfg.CompletionRing,
	})
	if err != nil {
		return nil, errors.Join(err, unmapOrphans(before))
	}
	return lib, nil
}

// refused finds the kernel's error number in the text that is all the library
// gives, and explains it.
func refused(w xsk.Where, flags uint16, err error) error {
	errno := errnoIn(err.Error())
	if errno == 0 {
		return fmt.Errorf("%v: github.com/asavie/xdp: %w", w, err)
	}
	switch text := err.Error(); {
	case strings.Contains(text, "syscall.Socket"):
		return xsk.SocketRefused(w, errno)
	case strings.Contains(text, "XDP_UMEM_REG"):
		return xsk.RegisterRefused(w, false, errno)
	case strings.Contains(text, "syscall.Bind"):
		return xsk.BindRefused(w, flags&unix.XDP_ZEROCOPY != 0, false, errno)
	default:
		return fmt.Errorf("%v: github.com/asavie/xdp: %w: %w", w, errno, err)
	}
}

// errnoIn is the error number whose text ends the first line; 0 where there is none.
func errnoIn(text string) unix.Errno {
	line, _, _ := strings.Cut(text, "\n")
	for e := unix.Errno(1); e < 134; e++ {
		if strings.HasSuffix(line, ": "+e.Error()) {
			return e
		}
	}
	return 0
}

// takeOver lays a region under the UMEM, finds the rings to unmap at the end, and
// maps the completion ring once more.
func (s *Socket) takeOver(cfg Config) (err error) {
	fd := s.lib.FD()
	unix.CloseOnExec(fd)
	if s.rings, err = mappingsOf(fd); err != nil {
		return err
	}
	if s.waiter, err = xsk.NewWaiter(fd); err != nil {
		return err
	}
	mem := s.lib.GetFrame(xdp.Desc{Len: uint32(cfg.Frames * cfg.ChunkSize)})
	if s.region, err = umem.Over(mem, cfg.ChunkSize); err != nil {
		return err
	}
	off, err := afxdp.CompletionOffsets(fd)
	if err != nil {
		return err
	}
	s.second, err = unix.Mmap(fd, unix.XDP_UMEM_PGOFF_COMPLETION_RING, int(off.Desc)+8*cfg.CompletionRing, unix.PROT_READ, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return fmt.Errorf("map the completion ring again: %w", err)
	}
	if s.completed, err = umem.ConsumerOver[uint64](s.second, off, cfg.CompletionRing); err != nil {
		return err
	}
	options, err := unix.GetsockoptInt(fd, unix.SOL_XDP, unix.XDP_OPTIONS)
	if err != nil {
		return fmt.Errorf("XDP_OPTIONS: %w", err)
	}
	s.caps = dataplane.Caps{
		Binding: "asavie", Queue: cfg.Queue, MaxSegs: 1,
		ZeroCopy: options&unix.XDP_OPTIONS_ZEROCOPY != 0,
		TxRing:   cfg.TxRing, RxRing: cfg.RxRing, FillRing: cfg.FillRing, Completion: cfg.CompletionRing,
	}
	return nil
}
