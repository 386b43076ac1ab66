package units

import (
	"fmt"
	"strconv"
)

// maxVLAN is the largest VLAN ID: 4095 is reserved (IEEE 802.1Q-2022, table 9-2).
const maxVLAN = 4094

// ParseVLAN reads a VLAN ID, a decimal number from 0 to 4094. 0 is that of a tag which carries a priority only.
func ParseVLAN(s string) (uint16, error) {
	v, err := strconv.ParseUint(s, 10, 16)
	if err != nil || v > maxVLAN {
		return 0, fmt.Errorf("VLAN ID %q: give a number from 0 to %d; 4095 is reserved, and 0 is a tag without a VLAN", s, maxVLAN)
	}
	return uint16(v), nil
}
