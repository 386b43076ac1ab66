package asavie

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// mapping is one line of /proc/self/maps that shows a socket.
type mapping struct {
	start, end uintptr
	inode      uint64
	offset     int64
}

// parseMapping reads one line of /proc/self/maps; false where it shows no socket:
//
//	7f1c8a400000-7f1c8a403000 rw-s 180000000 00:08 40183  socket:[40183]
func parseMapping(line string) (m mapping, ok bool) {
	f := strings.Fields(line)
	if len(f) != 6 || !strings.HasPrefix(f[5], "socket:[") {
		return m, false
	}
	from, to, ok := strings.Cut(f[0], "-")
	start, err1 := strconv.ParseUint(from, 16, 64)
	end, err2 := strconv.ParseUint(to, 16, 64)
	offset, err3 := strconv.ParseInt(f[2], 16, 64)
	inode, err4 := strconv.ParseUint(f[4], 10, 64)
	if !ok || errors.Join(err1, err2, err3, err4) != nil || start >= end {
		return m, false
	}
	return mapping{uintptr(start), uintptr(end), inode, offset}, true
}

// ringMappings are the mapped rings of AF_XDP sockets in this process: sockets
// with a mapping at an offset that only AF_XDP has.
func ringMappings() (map[uint64][]mapping, error) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return nil, fmt.Errorf("find the mapped rings: %w", err)
	}
	defer f.Close()
	all := map[uint64][]mapping{}
	ours := map[uint64]bool{}
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		m, ok := parseMapping(lines.Text())
		if !ok {
			continue
		}
		all[m.inode] = append(all[m.inode], m)
		ours[m.inode] = ours[m.inode] || m.offset >= unix.XDP_PGOFF_TX_RING
	}
	for inode := range all {
		if !ours[inode] {
			delete(all, inode)
		}
	}
	return all, lines.Err()
}

// mappingsOf are the mapped rings of the socket fd.
func mappingsOf(fd int) ([]mapping, error) {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return nil, fmt.Errorf("fstat: %w", err)
	}
	all, err := ringMappings()
	if err == nil && len(all[st.Ino]) == 0 {
		err = fmt.Errorf("find the mapped rings: /proc/self/maps shows none of socket:[%d]", st.Ino)
	}
	return all[st.Ino], err
}

// openSockets are the inodes of the sockets that this process has open.
func openSockets() (map[uint64]bool, error) {
	const dir = "/proc/self/fd"
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("find the open sockets: %w", err)
	}
	open := map[uint64]bool{}
	for _, e := range entries {
		name, err := os.Readlink(dir + "/" + e.Name())
		if err != nil {
			continue // closed meanwhile
		}
		if rest, ok := strings.CutPrefix(name, "socket:["); ok {
			if inode, err := strconv.ParseUint(strings.TrimSuffix(rest, "]"), 10, 64); err == nil {
				open[inode] = true
			}
		}
	}
	return open, nil
}

// unmapOrphans unmaps the rings that came since before and belong to a socket that
// nobody has open. It looks at the mappings before and after it looks at the open
// sockets, because another goroutine may be closing a socket of its own: that one
// unmaps first, so that its rings are gone at the second look.
func unmapOrphans(before map[uint64][]mapping) error {
	first, err := ringMappings()
	if err != nil {
		return err
	}
	open, err := openSockets()
	if err != nil {
		return err
	}
	second, err := ringMappings()
	if err != nil {
		return err
	}
	var errs []error
	for inode, rings := range second {
		if before[inode] == nil && first[inode] != nil && !open[inode] {
			errs = append(errs, unmap(rings))
		}
	}
	return errors.Join(errs...)
}

// unmap is munmap for what the syscall package mapped for the library: by address,
// since the library keeps the slices to itself. The syscall package's list of
// mappings then has a stale entry, which costs 24 bytes.
func unmap(rings []mapping) error {
	var errs []error
	for _, m := range rings {
		if _, _, errno := unix.Syscall(unix.SYS_MUNMAP, m.start, m.end-m.start, 0); errno != 0 {
			errs = append(errs, fmt.Errorf("munmap a ring: %w", errno))
		}
	}
	return errors.Join(errs...)
}
