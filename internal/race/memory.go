package race

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// Marker is what a writer leaves in a buffer that is its own again.
const Marker = 0xEE

// memory is the buffers of a writer of the kernel's TCP: a file in memory, mapped, so that all APIs send the same pages.
type memory struct {
	file  int
	bytes []byte
	round int
}

func newMemory(buffers, round int) (m *memory, err error) {
	m = &memory{file: -1, round: round}
	if m.file, err = unix.MemfdCreate("xsend-race", unix.MFD_CLOEXEC); err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	size := buffers * round
	if err = unix.Ftruncate(m.file, int64(size)); err == nil {
		m.bytes, err = unix.Mmap(m.file, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("map %d bytes: %w", size, err), m.close())
	}
	return m, nil
}

func (m *memory) slot(i int) []byte { return m.bytes[i*m.round : (i+1)*m.round] }

func (m *memory) close() (err error) {
	if m.bytes != nil {
		err = unix.Munmap(m.bytes)
	}
	return errors.Join(err, unix.Close(m.file))
}

// marks is what a buffer is overwritten with.
var marks = func() (m [pageSize]byte) {
	for i := range m {
		m[i] = Marker
	}
	return m
}()

// mark writes the marker over b.
func mark(b []byte) {
	for len(b) > 0 {
		b = b[copy(b, marks[:]):]
	}
}
