package hw

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Interface is what the kernel says about one network interface at the moment of the question.
type Interface struct {
	Name     string
	Index    int
	MTU      int              // bytes of IP packet, Ethernet header not included
	MAC      net.HardwareAddr // 6 bytes, or what the device has instead (Ethernet is false then)
	Up       bool             // IFF_UP: the administrator wants it up
	Carrier  bool             // IFF_LOWER_UP: the link is there; always false while Up is
	Ethernet bool             // ARPHRD_ETHER: has MAC addresses and an Ethernet header
	Loopback bool
	Kind     string // "veth", "vlan", "bond", "bridge"; empty for a plain device

	// Of a VLAN device: the index of the interface that it is on, 0 where that is in another network namespace, and
	// the ID and EtherType of its tag.
	Lower        int
	VLAN         uint16
	VLANProtocol uint16

	Driver        string // ethtool -i; the four are empty where the driver doesn't say
	DriverVersion string
	Firmware      string
	Bus           string

	// RxQueues and TxQueues are the queues in use, combined channels counted in both: from ethtool's
	// channels, else from /sys, else the number allocated, which QueueSource names.
	RxQueues, TxQueues int
	QueueSource        string // "ethtool", "sysfs", "rtnetlink"

	XDPProgID uint32 // of the XDP program attached now; 0: none
	XDPMode   string // "native", "generic", "offload", "multi"; empty: none
}

// Lookup returns the interface called name; alternative names are found too. The error is [ErrNoInterface]
// with the list of those that exist, or the kernel's.
func Lookup(name string) (Interface, error) {
	return withKernel(func(k *kernel) (Interface, error) {
		m, err := k.linkByName(name)
		if noSuchLink(err) {
			return Interface{}, fmt.Errorf("interface %q: %w; %s", name, ErrNoInterface, k.existing())
		}
		if err != nil {
			return Interface{}, fmt.Errorf("interface %q: ask the kernel: %w", name, err)
		}
		return k.describe(m), nil
	})
}

// LookupIndex is [Lookup] by interface index.
func LookupIndex(index int) (Interface, error) {
	return withKernel(func(k *kernel) (Interface, error) {
		m, err := k.link(index)
		if err != nil {
			return Interface{}, err
		}
		return k.describe(m), nil
	})
}

// Usable says why AF_XDP can't send on the interface now: it is a loopback or has no Ethernet header
// ([ErrNotEthernet]), or is down ([ErrLinkDown]). A missing carrier may come: [WaitCarrier].
func (i Interface) Usable() error {
	if i.Loopback || !i.Ethernet || len(i.MAC) != 6 {
		return fmt.Errorf("interface %s: %w: AF_XDP frames carry an Ethernet header; choose another with --interface", i.Name, ErrNotEthernet)
	}
	if !i.Up {
		return fmt.Errorf("interface %s: %w; \"ip link set dev %s up\" brings it up", i.Name, ErrLinkDown, i.Name)
	}
	return nil
}

// link returns the link with that index, or ErrNoInterface.
func (k *kernel) link(index int) (linkMessage, error) {
	m, err := k.linkByIndex(index)
	if noSuchLink(err) {
		return linkMessage{}, fmt.Errorf("interface index %d: %w; %s", index, ErrNoInterface, k.existing())
	}
	if err != nil {
		return linkMessage{}, fmt.Errorf("interface index %d: ask the kernel: %w", index, err)
	}
	return m, nil
}

// noSuchLink covers the errnos for a name or index that nothing has: EINVAL and ERANGE are for names that
// nothing can have.
func noSuchLink(err error) bool {
	return errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ERANGE)
}

// existing lists the interfaces of this namespace for an error message.
func (k *kernel) existing() string {
	links, err := k.links()
	if err != nil || len(links) == 0 {
		return "\"ip link\" lists those that exist"
	}
	names := make([]string, 0, len(links))
	for _, m := range links {
		names = append(names, m.name)
	}
	slices.Sort(names)
	return "this network namespace has " + strings.Join(names, ", ")
}

func (k *kernel) describe(m linkMessage) Interface {
	i := Interface{
		Name: m.name, Index: m.index, MTU: m.mtu, MAC: slices.Clone(m.mac), Kind: m.kind,
		Up: m.up(), Carrier: m.carrier(),
		Ethernet:  m.hardware == unix.ARPHRD_ETHER,
		Loopback:  m.flags&unix.IFF_LOOPBACK != 0,
		XDPProgID: m.xdp.progID, XDPMode: m.xdp.String(),
	}
	if m.kind == "vlan" {
		i.VLAN, i.VLANProtocol = m.vlan, m.vlanProtocol
		if !m.lowerAbroad {
			i.Lower = m.lower
		}
	}
	// A driver that doesn't tell who it is can send all the same.
	if d, err := k.driver(m.name); err == nil {
		i.Driver, i.DriverVersion, i.Firmware, i.Bus = d.driver, d.version, d.firmware, d.bus
	}
	i.RxQueues, i.TxQueues, i.QueueSource = k.queues(m)
	return i
}

func (m linkMessage) up() bool      { return m.flags&unix.IFF_UP != 0 }
func (m linkMessage) carrier() bool { return m.flags&unix.IFF_LOWER_UP != 0 }

func (k *kernel) queues(m linkMessage) (rx, tx int, source string) {
	if c, err := k.channels(m.name); err == nil && c.rx > 0 && c.tx > 0 {
		return c.rx, c.tx, "ethtool"
	}
	if rx, tx := sysfsQueues("/sys/class/net", m); rx > 0 && tx > 0 {
		return rx, tx, "sysfs"
	}
	return max(m.rx, 1), max(m.tx, 1), "rtnetlink"
}

// sysfsQueues counts the queues of m below root, or returns zeros where root shows another namespace, in
// which the name may belong to a different interface.
func sysfsQueues(root string, m linkMessage) (rx, tx int) {
	dir := filepath.Join(root, m.name)
	if readTrimmed(filepath.Join(dir, "ifindex")) != strconv.Itoa(m.index) ||
		readTrimmed(filepath.Join(dir, "address")) != net.HardwareAddr(m.mac).String() {
		return 0, 0
	}
	entries, _ := os.ReadDir(filepath.Join(dir, "queues"))
	for _, e := range entries {
		switch {
		case strings.HasPrefix(e.Name(), "rx-"):
			rx++
		case strings.HasPrefix(e.Name(), "tx-"):
			tx++
		}
	}
	return rx, tx
}

func readTrimmed(path string) string {
	b, _ := os.ReadFile(path)
	return strings.TrimSpace(string(b))
}
