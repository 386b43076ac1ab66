package hw

import (
	"encoding/binary"
	"errors"
	"iter"
	"net/netip"
	"strconv"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

var errShortMessage = errors.New("rtnetlink message shorter than its header")

// linkMessage is what hw reads of a struct ifinfomsg and its attributes.
type linkMessage struct {
	family   uint8
	hardware uint16 // ARPHRD_*
	index    int
	flags    uint32 // IFF_*, upper half included
	name     string
	kind     string // rtnl_link_ops: "veth", "vlan", "bond"; empty for a plain device
	mtu      int
	mac      []byte
	rx, tx   int // queues allocated, not those in use
	xdp      xdpAttachment

	lower              int    // IFLA_LINK: what a VLAN device is on, and the peer of a veth
	lowerAbroad        bool   // that is an index of another network namespace
	vlan, vlanProtocol uint16 // of a VLAN device
}

type xdpAttachment struct {
	mode   uint8 // XDP_ATTACHED_*
	progID uint32
}

// String is the word of [Interface].XDPMode.
func (a xdpAttachment) String() string {
	modes := [...]string{"", "native", "generic", "offload", "multi"}
	if int(a.mode) >= len(modes) {
		return "mode " + strconv.Itoa(int(a.mode))
	}
	return modes[a.mode]
}

// neighbourMessage is what hw reads of a struct ndmsg and its attributes.
type neighbourMessage struct {
	index int
	state uint16 // NUD_*
	addr  netip.Addr
	mac   []byte
}

// attributes yields type and value of each attribute in b and ends at the first malformed one. The flag
// bits of the type (nested, byte order) are removed.
func attributes(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			n := int(binary.NativeEndian.Uint16(b))
			if n < unix.SizeofRtAttr || n > len(b) {
				return
			}
			kind := binary.NativeEndian.Uint16(b[2:]) & nl.NLA_TYPE_MASK
			if !yield(kind, b[unix.SizeofRtAttr:n]) {
				return
			}
			b = b[min((n+3)&^3, len(b)):]
		}
	}
}

func parseLink(b []byte) (linkMessage, error) {
	if len(b) < unix.SizeofIfInfomsg {
		return linkMessage{}, errShortMessage
	}
	m := linkMessage{
		family:   b[0],
		hardware: binary.NativeEndian.Uint16(b[2:]),
		index:    int(int32(binary.NativeEndian.Uint32(b[4:]))),
		flags:    binary.NativeEndian.Uint32(b[8:]),
	}
	for kind, value := range attributes(b[unix.SizeofIfInfomsg:]) {
		m.attribute(kind, value)
	}
	return m, nil
}

func (m *linkMessage) attribute(kind uint16, value []byte) {
	switch kind {
	case unix.IFLA_IFNAME:
		m.name = unix.ByteSliceToString(value)
	case unix.IFLA_ADDRESS:
		m.mac = value
	case unix.IFLA_MTU:
		m.mtu = int(attrUint32(value))
	case unix.IFLA_NUM_RX_QUEUES:
		m.rx = int(attrUint32(value))
	case unix.IFLA_NUM_TX_QUEUES:
		m.tx = int(attrUint32(value))
	case unix.IFLA_LINKINFO:
		m.info(value)
	case unix.IFLA_LINK:
		m.lower = int(attrUint32(value))
	case unix.IFLA_LINK_NETNSID:
		m.lowerAbroad = true
	case unix.IFLA_XDP:
		m.xdp = parseXDP(value)
	}
}

// info reads IFLA_LINKINFO: the kind comes before what only that kind has.
func (m *linkMessage) info(b []byte) {
	for kind, value := range attributes(b) {
		switch {
		case kind == nl.IFLA_INFO_KIND:
			m.kind = unix.ByteSliceToString(value)
		case kind == nl.IFLA_INFO_DATA && m.kind == "vlan":
			m.tag(value)
		}
	}
}

func (m *linkMessage) tag(b []byte) {
	for kind, value := range attributes(b) {
		switch {
		case len(value) != 2:
		case kind == nl.IFLA_VLAN_ID:
			m.vlan = binary.NativeEndian.Uint16(value)
		case kind == nl.IFLA_VLAN_PROTOCOL:
			m.vlanProtocol = binary.BigEndian.Uint16(value)
		}
	}
}

// parseXDP reads IFLA_XDP. Where programs of several modes are attached at once the kernel leaves out
// IFLA_XDP_PROG_ID and gives one ID per mode; any of them says that the interface is taken.
func parseXDP(b []byte) xdpAttachment {
	var a xdpAttachment
	for kind, value := range attributes(b) {
		switch kind {
		case unix.IFLA_XDP_ATTACHED:
			if len(value) > 0 {
				a.mode = value[0]
			}
		case unix.IFLA_XDP_PROG_ID, unix.IFLA_XDP_DRV_PROG_ID, unix.IFLA_XDP_SKB_PROG_ID, unix.IFLA_XDP_HW_PROG_ID:
			if a.progID == 0 {
				a.progID = attrUint32(value)
			}
		}
	}
	return a
}

func parseNeighbour(b []byte) (neighbourMessage, error) {
	if len(b) < unix.SizeofNdMsg {
		return neighbourMessage{}, errShortMessage
	}
	m := neighbourMessage{
		index: int(int32(binary.NativeEndian.Uint32(b[4:]))),
		state: binary.NativeEndian.Uint16(b[8:]),
	}
	for kind, value := range attributes(b[unix.SizeofNdMsg:]) {
		switch kind {
		case unix.NDA_DST:
			m.addr, _ = netip.AddrFromSlice(value)
		case unix.NDA_LLADDR:
			m.mac = value
		}
	}
	return m, nil
}

// attrUint32 returns 0 for a value of the wrong size: an absent attribute and a broken one look alike.
func attrUint32(b []byte) uint32 {
	if len(b) != 4 {
		return 0
	}
	return binary.NativeEndian.Uint32(b)
}
