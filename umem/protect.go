package umem

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// ErrProtect says that frames of the writers' view cannot be protected one by one.
var ErrProtect = errors.New("umem: frames cannot be protected")

// spareMaps are the mappings of a process (vm.max_map_count) that are left for everything but frames.
const spareMaps = 1024

// MostProtected is how many frames can be protected where a process may have maxMaps mappings: each frame that
// may be written is one, and so is each run of those that may not.
func MostProtected(maxMaps int) int { return max(0, maxMaps/2-spareMaps) }

// CheckProtect says why frames of a region made with c could not be protected one by one; maxMaps is the
// machine's vm.max_map_count. The error wraps ErrProtect.
func (c Config) CheckProtect(maxMaps int) error {
	page, most := os.Getpagesize(), MostProtected(maxMaps)
	switch {
	case c.HugePages:
		return fmt.Errorf("%w: they lie on huge pages of 2 MiB, and protection goes by the page: leave huge pages out", ErrProtect)
	case c.ChunkSize != page && page > MaxChunk:
		return fmt.Errorf("%w: a page of this machine has %d bytes, and a frame at most %d", ErrProtect, page, MaxChunk)
	case c.ChunkSize != page:
		return fmt.Errorf("%w: frames have %d bytes, a page has %d, and protection goes by the page: use a chunk of %d", ErrProtect, c.ChunkSize, page, page)
	case c.Frames > most:
		return fmt.Errorf("%w: %d frames: at most %d can be, half of vm.max_map_count (%d) less %d: use %d frames, or sysctl -w vm.max_map_count=%d",
			ErrProtect, c.Frames, most, maxMaps, spareMaps, most, 2*(c.Frames+spareMaps))
	}
	return nil
}

// Protect makes frame f of the writers' view one that may only be read, or one that may be written as well. The
// engine's view is not touched. The caller has had CheckProtect say that it can be; over foreign memory there is
// one view, and the error wraps ErrProtect.
func (r *Region) Protect(f Frame, writable bool) error { return r.protect(r.WriterBytes(f), writable) }

// ProtectAll is Protect of all frames; it takes no mapping more than Map did.
func (r *Region) ProtectAll(writable bool) error {
	return r.protect(r.writer[:r.frames<<r.shift], writable)
}

func (r *Region) protect(b []byte, writable bool) error {
	if r.foreign {
		return fmt.Errorf("%w: the region has one view, which the engine writes to: somebody else mapped it", ErrProtect)
	}
	prot := unix.PROT_READ
	if writable {
		prot |= unix.PROT_WRITE
	}
	if err := unix.Mprotect(b, prot); err != nil {
		return fmt.Errorf("%w: mprotect: %w", ErrProtect, err)
	}
	return nil
}
