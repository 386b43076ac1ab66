package settings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors that the guardian is started with.
const (
	guardLock = 3 + iota // the run's lock
	guardRun             // a pidfd of the run
	guardPipe            // a byte from it says that nothing is left to do
)

// dismissal is how long a guardian may take to end when it is told to.
const dismissal = 2 * time.Second

// guardian is the run's view of the process that outlives it.
type guardian struct {
	cmd  *exec.Cmd
	pipe *os.File
}

// startGuardian starts it from the calling thread, whose namespaces it gets. There is no moment in which the run could die unseen: the pidfd is
// the run's own, made here.
func startGuardian(command []string, j *Journal, l *lock) (*guardian, error) {
	if len(command) == 0 {
		return nil, nil
	}
	fd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		return nil, fmt.Errorf("%s: guardian: open a pidfd: %w", j.Interface, err)
	}
	run := os.NewFile(uintptr(fd), "pidfd")
	defer run.Close()
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("%s: guardian: %w", j.Interface, err)
	}
	defer theirs.Close()
	args := append(command[1:len(command):len(command)], j.path, l.file.Name())
	cmd := exec.Command(command[0], args...)
	cmd.ExtraFiles = []*os.File{l.file, run, theirs}
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's signals are for the run
	if err := cmd.Start(); err != nil {
		ours.Close()
		return nil, fmt.Errorf("%s: start the guardian: %w", j.Interface, err)
	}
	return &guardian{cmd, ours}, nil
}

// dismiss tells it that there is nothing to do, and waits for its end: it holds the lock as long as it lives.
func (g *guardian) dismiss() {
	if g == nil {
		return
	}
	_, _ = g.pipe.Write([]byte{0}) // it may be dead
	_ = g.pipe.Close()
	late := time.AfterFunc(dismissal, func() { _ = g.cmd.Process.Kill() })
	_ = g.cmd.Wait()
	late.Stop()
}

// Guard is what a guardian does: it waits for the end of the run that started it, with args and descriptors of its own, and where that left
// something to put back, does it. What it did is told to log.
func Guard(args []string, log io.Writer) error {
	return guard(args, log, restorer{system, func(string) {}, restorePatience})
}

func guard(args []string, log io.Writer, with restorer) error {
	if len(args) != 2 {
		return fmt.Errorf("guardian: %d arguments: xsend starts it by itself", len(args))
	}
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // it ends after the run, not with it
	l := &lock{os.NewFile(guardLock, args[1])}
	pipe := os.NewFile(guardPipe, "pipe")
	if l.file == nil || pipe == nil || !isStill(l.file, args[1]) {
		return errors.New("guardian: descriptors are missing: xsend starts it by itself")
	}
	unix.CloseOnExec(guardLock)
	dismissed, err := awaitRun(guardRun, guardPipe)
	if err != nil || dismissed {
		return err
	}
	if err := l.sign("guardian"); err != nil {
		return err
	}
	with.step("took over")
	return errors.Join(takeOver(args[0], log, with), l.release())
}

// awaitRun returns when the run is dead, or has said that nothing is left to do.
func awaitRun(run, pipe int32) (dismissed bool, err error) {
	for {
		fds := []unix.PollFd{{Fd: run, Events: unix.POLLIN}, {Fd: pipe, Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil {
			if errors.Is(err, unix.EINTR) {
				continue
			}
			return false, fmt.Errorf("guardian: wait for the run: %w", err)
		}
		var b [1]byte
		if fds[1].Revents&unix.POLLIN != 0 {
			if n, _ := unix.Read(int(pipe), b[:]); n == 1 {
				return true, nil
			}
		}
		if fds[0].Revents != 0 {
			return false, nil
		}
		if fds[1].Revents&unix.POLLHUP != 0 { // closed without a word: the run is ending
			pause := []unix.PollFd{{Fd: run, Events: unix.POLLIN}}
			_, _ = unix.Poll(pause, -1)
		}
	}
}

// takeOver restores what a dead run left, if it left anything.
func takeOver(path string, log io.Writer, with restorer) error {
	j, err := readJournal(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	out, err := j.restore(with)
	if err != nil {
		return err
	}
	fmt.Fprintf(log, "xsend: process %d was killed; %s restored: %v\n", j.PID, j.Interface, out)
	return nil
}

// Recovered is what became of one journal.
type Recovered struct {
	Journal  *Journal
	Restored Restored
	Err      error
}

// Recover puts back what killed runs have left in the calling thread's network namespace: on one interface, or on all where name is "". It
// waits for guardians that are at work. The error is about what kept it from looking.
func Recover(ctx context.Context, dir, name string) ([]Recovered, error) {
	return recoverWith(ctx, stateDir(dir), name, restorer{system, func(string) {}, restorePatience}, guardianPatience)
}

func recoverWith(ctx context.Context, dir, name string, with restorer, wait time.Duration) (done []Recovered, err error) {
	inode, initial, err := namespace()
	if err != nil {
		return nil, err
	}
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	list, err := Pending(dir)
	for _, j := range list {
		if name != "" && name != j.Interface || !j.here(inode, initial, boot) && !j.cameHome(boot, Identity.orphaned) {
			continue
		}
		out, err := j.recover(ctx, dir, with, wait)
		done = append(done, Recovered{j, out, err})
	}
	return done, err
}

// recover takes the run's lock first. What its guardian has done meanwhile is not done again.
func (j *Journal) recover(ctx context.Context, dir string, with restorer, wait time.Duration) (out Restored, err error) {
	id := j.Identity
	if link, err := j.find(); err == nil { // after a boot it has another number
		if id, err = identify(link); err != nil {
			return Restored{}, err
		}
	}
	l, err := acquire(ctx, dir, id, wait)
	if err != nil {
		return Restored{}, err
	}
	defer func() { err = errors.Join(err, l.release()) }()
	with.step("recovering")
	if _, err := os.Stat(j.path); errors.Is(err, os.ErrNotExist) {
		return Restored{Exact: true, Settings: j.Snapshot.Len(), Differences: []Difference{}}, nil
	}
	return j.restore(with)
}
