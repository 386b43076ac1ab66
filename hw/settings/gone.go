package settings

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

// Swept is a journal that was removed because nothing can be put back any more.
type Swept struct {
	Journal *Journal
	Why     string
}

// Sweep removes the journals of network namespaces that are gone, with what was in them. One other than the initial one doesn't outlive a boot; of one of this
// boot a kernel of Linux 6.18 or later knows, and those of older ones stay. So do those of a NIC, which went back to another namespace with what it was set to.
func Sweep(dir string) ([]Swept, error) { return sweep(stateDir(dir), Identity.orphaned) }

func sweep(dir string, orphaned func(Identity) bool) (done []Swept, err error) {
	boot, err := bootID()
	if err != nil {
		return nil, err
	}
	list, _, err := pending(dir)
	if err != nil {
		return nil, err
	}
	for _, j := range list {
		why := j.lost(boot, orphaned)
		if why == "" {
			continue
		}
		swept, err := j.sweep(dir)
		if err != nil {
			return done, err
		}
		if swept {
			done = append(done, Swept{j, why})
		}
	}
	return done, nil
}

// lost says why nothing of the journal can be put back; "" where something can, or nobody knows.
func (j *Journal) lost(boot string, orphaned func(Identity) bool) string {
	switch {
	case j.Boot != boot && !j.Initial:
		return fmt.Sprintf("it is of an earlier boot, which took network namespace %d along and set %s anew: there is nothing to restore", j.Namespace, j.Interface)
	case j.Boot == boot && !j.isDevice() && orphaned(j.Identity):
		return fmt.Sprintf("network namespace %d is gone, and %s with it: there is nothing to restore", j.Namespace, j.Interface)
	}
	return ""
}

// isDevice is true of what is plugged in, which outlives its namespace.
func (id Identity) isDevice() bool { return id.Permanent != "" || id.Bus != "" }

// sweep removes the journal under the lock of its run, which it takes along; false: somebody has it.
func (j *Journal) sweep(dir string) (bool, error) {
	l, err := tryLock(filepath.Join(dir, j.lockName()))
	if err != nil {
		return false, fmt.Errorf("%w: lock %s: %w: run as root, or %s", ErrJournal, j.lockName(), err, stateRemedy)
	}
	if l == nil {
		return false, nil
	}
	return true, errors.Join(j.remove(), l.release())
}

// cameHome finds the NIC of a namespace that is gone among the interfaces of the calling thread's, which it was given back to.
func (j *Journal) cameHome(boot string, orphaned func(Identity) bool) bool {
	if j.Boot != boot || !j.isDevice() || !orphaned(j.Identity) {
		return false
	}
	_, err := j.find()
	return err == nil
}

// anywhere looks for a device under whatever name.
func (id Identity) anywhere() (hw.Interface, error) {
	list, err := links()
	if err != nil {
		return hw.Interface{}, err
	}
	for _, l := range list {
		if !id.isDevice() || l.Attrs().PermHWAddr.String() != id.Permanent {
			continue
		}
		link, err := hw.LookupIndex(l.Attrs().Index)
		if err == nil && link.Bus == id.Bus {
			return link, nil
		}
	}
	return hw.Interface{}, fmt.Errorf("%s: %w", id.Interface, hw.ErrNoInterface)
}

// What a file handle of a namespace is (FILEID_NSFS, FD_NSFS_ROOT and struct nsfs_file_handle in linux/exportfs.h, fcntl.h and nsfs.h).
const (
	nsfsHandle = 0xf1
	nsfsRoot   = -10003
)

// orphaned reports that the network namespace is gone, of an identity of this boot; false where the kernel doesn't tell.
func (id Identity) orphaned() bool {
	inode, _, err := namespace()
	if err != nil {
		return false
	}
	cookie, err := namespaceCookie()
	if err != nil || id.Cookie == 0 {
		return false
	}
	// The control: where the calling thread's own can't be opened so, an answer about another one means nothing.
	return openNamespace(cookie, inode) == nil && errors.Is(openNamespace(id.Cookie, id.Namespace), unix.ESTALE)
}

// openNamespace opens a network namespace by its numbers, and closes it.
func openNamespace(cookie, inode uint64) error {
	b := make([]byte, 16)
	binary.NativeEndian.PutUint64(b, cookie)
	binary.NativeEndian.PutUint32(b[8:], unix.CLONE_NEWNET)
	binary.NativeEndian.PutUint32(b[12:], uint32(inode))
	fd, err := unix.OpenByHandleAt(nsfsRoot, unix.NewFileHandle(nsfsHandle, b), unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return err
	}
	return unix.Close(fd)
}
