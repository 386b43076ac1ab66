package session

import (
	"fmt"

	"github.com/xsend/xsend/hw"
)

// An 802.1Q tag is the frame's, so that frames with one leave by the NIC itself and not by a VLAN device, on
// which zero-copy is not to be had. The kernel's part of the work, route, source, neighbour, stays with the VLAN
// device where there is one; where there is none, with the NIC.

const (
	maxVLAN   = 4094   // 4095 is reserved
	etherVLAN = 0x8100 // a customer's tag, the one we write; 0x88a8 is a provider's
)

func (c *Config) checkVLAN() error {
	switch {
	case c.VLAN > maxVLAN:
		return fmt.Errorf("%w: VLAN %d: must be from 0 to %d", ErrConfig, c.VLAN, maxVLAN)
	case c.VLAN != 0 && !c.Tagged:
		return fmt.Errorf("%w: VLAN %d without Tagged", ErrConfig, c.VLAN)
	}
	return nil
}

// findLink is the interface to send from where routes leave by via, which below finds the one under it by index.
func (c *Config) findLink(via hw.Interface, below func(int) (hw.Interface, error)) (hw.Interface, error) {
	switch {
	case !c.Tagged || via.Kind != "vlan":
		return via, nil
	case via.VLANProtocol != etherVLAN || via.VLAN != c.VLAN:
		return via, fmt.Errorf("%w: VLAN %d: the route to %v leaves by %s, which is VLAN %d with EtherType %#x: choose that VLAN, or with --interface one that isn't",
			ErrInterface, c.VLAN, c.Destination, via.Name, via.VLAN, via.VLANProtocol)
	case via.Lower == 0:
		return via, fmt.Errorf("%w: VLAN %d: the route to %v leaves by %s, and the NIC under it is in another network namespace: send from there, or untagged: %s puts the tag on",
			ErrInterface, c.VLAN, c.Destination, via.Name, via.Name)
	}
	link, err := below(via.Lower)
	if err != nil {
		return via, fmt.Errorf("the NIC under %s: %w", via.Name, err)
	}
	return link, link.Usable()
}

// tags says in which VLAN nobody answered.
func (c *Config) tags() string {
	if !c.Tagged {
		return ""
	}
	return fmt.Sprintf(" in VLAN %d", c.VLAN)
}
