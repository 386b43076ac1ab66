package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// netnsDir is where iproute2 keeps the names of network namespaces.
const netnsDir = "/run/netns"

// loopback is in each namespace from its first moment on, so it can carry the mark.
const loopback = "lo"

// mark is the alias that a namespace's loopback interface carries if lab made it.
func mark(name string) string { return "xsend lab " + name }

func namespacePath(ns string) string { return filepath.Join(netnsDir, ns) }

// Do runs fn in the namespace of an end ("a" or "b") of the lab, or in any namespace named in full. fn
// runs on the caller's goroutine, locked to its thread, so a test may fail or panic inside it. What fn
// opens stays in that namespace; goroutines that fn starts do not run there, so give package net literal
// addresses and no names (resolving starts goroutines).
func (l *Lab) Do(ns string, fn func() error) error { return Do(Namespace(l.name, ns), fn) }

// Do runs fn in the network namespace of that full name, with the rules of Lab.Do.
func Do(ns string, fn func() error) error {
	target, err := openNamespace(ns)
	if err != nil {
		return err
	}
	defer target.Close()
	return restoringThread(func() error {
		if err := netns.Set(target); err != nil {
			return fmt.Errorf("enter network namespace %s: %w", ns, needRoot(err))
		}
		return fn()
	})
}

// restoringThread locks the goroutine to its thread, runs fn, which may move the thread to another
// network namespace, and moves it back, also when fn panics or calls runtime.Goexit.
func restoringThread(fn func() error) (err error) {
	runtime.LockOSThread()
	origin, err := netns.Get()
	if err != nil {
		runtime.UnlockOSThread()
		return fmt.Errorf("remember the thread's network namespace: %w", err)
	}
	defer func() {
		if back := netns.Set(origin); back != nil {
			// Not unlocked: the thread must end with this goroutine and serve no other.
			err = errors.Join(err, fmt.Errorf("return to the thread's network namespace: %w", back))
		} else {
			runtime.UnlockOSThread()
		}
		origin.Close()
	}()
	return fn()
}

func openNamespace(ns string) (netns.NsHandle, error) {
	if !nameRE.MatchString(ns) {
		return netns.None(), fmt.Errorf("network namespace %q: give its name as \"ip netns\" lists it, not a path", ns)
	}
	target, err := netns.GetFromPath(namespacePath(ns))
	if errors.Is(err, fs.ErrNotExist) {
		return target, fmt.Errorf("network namespace %s: %w", ns, ErrNotFound)
	}
	if err != nil {
		return target, fmt.Errorf("network namespace %s: %w", ns, err)
	}
	return target, nil
}

// createNamespace makes a namespace, marks it, sets its loopback up and gives it a name, in this order,
// so that whatever is visible under the name can be recognised by Down.
func createNamespace(ns, mark string) error {
	if err := prepareDir(); err != nil {
		return err
	}
	path := namespacePath(ns)
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_RDONLY, 0o444)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: network namespace %s", ErrExists, ns)
	}
	if err != nil {
		return fmt.Errorf("name network namespace %s: %w", ns, needRoot(err))
	}
	f.Close()
	if err := restoringThread(func() error { return bindNew(path, mark) }); err != nil {
		return errors.Join(fmt.Errorf("make network namespace %s: %w", ns, needRoot(err)), os.Remove(path))
	}
	return nil
}

// bindNew moves the thread into a new namespace and mounts that on path.
func bindNew(path, mark string) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	lo, err := netlink.LinkByName(loopback)
	if err != nil {
		return fmt.Errorf("loopback: %w", err)
	}
	if err := netlink.LinkSetAlias(lo, mark); err != nil {
		return fmt.Errorf("mark the loopback: %w", err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		return fmt.Errorf("loopback up: %w", err)
	}
	return unix.Mount("/proc/thread-self/ns/net", path, "bind", unix.MS_BIND, "")
}

// prepareDir creates the directory of names and makes it a shared mount, as "ip netns add" does. If ip
// came later and did so itself, it would cover the mounts made before, which then can't be removed any
// more. With names in it already the directory is left as it is, for the same reason.
func prepareDir() error {
	if err := os.MkdirAll(netnsDir, 0o755); err != nil {
		return fmt.Errorf("directory of network namespaces: %w", needRoot(err))
	}
	share := func() error { return unix.Mount("", netnsDir, "none", unix.MS_SHARED|unix.MS_REC, "") }
	err := share()
	if !errors.Is(err, unix.EINVAL) { // EINVAL: not a mount point yet
		return needRoot(err)
	}
	names, err := os.ReadDir(netnsDir)
	if err != nil || len(names) > 0 {
		return err
	}
	if err := unix.Mount(netnsDir, netnsDir, "none", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", netnsDir, err)
	}
	return share()
}

// removeAll removes the namespaces of the lab called name and reports all that failed.
func removeAll(namespaces []string, name string) error {
	var errs []error
	for _, ns := range namespaces {
		errs = append(errs, removeNamespace(ns, mark(name)))
	}
	return errors.Join(errs...)
}

// removeNamespace removes one namespace with its veth, or the bare name that a crash left behind.
func removeNamespace(ns, mark string) error {
	path := namespacePath(ns)
	mounted, err := isNamespace(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("network namespace %s: %w", ns, err)
	}
	if mounted {
		if err := emptyAndUnmount(ns, mark); err != nil {
			return err
		}
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the name of network namespace %s: %w", ns, needRoot(err))
	}
	return nil
}

// emptyAndUnmount ends a wire and deletes the veth pair first: the namespace itself lives on as long as a process is in it.
func emptyAndUnmount(ns, mark string) error {
	if err := checkMark(ns, mark); err != nil {
		return err
	}
	if err := Do(ns, stopWire); err != nil {
		return fmt.Errorf("network namespace %s: %w", ns, err)
	}
	if err := Do(ns, deleteVeths); err != nil {
		return fmt.Errorf("empty network namespace %s: %w", ns, err)
	}
	if err := unix.Unmount(namespacePath(ns), unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount network namespace %s: %w", ns, needRoot(err))
	}
	return nil
}

// checkMark returns nil if the namespace exists and was made for the lab with that mark.
func checkMark(ns, mark string) error {
	return Do(ns, func() error {
		lo, err := netlink.LinkByName(loopback)
		if err != nil {
			return fmt.Errorf("loopback of network namespace %s: %w", ns, err)
		}
		if lo.Attrs().Alias != mark {
			return fmt.Errorf("%s: %w: choose another lab name, or remove it with what made it", ns, ErrForeign)
		}
		return nil
	})
}

// isNamespace tells a mounted namespace from the plain file under it.
func isNamespace(path string) (bool, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return false, err
	}
	return st.Type == unix.NSFS_MAGIC, nil
}

// needRoot adds the remedy to errors that come from missing privileges.
func needRoot(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("%w (run as root, or with CAP_SYS_ADMIN, CAP_NET_ADMIN and CAP_BPF)", err)
	}
	return err
}
