package xsk

import (
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair is a connected socket pair: the waiter's, and the one to write to.
func pair(t *testing.T) (w *Waiter, own, other int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	w, err = NewWaiter(fds[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.Close(); _ = unix.Close(fds[0]) })
	return w, fds[0], fds[1]
}

func TestWaitEndsWhenReadable(t *testing.T) {
	w, _, other := pair(t)
	defer unix.Close(other)
	if _, err := unix.Write(other, []byte{1}); err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	w.Wait(time.Minute)
	if time.Since(start) > 30*time.Second {
		t.Error("waited although there was something to read")
	}
}

// A socket in error must not turn Wait into a busy loop.
func TestWaitLeavesOutASocketInError(t *testing.T) {
	w, _, other := pair(t)
	if err := unix.Close(other); err != nil { // POLLHUP, for ever
		t.Fatal(err)
	}
	n := 0
	for start := time.Now(); time.Since(start) < 50*time.Millisecond; n++ {
		w.Wait(5 * time.Millisecond)
	}
	if n > 30 {
		t.Errorf("Wait(5ms) returned %d times in 50ms", n)
	}
	w.Wake()
	start := time.Now()
	if w.Wait(time.Minute); time.Since(start) > 30*time.Second {
		t.Error("Wake does not end Wait any more")
	}
}

// Wake races with Close and must never write to somebody else's file: what is
// opened meanwhile, with the same number perhaps, stays empty.
func TestWakeRacesClose(t *testing.T) {
	for range 200 {
		w, _, other := pair(t)
		var wg sync.WaitGroup
		wg.Go(func() {
			for range 20 {
				w.Wake()
			}
		})
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		fd, err := unix.MemfdCreate("victim", unix.MFD_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		wg.Wait()
		if err := unix.Fstat(fd, &st); err != nil || st.Size != 0 {
			t.Fatalf("Wake after Close wrote %d bytes to another file (%v)", st.Size, err)
		}
		_ = unix.Close(fd)
		_ = unix.Close(other)
	}
}
