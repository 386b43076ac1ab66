package lab

import (
	"fmt"

	"github.com/cilium/ebpf/asm"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// maxVLAN is the largest VLAN ID that means one; 0 is a tag without a VLAN, 4095 is reserved (IEEE 802.1Q).
const maxVLAN = 4094

// vlanFilter is the name of the filters: it says which VLAN, to whoever asks later.
const vlanFilter = "xsend vlan %d"

func (c Config) validateVLAN() error {
	if c.VLAN < 0 || c.VLAN > maxVLAN {
		return fmt.Errorf("lab %s: VLAN %d: choose 1 to %d, or 0 for none", c.Name, c.VLAN, maxVLAN)
	}
	return nil
}

// startVLAN has the kernels of both ends talk in a VLAN.
func (l *Lab) startVLAN(cfg Config) error {
	if cfg.VLAN == 0 {
		return nil
	}
	for _, end := range []string{Sender, Receiver} {
		err := l.withLink(end, func(link netlink.Link) error {
			if err := tagAll(link, cfg.VLAN); err != nil {
				return fmt.Errorf("%s: VLAN %d: %w", link.Attrs().Name, cfg.VLAN, needRoot(err))
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// tagAll makes a VLAN out of a link, below the kernel's stack: what that sends is tagged, what arrives has to
// be. Tags must be in the frame: one that travels beside it, as veth would have it, is not seen by XDP.
func tagAll(link netlink.Link, id int) error {
	if err := setInBandTags(link.Attrs().Name); err != nil {
		return err
	}
	index := link.Attrs().Index
	clsact := &netlink.Clsact{QdiscAttrs: netlink.QdiscAttrs{
		LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT,
	}}
	if err := netlink.QdiscAdd(clsact); err != nil {
		return fmt.Errorf("add clsact: %w", err)
	}
	if err := classify(index, netlink.HANDLE_MIN_EGRESS, "xsend_tag", id, tagInstructions(id)); err != nil {
		return err
	}
	return classify(index, netlink.HANDLE_MIN_INGRESS, "xsend_untag", id, untagInstructions(id))
}

// classify attaches a program that decides by itself.
func classify(index int, parent uint32, name string, id int, instructions asm.Instructions) error {
	prog, err := loadClassifier(name, instructions)
	if err != nil {
		return err
	}
	defer prog.Close() // the filter keeps it
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: parent, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1,
		},
		Fd: prog.FD(), Name: fmt.Sprintf(vlanFilter, id), DirectAction: true,
	}
	if err := netlink.FilterAdd(filter); err != nil {
		return fmt.Errorf("attach the program %s: %w", name, err)
	}
	return nil
}

// readVLAN returns the VLAN that a link was made to be; 0 where it wasn't.
func readVLAN(link netlink.Link) (id int, err error) {
	filters, err := netlink.FilterList(link, netlink.HANDLE_MIN_INGRESS)
	if err != nil {
		return 0, fmt.Errorf("filters of %s: %w", link.Attrs().Name, err)
	}
	for _, f := range filters {
		if b, ok := f.(*netlink.BpfFilter); ok {
			if n, _ := fmt.Sscanf(b.Name, vlanFilter, &id); n == 1 {
				return id, nil
			}
		}
	}
	return 0, nil
}
