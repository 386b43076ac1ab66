package trap

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"regexp"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Descriptors that the monitor is started with.
const (
	monitorTable = 3 + iota
	monitorCrash // what Go says when the process ends by itself
)

// dismissal is how long a monitor may take to end once nobody can tell it anything any more.
const dismissal = 2 * time.Second

// monitor is the process that outlives this one.
type monitor struct {
	cmd *exec.Cmd
}

// watched says that the process has a monitor: what Go says in a crash goes to one file.
var watched atomic.Bool

// Watch starts command, which has to call Monitor, and has Go tell it of this process's crash. One trap of a process can be watched
// at a time, and the program must not use debug.SetCrashOutput itself meanwhile.
func (t *Trap) Watch(command []string) error {
	if len(command) == 0 {
		return nil
	}
	if !watched.CompareAndSwap(false, true) {
		return errors.New("trap: another trap of this process has a monitor: Go tells of a crash once")
	}
	m, err := t.startMonitor(command)
	if err != nil {
		watched.Store(false)
		return fmt.Errorf("trap: start the monitor: %w", err)
	}
	t.monitor = m
	return nil
}

func (t *Trap) startMonitor(command []string) (*monitor, error) {
	theirs, ours, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer ours.Close()
	defer theirs.Close()
	fd, err := unix.FcntlInt(uintptr(t.fd), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	mem := os.NewFile(uintptr(fd), "table")
	defer mem.Close()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.ExtraFiles = []*os.File{mem, theirs}
	cmd.Stderr = os.Stderr
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // the terminal's signals are for the run
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := debug.SetCrashOutput(ours, debug.CrashOptions{}); err != nil { // it keeps a descriptor of its own
		return nil, errors.Join(err, cmd.Process.Kill(), cmd.Wait())
	}
	return &monitor{cmd}, nil
}

// dismiss closes the last end of the pipe, which the monitor ends by.
func (m *monitor) dismiss() error {
	if m == nil {
		return nil
	}
	defer watched.Store(false)
	if err := debug.SetCrashOutput(nil, debug.CrashOptions{}); err != nil {
		return err
	}
	late := time.AfterFunc(dismissal, func() { _ = m.cmd.Process.Kill() })
	defer late.Stop()
	if err := m.cmd.Wait(); err != nil {
		return fmt.Errorf("trap: the monitor: %w", err)
	}
	return nil
}

// mostWords is how much of what Go says is read: the fault comes first.
const mostWords = 64 << 10

// faultLine is how Go names the address of a fault (runtime, dopanic): https://pkg.go.dev/runtime/debug#SetCrashOutput.
var faultLine = regexp.MustCompile(`(?m)^\[signal SIG[A-Z]+.* addr=0x([0-9a-f]+) `)

// Monitor is what a monitor does, with descriptors of its own: it waits for the end of the process that started it, and where that was
// a fault in a frame, tells log which frame, who held it and who wrote to it last.
func Monitor(log io.Writer) error {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE) // it ends after the run, not with it
	t, err := openTable(monitorTable)
	if err != nil {
		return fmt.Errorf("%w: xsend starts the monitor by itself", err)
	}
	crash := os.NewFile(monitorCrash, "crash")
	if crash == nil {
		return errors.New("trap: a descriptor is missing: xsend starts the monitor by itself")
	}
	words, err := io.ReadAll(io.LimitReader(crash, mostWords))
	if err == nil {
		_, err = io.Copy(io.Discard, crash) // until it is dead
	}
	if text := t.resolve(words); text != "" {
		fmt.Fprintln(log, text)
	}
	return errors.Join(err, t.unmap())
}

// resolve says what frame a crash is about; "" where it is about none.
func (t *table) resolve(words []byte) string {
	m := faultLine.FindSubmatch(bytes.ToValidUTF8(words, nil))
	if m == nil {
		return ""
	}
	addr, err := strconv.ParseUint(string(m[1]), 16, 64)
	if err != nil {
		return ""
	}
	f, offset, ok := t.find(uintptr(addr))
	if !ok {
		return ""
	}
	return fmt.Sprintf("xsend: a stray write ended the process: address %#x is frame %d, offset %d: %s", addr, f, offset, t.about(f))
}
