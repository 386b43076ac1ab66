package asavie

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestParseMapping(t *testing.T) {
	got, ok := parseMapping("7f1c8a400000-7f1c8a403000 rw-s 180000000 00:08 40183                      socket:[40183]")
	want := mapping{0x7f1c8a400000, 0x7f1c8a403000, 40183, unix.XDP_UMEM_PGOFF_COMPLETION_RING}
	if !ok || got != want {
		t.Errorf("%+v, %v, want %+v", got, ok, want)
	}
	for _, line := range []string{
		"",
		"7f1c8a400000-7f1c8a403000 rw-p 00000000 00:00 0",
		"7f1c8a400000-7f1c8a403000 r-xp 00000000 08:01 1234 /usr/bin/cat",
		"7f1c8a403000-7f1c8a400000 rw-s 180000000 00:08 40183 socket:[40183]",
		"7f1c8a400000 rw-s 180000000 00:08 40183 socket:[40183]",
		"x-y rw-s 180000000 00:08 40183 socket:[40183]",
		"7f1c8a400000-7f1c8a403000 rw-s 180000000 00:08 -1 socket:[40183]",
	} {
		if m, ok := parseMapping(line); ok {
			t.Errorf("%q parsed as %+v", line, m)
		}
	}
}

func FuzzParseMapping(f *testing.F) {
	f.Add("7f1c8a400000-7f1c8a403000 rw-s 180000000 00:08 40183 socket:[40183]")
	f.Add("7f1c8a400000-7f1c8a403000 rw-p 00000000 00:00 0")
	f.Add("- - - - - socket:[")
	f.Fuzz(func(t *testing.T, line string) {
		if m, ok := parseMapping(line); ok && m.start >= m.end {
			t.Errorf("%q: a mapping of no length, which munmap must not get: %+v", line, m)
		}
	})
}

func TestErrnoIn(t *testing.T) {
	for text, want := range map[string]unix.Errno{
		"syscall.Bind SockaddrXDP failed: device or resource busy":                     unix.EBUSY,
		"syscall.Socket failed: operation not permitted":                               unix.EPERM,
		"unix.SetsockoptUint64 XDP_UMEM_REG failed: no buffer space available":         unix.ENOBUFS,
		"syscall.Bind SockaddrXDP failed: device or resource busy\nmunmap a ring: bad": unix.EBUSY,
		"":                              0,
		"something else":                0,
		"RxRingNumDescs cannot be zero": 0,
	} {
		if got := errnoIn(text); got != want {
			t.Errorf("%q: %v, want %v", text, got, want)
		}
	}
}

// FuzzErrnoIn: the number is of an error whose words are there.
func FuzzErrnoIn(f *testing.F) {
	f.Add("syscall.Bind SockaddrXDP failed: device or resource busy\nmunmap a ring: bad")
	f.Add(": errno 41") // a number without words
	f.Add("\n: operation not permitted")
	f.Fuzz(func(t *testing.T, text string) {
		if errno := errnoIn(text); errno != 0 && !strings.Contains(text, errno.Error()) {
			t.Errorf("%q: %v", text, errno)
		}
	})
}
