package session

import (
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// namespace is the network namespace that the session was opened in.
type namespace struct{ file *os.File }

func currentNamespace() (*namespace, error) {
	f, err := os.Open("/proc/thread-self/ns/net")
	if err != nil {
		return nil, fmt.Errorf("network namespace of this thread: %w", err)
	}
	return &namespace{file: f}, nil
}

// do runs fn on a thread in the namespace. Usually that is the whole process's, and
// any thread will do; changing to another one needs CAP_SYS_ADMIN. Then a goroutine
// of its own carries it, and the thread dies with it, so that no other goroutine ends
// up there.
func (n *namespace) do(fn func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		if n.isHere() {
			done <- fn()
			runtime.UnlockOSThread()
			return
		}
		if unix.Gettid() == unix.Getpid() {
			// The process's first thread cannot die: it is kept busy here, so that
			// another one gets the work.
			done <- n.do(fn)
			runtime.UnlockOSThread()
			return
		}
		done <- n.enter(fn) // ends locked
	}()
	return <-done
}

// isHere reports that the calling thread is in the namespace already.
func (n *namespace) isHere() bool {
	var here, there unix.Stat_t
	if unix.Stat("/proc/thread-self/ns/net", &here) != nil || unix.Fstat(int(n.file.Fd()), &there) != nil {
		return false
	}
	return here.Dev == there.Dev && here.Ino == there.Ino
}

func (n *namespace) enter(fn func() error) error {
	if err := unix.Setns(int(n.file.Fd()), unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("enter the session's network namespace: %w", err)
	}
	return fn()
}

func (n *namespace) close() { _ = n.file.Close() }
