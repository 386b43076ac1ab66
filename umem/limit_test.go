package umem

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// limitEnv makes a run of the test binary the child that limits itself.
const limitEnv = "XSEND_TEST_LIMIT"

// TestMapWithoutMemory runs Map in a process that may not map so much, or has no
// file descriptor left: the error says what to do, and no half-made region stays.
func TestMapWithoutMemory(t *testing.T) {
	if name := os.Getenv(limitEnv); name != "" {
		fmt.Println(limited(name))
		return
	}
	for name, want := range map[string]string{
		"first view":  "mmap: ",
		"second view": "mmap of the second view: ",
		"descriptors": "memfd_create: ",
		"file size":   "ftruncate: ",
	} {
		child := exec.Command(os.Args[0], "-test.run=^TestMapWithoutMemory$")
		child.Env = append(os.Environ(), limitEnv+"="+name)
		out, err := child.CombinedOutput()
		text := string(out)
		if err != nil || !strings.Contains(text, "refused: ") || !strings.Contains(text, want) ||
			!strings.Contains(text, "fewer frames need less") {
			t.Errorf("%s: %v\n%s", name, err, text)
		}
	}
}

// limited maps under a limit and says how it went.
func limited(name string) string {
	const frames = 128 << 20 / MinChunk // two views of 128 MiB
	resource, value := unix.RLIMIT_AS, mappedBytes()
	switch name {
	case "first view":
		value += 64 << 20
	case "second view":
		value += 192 << 20
	case "descriptors":
		resource, value = unix.RLIMIT_NOFILE, 0
	case "file size":
		signal.Ignore(unix.SIGXFSZ) // else it kills
		resource, value = unix.RLIMIT_FSIZE, 1<<20
	}
	if err := unix.Setrlimit(resource, &unix.Rlimit{Cur: value, Max: value}); err != nil {
		return err.Error()
	}
	before := mappedViews()
	_, err := Map(Config{Frames: frames})
	switch {
	case err == nil:
		return "not refused"
	case !errors.Is(err, ErrNoMemory):
		return "another error: " + err.Error()
	case name != "descriptors" && mappedViews() != before:
		return "a view stays mapped: " + err.Error()
	}
	return "refused: " + err.Error()
}

// mappedBytes is the size of the process's address space.
func mappedBytes() (size uint64) {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		panic(err)
	}
	if _, err := fmt.Sscan(string(b), &size); err != nil {
		panic(err)
	}
	return size * uint64(os.Getpagesize())
}

// mappedViews is how many views of regions are mapped.
func mappedViews() int {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return -1
	}
	return strings.Count(string(b), "xsend-umem")
}
