package settings

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// guardianPatience is how long a run waits for a guardian that is still at work.
const guardianPatience = 5 * time.Second

// dying is how long a process may look alive that has been killed: closing what it had takes the kernel a while.
const dying = 500 * time.Millisecond

// lock is the one run per interface. flock(2) belongs to the open file: it lasts while the run or its guardian, which inherits the
// descriptor, lives, and no longer.
type lock struct{ file *os.File }

// holder is what a lock's file says.
type holder struct {
	guardian bool
	pid      int
}

func (id Identity) lockName() string { return fmt.Sprintf("%d.if%d.lock", id.Namespace, id.Index) }

// acquire takes the lock. It waits only for a guardian, or for one that has yet to notice that its run is dead.
func acquire(ctx context.Context, dir string, id Identity, patience time.Duration) (*lock, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("%w: %w: run as root, or %s", ErrJournal, err, stateRemedy)
	}
	path := filepath.Join(dir, id.lockName())
	for start := time.Now(); ; {
		l, err := tryLock(path)
		if err != nil {
			return nil, fmt.Errorf("%w: lock %s: %w: %s", ErrJournal, path, err, stateRemedy)
		}
		if l != nil {
			if err := l.sign("run"); err != nil {
				return nil, errors.Join(err, l.release())
			}
			return l, nil
		}
		h := readHolder(path)
		waited := time.Since(start)
		if !h.guardian && isAlive(h.pid) && waited > min(dying, patience) {
			return nil, fmt.Errorf("%s: %w: process %d holds it: wait for its end", id.Interface, ErrHeld, h.pid)
		}
		if waited > patience {
			return nil, fmt.Errorf("%s: %w: the guardian of a run that was killed, process %d, is still restoring after %v: look at what holds %s", id.Interface, ErrHeld, h.pid, patience, path)
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("%s: wait for the guardian of a run that was killed: %w", id.Interface, context.Cause(ctx))
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// tryLock returns nil where another one has it. The file may have been removed, and made anew by a third, between open and lock.
func tryLock(path string) (*lock, error) {
	for {
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
		if err != nil {
			return nil, err
		}
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		if err == nil && isStill(f, path) {
			return &lock{f}, nil
		}
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, nil
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			return nil, err
		}
	}
}

func isStill(f *os.File, path string) bool {
	mine, err := f.Stat()
	if err != nil {
		return false
	}
	there, err := os.Stat(path)
	return err == nil && os.SameFile(mine, there)
}

// sign writes who holds it.
func (l *lock) sign(who string) error {
	text := fmt.Sprintf("%-8s %10d\n", who, os.Getpid()) // of one length, so that a reader never sees a mixture of two lengths
	if _, err := l.file.WriteAt([]byte(text), 0); err != nil {
		return fmt.Errorf("%w: %w: %s", ErrJournal, err, stateRemedy)
	}
	return nil
}

func readHolder(path string) holder {
	b, err := os.ReadFile(path)
	who, number, ok := strings.Cut(string(b), " ")
	if err != nil || !ok {
		return holder{}
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(number))
	return holder{guardian: who == "guardian", pid: pid}
}

// isAlive is false for zombies: their guardian sees them as dead, too.
func isAlive(pid int) bool {
	if pid <= 0 || errors.Is(unix.Kill(pid, 0), unix.ESRCH) {
		return false
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return !os.IsNotExist(err)
	}
	state := string(b[bytes.LastIndexByte(b, ')')+1:]) // behind the name, which may hold anything
	return !strings.HasPrefix(state, " Z") && !strings.HasPrefix(state, " X")
}

// release gives the lock back and leaves no file.
func (l *lock) release() error {
	return errors.Join(removeIfThere(l.file.Name()), l.file.Close())
}
