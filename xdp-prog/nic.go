package xdpprog

import (
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
)

// nic is what has to be known of an interface before a program is attached to it.
type nic struct {
	index    int
	name     string
	link     string // link layer: "ether", "loopback", "none"
	rxQueues int    // as many as the kernel allocated: no RX queue index is higher
	xdp      netlink.LinkXdp
}

func readNIC(index int) (nic, error) {
	l, err := netlink.LinkByIndex(index)
	if err != nil {
		return nic{}, fmt.Errorf("interface %d: %w (it has to be in the network namespace of the calling thread)", index, err)
	}
	attrs := l.Attrs()
	n := nic{index: index, name: attrs.Name, link: attrs.EncapType, rxQueues: max(attrs.NumRxQueues, 1)}
	if attrs.Xdp != nil {
		n.xdp = *attrs.Xdp
	}
	return n, nil
}

// usable refuses interfaces without Ethernet headers, where the program would read
// the network header as a MAC address and steer nothing.
func (n nic) usable() error {
	if n.link != "ether" && n.link != "loopback" {
		return fmt.Errorf("interface %s: link layer %q has no Ethernet header: choose an Ethernet interface", n.name, n.link)
	}
	return nil
}

// occupant describes the program that is attached already; nil if none is.
func (n nic) occupant() error {
	if !n.xdp.Attached {
		return nil
	}
	return &BusyError{
		Interface:   n.name,
		ProgramID:   n.xdp.ProgId,
		ProgramName: programName(n.xdp.ProgId),
		LinkID:      holdingLink(n.index, n.xdp.ProgId),
		Attached:    attachedMode(n.xdp.AttachMode),
	}
}

func attachedMode(kernel uint32) string {
	switch kernel {
	case nl.XDP_ATTACHED_DRV:
		return "native"
	case nl.XDP_ATTACHED_SKB:
		return "generic"
	case nl.XDP_ATTACHED_HW:
		return "offload"
	}
	return "in several modes"
}

// programName is empty without CAP_SYS_ADMIN, which the kernel asks of those who look at foreign programs.
func programName(id uint32) string {
	p, err := ebpf.NewProgramFromID(ebpf.ProgramID(id))
	if err != nil {
		return ""
	}
	defer p.Close()
	info, err := p.Info()
	if err != nil {
		return ""
	}
	return info.Name
}

// holdingLink finds the bpf_link by which a program is attached. It is 0 for an
// attachment by netlink, and without CAP_SYS_ADMIN.
func holdingLink(index int, program uint32) uint32 {
	it := new(link.Iterator)
	defer it.Close()
	for it.Next() {
		info, err := it.Link.Info()
		if err != nil || uint32(info.Program) != program {
			continue
		}
		if x := info.XDP(); x != nil && int(x.Ifindex) == index {
			return uint32(info.ID)
		}
	}
	return 0
}
