package settings

import (
	"errors"
	"fmt"
	"strconv"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// mtus are those of the interface and of the VLAN devices on it: the kernel takes theirs down with the interface's, and leaves them there.
func mtus(r request) (reply, error) {
	if r.set {
		return reply{}, setMTUs(r)
	}
	links, err := links()
	if err != nil {
		return reply{}, err
	}
	v := Values{}
	for _, l := range links {
		a := l.Attrs()
		switch {
		case a.Index == r.index:
			v[""] = strconv.Itoa(a.MTU)
		case l.Type() == "vlan" && a.ParentIndex == r.index && a.NetNsID < 0: // on it, and it is in this namespace
			v[a.Name] = strconv.Itoa(a.MTU)
		}
	}
	if v[""] == "" {
		return reply{}, unix.ENODEV
	}
	return reply{values: v}, nil
}

// links is asked again where something changed meanwhile.
func links() (list []netlink.Link, err error) {
	for range 10 {
		list, err = netlink.LinkList()
		if !errors.Is(err, netlink.ErrDumpInterrupted) {
			break
		}
	}
	return list, err
}

// setMTUs begins with the interface: a VLAN device's can't be larger.
func setMTUs(r request) error {
	_, err := withSocket(func(fd int) (reply, error) {
		for _, k := range r.values.keys() {
			name := k
			if k == "" {
				name = r.name
			}
			if err := setMTU(fd, name, r.values[k]); err != nil {
				return reply{}, err
			}
		}
		return reply{}, nil
	})
	return err
}

func setMTU(fd int, name, text string) error {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return fmt.Errorf("MTU %q: %w", text, err)
	}
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return unix.ENODEV
	}
	ifr.SetUint32(uint32(n))
	return unix.IoctlIfreq(fd, unix.SIOCSIFMTU, ifr)
}
