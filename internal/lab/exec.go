package lab

import (
	"context"
	"fmt"
	"io"
	"os/exec"
	"runtime"
	"syscall"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// execGrace is how long a command may take to end after SIGTERM before it is killed.
const execGrace = 5 * time.Second

// Stdio is what a command reads and writes. A nil reader or writer is /dev/null.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// Exec runs a command in a network namespace, named in full, and waits for it. The error of a command
// that ran and failed is an *exec.ExitError. When ctx ends the command gets SIGTERM and, 5 s later, SIGKILL.
func Exec(ctx context.Context, ns string, argv []string, stdio Stdio) error {
	if len(argv) == 0 {
		return fmt.Errorf("network namespace %s: no command given", ns)
	}
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdio.In, stdio.Out, stdio.Err
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = execGrace
	if err := Start(ns, cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Start starts a prepared command in a network namespace, named in full; the caller waits for it. The
// command also gets a mount namespace of its own in which /sys shows that namespace's interfaces, as
// "ip netns exec" does it. Do not set cmd.SysProcAttr.Pdeathsig: the thread that starts the command ends
// at once.
func Start(ns string, cmd *exec.Cmd) error {
	target, err := openNamespace(ns)
	if err != nil {
		return err
	}
	defer target.Close()
	return onDyingThread(func() error {
		if err := enterForExec(target); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", ns, needRoot(err))
		}
		return cmd.Start()
	})
}

// Start starts a prepared command at an end ("a" or "b") of the lab, as the function Start does.
func (l *Lab) Start(end string, cmd *exec.Cmd) error { return Start(Namespace(l.name, end), cmd) }

// Exec runs a command at an end ("a" or "b") of the lab, as the function Exec does.
func (l *Lab) Exec(ctx context.Context, end string, argv []string, stdio Stdio) error {
	return Exec(ctx, Namespace(l.name, end), argv, stdio)
}

// enterForExec moves the thread for good: network, mounts, and a /sys that fits.
func enterForExec(target netns.NsHandle) error {
	if err := netns.Set(target); err != nil {
		return err
	}
	if err := unix.Unshare(unix.CLONE_NEWNS); err != nil {
		return fmt.Errorf("new mount namespace: %w", err)
	}
	// Slave: what the host mounts and unmounts later is seen here, nothing of ours is seen there.
	if err := unix.Mount("", "/", "none", unix.MS_SLAVE|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("make / a slave mount: %w", err)
	}
	var flags uintptr
	var st unix.Statfs_t
	if err := unix.Statfs("/sys", &st); err == nil && st.Flags&unix.ST_RDONLY != 0 {
		flags = unix.MS_RDONLY
	}
	_ = unix.Unmount("/sys", unix.MNT_DETACH) // it may not be mounted
	if err := unix.Mount("sysfs", "/sys", "sysfs", flags, ""); err != nil {
		return fmt.Errorf("mount /sys for the namespace: %w", err)
	}
	return nil
}

// onDyingThread runs fn on a thread that ends with it, so fn may change the thread's namespaces for good.
// The process's first thread can't end: if the goroutine is on that one, it keeps it busy meanwhile and
// leaves the work to another.
func onDyingThread(fn func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			err := onDyingThread(fn)
			runtime.UnlockOSThread()
			done <- err
			return
		}
		done <- fn() // ends locked: the runtime ends the thread
	}()
	return <-done
}
