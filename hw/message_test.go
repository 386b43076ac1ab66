package hw

import (
	"encoding/binary"
	"testing"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// attr encodes one attribute, padded.
func attr(kind int, value ...byte) []byte { return nl.NewRtAttr(kind, value).Serialize() }

func linkBytes(family uint8, index int32, flags uint32, attrs ...[]byte) []byte {
	msg := nl.NewIfInfomsg(int(family))
	msg.Index, msg.Flags, msg.Type = index, flags, unix.ARPHRD_ETHER
	return join(msg.Serialize(), attrs)
}

func join(b []byte, attrs [][]byte) []byte {
	b = append([]byte(nil), b...)
	for _, a := range attrs {
		b = append(b, a...)
	}
	return b
}

func TestParseLink(t *testing.T) {
	xdp := join(nil, [][]byte{attr(unix.IFLA_XDP_ATTACHED, 4), attr(unix.IFLA_XDP_DRV_PROG_ID, 7, 0, 0, 0), attr(unix.IFLA_XDP_HW_PROG_ID, 8, 0, 0, 0)})
	m, err := parseLink(linkBytes(0, 3, unix.IFF_UP|unix.IFF_LOWER_UP,
		attr(unix.IFLA_IFNAME, 'n', 'i', 'c', 0), attr(unix.IFLA_MTU, 0xdc, 5, 0, 0), attr(unix.IFLA_ADDRESS, 2, 0, 0, 0, 0, 1),
		attr(unix.IFLA_XDP|unix.NLA_F_NESTED, xdp...), attr(unix.IFLA_LINKINFO, attr(nl.IFLA_INFO_KIND, 'v', 'e', 't', 'h', 0)...)))
	if err != nil || m.name != "nic" || m.mtu != 1500 || m.index != 3 || !m.up() || !m.carrier() || m.kind != "veth" || len(m.mac) != 6 {
		t.Errorf("%+v %v", m, err)
	}
	if m.xdp.progID != 7 || m.xdp.String() != "multi" {
		t.Errorf("programs of two modes: %+v", m.xdp)
	}
}

// vlanInfo is the IFLA_LINKINFO of a VLAN device.
func vlanInfo(id uint16, protocol uint16) []byte {
	own := join(nil, [][]byte{
		attr(nl.IFLA_VLAN_ID, binary.NativeEndian.AppendUint16(nil, id)...), attr(nl.IFLA_VLAN_FLAGS, make([]byte, 8)...),
		attr(nl.IFLA_VLAN_PROTOCOL, binary.BigEndian.AppendUint16(nil, protocol)...),
	})
	return attr(unix.IFLA_LINKINFO, join(nil, [][]byte{attr(nl.IFLA_INFO_KIND, 'v', 'l', 'a', 'n', 0), attr(nl.IFLA_INFO_DATA|unix.NLA_F_NESTED, own...)})...)
}

// TestVLANDevice: what it is on counts in this namespace only, and means something else for other kinds.
func TestVLANDevice(t *testing.T) {
	below := attr(unix.IFLA_LINK, 9, 0, 0, 0)
	other := attr(unix.IFLA_LINKINFO, join(nil, [][]byte{attr(nl.IFLA_INFO_KIND, 'v', 'e', 't', 'h', 0), attr(nl.IFLA_INFO_DATA, attr(nl.IFLA_VLAN_ID, 7, 0)...)})...)
	for name, row := range map[string]struct {
		attrs              [][]byte
		lower              int
		vlan, vlanProtocol uint16
	}{
		"here":                    {[][]byte{below, vlanInfo(7, 0x8100)}, 9, 7, 0x8100},
		"largest, a service tag":  {[][]byte{below, vlanInfo(4094, 0x88a8)}, 9, 4094, 0x88a8},
		"on one somewhere else":   {[][]byte{below, attr(unix.IFLA_LINK_NETNSID, 0, 0, 0, 0), vlanInfo(7, 0x8100)}, 0, 7, 0x8100},
		"a veth's peer":           {[][]byte{below, other}, 0, 0, 0},
		"an ID of another size":   {[][]byte{below, attr(unix.IFLA_LINKINFO, join(nil, [][]byte{attr(nl.IFLA_INFO_KIND, 'v', 'l', 'a', 'n'), attr(nl.IFLA_INFO_DATA, attr(nl.IFLA_VLAN_ID, 1, 0, 0)...)})...)}, 9, 0, 0},
		"no kind before the rest": {[][]byte{below, attr(unix.IFLA_LINKINFO, attr(nl.IFLA_INFO_DATA, attr(nl.IFLA_VLAN_ID, 7, 0)...)...)}, 0, 0, 0},
	} {
		m, err := parseLink(linkBytes(0, 3, 0, row.attrs...))
		if err != nil {
			t.Fatal(err)
		}
		k := kernel{
			driver:   func(string) (driverInfo, error) { return driverInfo{}, unix.EOPNOTSUPP },
			channels: func(string) (channelCounts, error) { return channelCounts{}, unix.EOPNOTSUPP },
		}
		if i := k.describe(m); i.Lower != row.lower || i.VLAN != row.vlan || i.VLANProtocol != row.vlanProtocol {
			t.Errorf("%s: on %d, VLAN %d, tag %#x", name, i.Lower, i.VLAN, i.VLANProtocol)
		}
	}
}

func TestParseMalformed(t *testing.T) {
	header := linkBytes(0, 3, 0)
	for name, tail := range map[string][]byte{
		"attribute shorter than its header": {3, 0, unix.IFLA_MTU, 0},
		"attribute longer than the message": {200, 0, unix.IFLA_MTU, 0, 1, 2},
		"attribute of length 0":             {0, 0, unix.IFLA_MTU, 0, 1, 2, 3, 4},
		"half an attribute header":          {8, 0},
		"MTU of 2 bytes":                    attr(unix.IFLA_MTU, 1, 2),
		"empty XDP mode":                    attr(unix.IFLA_XDP, attr(unix.IFLA_XDP_ATTACHED)...),
		"empty kind":                        attr(unix.IFLA_LINKINFO, attr(nl.IFLA_INFO_KIND)...),
	} {
		m, err := parseLink(append(append([]byte(nil), header...), tail...))
		if err != nil || m.index != 3 || m.mtu != 0 || m.kind != "" || m.xdp != (xdpAttachment{}) {
			t.Errorf("%s: %+v %v", name, m, err)
		}
	}
	for n := range unix.SizeofIfInfomsg {
		if _, err := parseLink(header[:n]); err == nil {
			t.Errorf("link header of %d bytes accepted", n)
		}
	}
	for n := range unix.SizeofNdMsg {
		if _, err := parseNeighbour(header[:n]); err == nil {
			t.Errorf("neighbour header of %d bytes accepted", n)
		}
	}
}

// FuzzParse feeds the parsers: no bytes may make them panic or return what isn't in the message.
func FuzzParse(f *testing.F) {
	f.Add([]byte{})
	f.Add(linkBytes(0, 3, 1, attr(unix.IFLA_IFNAME, 'a', 0), attr(unix.IFLA_XDP, attr(unix.IFLA_XDP_ATTACHED, 1)...)))
	f.Add(linkBytes(7, -1, 0, attr(unix.IFLA_LINKINFO, attr(nl.IFLA_INFO_KIND, 'x')...)))
	f.Add(linkBytes(0, 3, 1, attr(unix.IFLA_LINK, 9, 0, 0, 0), vlanInfo(7, 0x8100)))
	f.Add(join(make([]byte, unix.SizeofNdMsg), [][]byte{attr(unix.NDA_DST, 10, 0, 0, 1), attr(unix.NDA_LLADDR, 1, 2, 3, 4, 5, 6)}))
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parseLink(b); err == nil && (len(m.name) > len(b) || len(m.mac) > len(b) || len(m.kind) > len(b)) {
			t.Errorf("link %+v from %d bytes", m, len(b))
		}
		if c, err := parseClaims(b, 7); err == nil && c != (XDPClaims{}) && len(b) < nl.SizeofGenlmsg+2*(unix.SizeofRtAttr+4) {
			t.Errorf("claims %+v from %d bytes", c, len(b))
		}
		if m, err := parseNeighbour(b); err == nil && m.usable() != (MAC{}) && len(b) < unix.SizeofNdMsg+unix.SizeofRtAttr+len(MAC{}) {
			t.Errorf("neighbour %+v from %d bytes", m, len(b))
		}
	})
}

// FuzzTracker: whatever a notification says, the tracker reports kinds it knows and keeps its path.
func FuzzTracker(f *testing.F) {
	f.Add(uint16(unix.RTM_NEWLINK), linkBytes(0, 3, 0))
	f.Add(uint16(unix.RTM_DELLINK), linkBytes(0, 3, 0))
	f.Add(uint16(unix.RTM_NEWNEIGH), make([]byte, unix.SizeofNdMsg))
	f.Add(uint16(unix.RTM_NEWROUTE), []byte{})
	f.Fuzz(func(t *testing.T, kind uint16, b []byte) {
		var m mailbox
		tr := newTracker(fakeKernel(), Interface{Index: 3, Up: true, Carrier: true, MTU: 1500}, m.put)
		tr.follow(Path{Route: Route{Destination: far4, Interface: 3, NextHop: far4}, MAC: otherMAC})
		tr.notice(notification(kind, b))
		for _, e := range m.events {
			if int(e.Kind) >= len(eventNames) || e.Kind == 0 {
				t.Errorf("%+v", e)
			}
		}
		if mac := tr.paths[0].MAC; mac == (MAC{}) {
			t.Error("the last good address was given up")
		}
	})
}
