package lab

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"
)

// Replace makes this process run a command in a network namespace, named in full, and in a mount namespace
// of its own with a /sys that fits. It returns only if that failed; otherwise the command has the process's
// number, its terminal and its signals, and its exit code is the process's.
func Replace(ns string, argv []string) error {
	if len(argv) == 0 {
		return fmt.Errorf("network namespace %s: no command given", ns)
	}
	path, err := exec.LookPath(argv[0])
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", ns, err)
	}
	target, err := openNamespace(ns)
	if err != nil {
		return err
	}
	defer target.Close()
	runtime.LockOSThread() // and never unlocked: a thread that has moved must not run anything else
	if err := enterForExec(target); err != nil {
		return fmt.Errorf("enter network namespace %s: %w", ns, needRoot(err))
	}
	return fmt.Errorf("network namespace %s: exec %s: %w", ns, path, syscall.Exec(path, argv, os.Environ()))
}
