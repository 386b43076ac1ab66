package settings

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/xsend/xsend/hw"
)

// Identity says which interface of which namespace in which boot is meant.
type Identity struct {
	Interface string `json:"interface"` // its name
	Index     int    `json:"index"`
	Permanent string `json:"permanent,omitempty"` // MAC address that the device was made with; empty for those that have none
	Bus       string `json:"bus,omitempty"`       // where it is plugged in; empty for those that aren't
	Driver    string `json:"driver,omitempty"`
	Namespace uint64 `json:"namespace"` // inode of the network namespace: when that is gone, another one gets it
	Cookie    uint64 `json:"cookie"`    // of the namespace: no other one gets it in this boot; 0 = not known
	Initial   bool   `json:"initial"`   // it is that of process 1
	Boot      string `json:"boot"`      // the kernel's boot ID
}

// identify asks who an interface is, in the namespace of the calling thread.
func identify(link hw.Interface) (Identity, error) {
	id := Identity{Interface: link.Name, Index: link.Index, Bus: link.Bus, Driver: link.Driver}
	l, err := netlink.LinkByIndex(link.Index)
	if err != nil {
		return Identity{}, fmt.Errorf("%s: ask the kernel: %w", link.Name, err)
	}
	id.Permanent = l.Attrs().PermHWAddr.String()
	id.Namespace, id.Initial, err = namespace()
	if err != nil {
		return Identity{}, err
	}
	if id.Cookie, err = namespaceCookie(); err != nil {
		return Identity{}, err
	}
	id.Boot, err = bootID()
	return id, err
}

// initialPIDs is the initial PID namespace (PROC_PID_INIT_INO in linux/proc_ns.h), in which process 2 is the kernel's.
const initialPIDs = "pid:[4026531836]"

// namespace is the calling thread's. Where process 1 may not be asked, the kernel's own threads are, and where that can't be, it is taken for the initial
// one: the careful answer.
func namespace() (inode uint64, initial bool, err error) {
	var here, first unix.Stat_t
	if err := unix.Stat("/proc/thread-self/ns/net", &here); err != nil {
		return 0, false, fmt.Errorf("network namespace of this thread: %w", err)
	}
	if unix.Stat("/proc/1/ns/net", &first) != nil {
		pids, err := os.Readlink("/proc/self/ns/pid")
		if err != nil || pids != initialPIDs || unix.Stat("/proc/2/ns/net", &first) != nil {
			return here.Ino, true, nil
		}
	}
	return here.Ino, here.Ino == first.Ino && here.Dev == first.Dev, nil
}

// namespaceCookie is a number of the calling thread's namespace that the kernel gives once.
func namespaceCookie() (uint64, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("which network namespace this is: %w", err)
	}
	defer unix.Close(fd)
	n, err := unix.GetsockoptUint64(fd, unix.SOL_SOCKET, unix.SO_NETNS_COOKIE)
	if err != nil {
		return 0, fmt.Errorf("which network namespace this is: %w", err)
	}
	return n, nil
}

func bootID() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("which boot this is: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
}

// same reports that the device is the one that id describes; a virtual one is known by its index, which lasts as long as it does, and
// by its namespace, as the first device of each has the same index.
func (id Identity) same(now Identity) bool {
	if id.Permanent != "" || id.Bus != "" {
		return id.Permanent == now.Permanent && id.Bus == now.Bus
	}
	if id.Boot == now.Boot {
		return id.Index == now.Index && now.Permanent == "" && (id.Cookie == now.Cookie || id.Cookie == 0)
	}
	return id.Interface == now.Interface && now.Permanent == ""
}

// here reports that id is of the namespace that the calling thread is in. Namespaces other than the initial one don't outlive a
// boot; what is there under the same number may be anything.
func (id Identity) here(namespace uint64, initial bool, boot string) bool {
	if id.Boot != boot {
		return id.Initial && initial
	}
	return id.Namespace == namespace
}

// find looks for the interface under its number, then under its name, and for a device under any. The error is hw.ErrNoInterface where it is
// gone.
func (id Identity) find() (hw.Interface, error) {
	for _, look := range []func() (hw.Interface, error){
		func() (hw.Interface, error) { return hw.LookupIndex(id.Index) },
		func() (hw.Interface, error) { return hw.Lookup(id.Interface) },
		id.anywhere,
	} {
		link, err := look()
		if errors.Is(err, hw.ErrNoInterface) {
			continue
		}
		if err != nil {
			return hw.Interface{}, err
		}
		now, err := identify(link)
		if err != nil {
			return hw.Interface{}, err
		}
		if id.same(now) {
			return link, nil
		}
	}
	return hw.Interface{}, fmt.Errorf("interface %s (index %d): %w: it is gone", id.Interface, id.Index, hw.ErrNoInterface)
}
