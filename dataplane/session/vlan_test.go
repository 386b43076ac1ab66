package session

import (
	"errors"
	"net"
	"net/netip"
	"strings"
	"testing"

	"github.com/xsend/xsend/hw"
)

// TestFindLink: frames with a tag leave by the NIC under the VLAN device of that ID; which needs no kernel that has
// VLAN devices.
func TestFindLink(t *testing.T) {
	nic := hw.Interface{Name: "eth0", Index: 2, Up: true, Ethernet: true, MAC: make(net.HardwareAddr, 6)}
	device := hw.Interface{Name: "eth0.7", Index: 3, Kind: "vlan", Lower: 2, VLAN: 7, VLANProtocol: 0x8100}
	service, abroad, orphan, idle := device, device, device, device
	service.VLANProtocol, abroad.Lower, orphan.Lower, idle.Lower = 0x88a8, 0, 9, 4
	down := nic
	down.Name, down.Up = "eth1", false
	below := func(index int) (hw.Interface, error) {
		switch index {
		case nic.Index:
			return nic, nil
		case idle.Lower:
			return down, nil
		}
		return hw.Interface{}, hw.ErrNoInterface
	}
	for name, row := range map[string]struct {
		tagged bool
		vlan   uint16
		via    hw.Interface
		link   string
		err    error
		says   string
	}{
		"no tag, a NIC":               {via: nic, link: "eth0"},
		"no tag, a VLAN device":       {via: device, link: "eth0.7"},
		"a tag, a NIC":                {tagged: true, vlan: 7, via: nic, link: "eth0"},
		"a tag, its device":           {tagged: true, vlan: 7, via: device, link: "eth0"},
		"a tag, another's device":     {tagged: true, vlan: 8, via: device, err: ErrInterface, says: "VLAN 8: the route to 10.7.0.2 leaves by eth0.7, which is VLAN 7"},
		"a priority tag, a device":    {tagged: true, via: device, err: ErrInterface, says: "VLAN 0"},
		"a service tag's device":      {tagged: true, vlan: 7, via: service, err: ErrInterface, says: "EtherType 0x88a8"},
		"a NIC in another namespace":  {tagged: true, vlan: 7, via: abroad, err: ErrInterface, says: "another network namespace"},
		"a NIC that went away":        {tagged: true, vlan: 7, via: orphan, err: hw.ErrNoInterface, says: "eth0.7"},
		"a NIC that is down":          {tagged: true, vlan: 7, via: idle, err: hw.ErrLinkDown, says: "eth1"},
		"a device in another, no tag": {via: abroad, link: "eth0.7"},
	} {
		cfg := Config{Destination: netip.MustParseAddr("10.7.0.2"), Tagged: row.tagged, VLAN: row.vlan}
		got, err := cfg.findLink(row.via, below)
		switch {
		case row.err == nil && (err != nil || got.Name != row.link):
			t.Errorf("%s: %s, %v; want %s", name, got.Name, err, row.link)
		case row.err != nil && (!errors.Is(err, row.err) || !strings.Contains(err.Error(), row.says)):
			t.Errorf("%s: %v, want %v and %q", name, err, row.err, row.says)
		}
	}
}
