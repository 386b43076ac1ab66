package umem

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Frame is the number of a frame in its region: its address divided by the chunk
// size. It is an index, never an address.
type Frame uint32

// NoFrame is no frame.
const NoFrame = Frame(math.MaxUint32)

// Limits of the chunk size in aligned mode:
// https://docs.kernel.org/networking/af_xdp.html (UMEM: a power of two, 2048 to a page).
const (
	MinChunk = 2048
	MaxChunk = 4096
)

var (
	// ErrGeometry says that frames and chunk size cannot make a region.
	ErrGeometry = errors.New("umem: bad geometry")
	// ErrHugePages says that the kernel has no huge pages reserved for the region.
	ErrHugePages = errors.New("umem: no huge pages")
	// ErrNoMemory says that the region cannot be mapped at all.
	ErrNoMemory = errors.New("umem: cannot map memory")
)

// Config describes a region. ChunkSize 0 means 2048.
type Config struct {
	Frames    int  // number of frames, at least 1
	ChunkSize int  // bytes in a frame: 2048 or 4096
	HugePages bool // back the region with 2 MiB huge pages
}

// Region is the memory of all frames: Frames × ChunkSize bytes.
type Region struct {
	engine  []byte
	writer  []byte
	chunk   int
	shift   uint
	frames  int
	foreign bool
}

const hugePage = 2 << 20

// Map makes a region of its own: a memfd mapped twice. The caller closes it
// after every socket that registered it is closed. The error wraps ErrGeometry,
// ErrHugePages or ErrNoMemory.
func Map(cfg Config) (*Region, error) {
	if cfg.ChunkSize == 0 {
		cfg.ChunkSize = MinChunk
	}
	if err := checkGeometry(cfg.Frames, cfg.ChunkSize); err != nil {
		return nil, err
	}
	size := cfg.Frames * cfg.ChunkSize
	flags := unix.MFD_CLOEXEC
	if cfg.HugePages {
		flags |= unix.MFD_HUGETLB | unix.MFD_HUGE_2MB
		size = (size + hugePage - 1) &^ (hugePage - 1)
	}
	if err := checkMachine(size); err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("xsend-umem", flags)
	if err != nil {
		return nil, mapError(cfg.HugePages, size, fmt.Errorf("memfd_create: %w", err))
	}
	defer unix.Close(fd) //nolint:errcheck // the mappings keep the memory alive
	engine, writer, err := mapTwice(fd, size)
	if err != nil {
		return nil, mapError(cfg.HugePages, size, err)
	}
	return over(engine, writer, cfg.Frames, cfg.ChunkSize), nil
}

// Over makes a region of memory that somebody else mapped, and keeps it mapped
// for the region's life: page-aligned, a whole number of chunks. It has one view;
// Views reports that.
func Over(mem []byte, chunk int) (*Region, error) {
	if err := checkGeometry(len(mem)/max(chunk, 1), chunk); err != nil {
		return nil, err
	}
	if len(mem)%chunk != 0 {
		return nil, fmt.Errorf("%w: %d bytes are not a whole number of %d-byte chunks: %d bytes are",
			ErrGeometry, len(mem), chunk, len(mem)/chunk*chunk)
	}
	if page := os.Getpagesize(); misaligned(mem, page) {
		return nil, fmt.Errorf("%w: memory must start at a multiple of the page size, %d bytes, as mmap returns it", ErrGeometry, page)
	}
	r := over(mem, mem, len(mem)/chunk, chunk)
	r.foreign = true
	return r, nil
}

func over(engine, writer []byte, frames, chunk int) *Region {
	r := &Region{engine: engine, writer: writer, chunk: chunk, frames: frames}
	for 1<<r.shift < chunk {
		r.shift++
	}
	return r
}

func checkGeometry(frames, chunk int) error {
	if chunk < MinChunk || chunk > MaxChunk || chunk&(chunk-1) != 0 {
		return fmt.Errorf("%w: chunk size %d: must be a power of two from %d to %d", ErrGeometry, chunk, MinChunk, MaxChunk)
	}
	if frames < 1 || int64(frames) >= int64(NoFrame) || frames > math.MaxInt/chunk {
		return fmt.Errorf("%w: %d frames: must be from 1 to %d", ErrGeometry, frames, min(int64(NoFrame)-1, int64(math.MaxInt/chunk)))
	}
	return nil
}

func mapTwice(fd, size int) (engine, writer []byte, err error) {
	if err := unix.Ftruncate(fd, int64(size)); err != nil {
		return nil, nil, fmt.Errorf("ftruncate: %w", err)
	}
	const prot = unix.PROT_READ | unix.PROT_WRITE
	engine, err = unix.Mmap(fd, 0, size, prot, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, nil, fmt.Errorf("mmap: %w", err)
	}
	writer, err = unix.Mmap(fd, 0, size, prot, unix.MAP_SHARED|unix.MAP_POPULATE)
	if err != nil {
		return nil, nil, errors.Join(fmt.Errorf("mmap of the second view: %w", err), unix.Munmap(engine))
	}
	return engine, writer, nil
}

// mapPlain is memory that no device sees. Its pages come when they are first used.
func mapPlain(size int) ([]byte, error) {
	if err := checkMachine(size); err != nil {
		return nil, err
	}
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS)
	if err != nil {
		return nil, fmt.Errorf("%w: mmap of %d bytes: %w", ErrNoMemory, size, err)
	}
	return mem, nil
}

func unmapPlain(mem []byte) error { return unix.Munmap(mem) }

// checkMachine refuses what the machine cannot hold whatever is freed: populating
// the mapping would not fail, it would wake the OOM killer.
func checkMachine(size int) error {
	var info unix.Sysinfo_t
	if err := unix.Sysinfo(&info); err != nil {
		return fmt.Errorf("%w: sysinfo: %w", ErrNoMemory, err)
	}
	if total := uint64(info.Totalram) * uint64(info.Unit); uint64(size) > total {
		return fmt.Errorf("%w: %d bytes, but the machine has %d (fewer frames need less)", ErrNoMemory, size, total)
	}
	return nil
}

func mapError(huge bool, size int, err error) error {
	if !huge {
		return fmt.Errorf("%w: %d bytes: %w (fewer frames need less)", ErrNoMemory, size, err)
	}
	n := size / hugePage
	return fmt.Errorf("%w: %d bytes need %d huge pages of 2 MiB: %w (sysctl vm.nr_hugepages=%d reserves them)",
		ErrHugePages, size, n, err, n)
}

// Close unmaps a region that Map made. The memory must not be used afterwards.
func (r *Region) Close() error {
	if r.foreign || r.engine == nil {
		return nil
	}
	err := errors.Join(unix.Munmap(r.engine), unix.Munmap(r.writer))
	r.engine, r.writer = nil, nil
	return err
}

// Frames is the number of frames.
func (r *Region) Frames() int { return r.frames }

// ChunkSize is the number of bytes in a frame.
func (r *Region) ChunkSize() int { return r.chunk }

// Views is 2 where writers have a mapping of their own, 1 over foreign memory.
func (r *Region) Views() int {
	if r.foreign {
		return 1
	}
	return 2
}

// Memory is the engine's view of the whole region: what a socket registers.
func (r *Region) Memory() []byte { return r.engine[: r.frames<<r.shift : r.frames<<r.shift] }

// Bytes is the engine's view of frame f. Its capacity ends with the frame, so
// that an append cannot spill into the next one.
func (r *Region) Bytes(f Frame) []byte {
	i := int(f) << r.shift
	return r.engine[i : i+r.chunk : i+r.chunk]
}

// WriterBytes is the writers' view of frame f.
func (r *Region) WriterBytes(f Frame) []byte {
	i := int(f) << r.shift
	return r.writer[i : i+r.chunk : i+r.chunk]
}

// Addr is the UMEM address of the first byte of frame f.
func (r *Region) Addr(f Frame) uint64 { return uint64(f) << r.shift }

// FrameAt is the frame that the UMEM address lies in; false where it lies in none.
func (r *Region) FrameAt(addr uint64) (Frame, bool) {
	f := addr >> r.shift
	if f >= uint64(r.frames) {
		return NoFrame, false
	}
	return Frame(f), true
}
