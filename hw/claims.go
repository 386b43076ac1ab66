package hw

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// ErrNoClaims means that this kernel has nobody to ask what a driver claims of XDP: it came with Linux 6.3.
var ErrNoClaims = errors.New("the kernel has no generic netlink family \"netdev\"")

// XDPClaims is what a driver says that it can do with XDP and AF_XDP. It says so without being asked to do it.
type XDPClaims struct {
	Features   XDPFeatures
	RxMetadata XDPRxMetadata
	XSK        XSKFeatures
	// ZeroCopyMaxSegs is how many descriptors a packet may have in zero-copy mode; 0 where nothing is said of it.
	ZeroCopyMaxSegs int
}

// XDPFeatures is a set of NETDEV_XDP_ACT_*.
type XDPFeatures uint64

// Members of XDPFeatures that decide about AF_XDP.
const (
	XDPBasic        XDPFeatures = 1 << 0 // a native program: pass, drop, abort, transmit
	XDPRedirect     XDPFeatures = 1 << 1 // from a native program to AF_XDP sockets
	XDPXmit         XDPFeatures = 1 << 2 // takes frames that others redirect to it
	XDPZeroCopy     XDPFeatures = 1 << 3 // AF_XDP in zero-copy
	XDPHWOffload    XDPFeatures = 1 << 4 // the program runs in the NIC
	XDPRxSG         XDPFeatures = 1 << 5 // a native program sees frames of several buffers
	XDPXmitSG       XDPFeatures = 1 << 6 // takes redirected frames of several buffers
	xdpFeatureNames             = "basic redirect ndo-xmit xsk-zerocopy hw-offload rx-sg ndo-xmit-sg"
)

// XDPRxMetadata is a set of NETDEV_XDP_RX_METADATA_*: what a program may ask of a received packet.
type XDPRxMetadata uint64

const xdpRxMetadataNames = "timestamp hash vlan-tag"

// XSKFeatures is a set of NETDEV_XSK_FLAGS_*: what an AF_XDP socket in zero-copy mode may ask of the NIC.
type XSKFeatures uint64

// Members of XSKFeatures.
const (
	XSKTxTimestamp  XSKFeatures = 1 << 0
	XSKTxChecksum   XSKFeatures = 1 << 1
	XSKTxLaunchTime XSKFeatures = 1 << 2
	xskFeatureNames             = "tx-timestamp tx-checksum tx-launch-time-fifo"
)

// Names are the kernel's words for the members, in order of their bits; one that has none here is "bit N".
func (f XDPFeatures) Names() []string { return bitNames(uint64(f), xdpFeatureNames) }

// Names are the kernel's words for the members.
func (f XDPRxMetadata) Names() []string { return bitNames(uint64(f), xdpRxMetadataNames) }

// Names are the kernel's words for the members.
func (f XSKFeatures) Names() []string { return bitNames(uint64(f), xskFeatureNames) }

func bitNames(set uint64, words string) []string {
	known := strings.Fields(words)
	names := []string{}
	for ; set != 0; set &= set - 1 {
		if bit := bits.TrailingZeros64(set); bit < len(known) {
			names = append(names, known[bit])
		} else {
			names = append(names, fmt.Sprintf("bit %d", bit))
		}
	}
	return names
}

// ReadXDPClaims asks the kernel what the driver of an interface claims (generic netlink family "netdev",
// NETDEV_CMD_DEV_GET). The error is [ErrNoInterface], [ErrNoClaims] or the kernel's.
func ReadXDPClaims(index int) (XDPClaims, error) {
	return withKernel(func(k *kernel) (XDPClaims, error) { return k.xdpClaims(index) })
}

func (k *kernel) xdpClaims(index int) (XDPClaims, error) {
	b, err := k.netdev(index)
	switch {
	case errors.Is(err, unix.ENODEV):
		return XDPClaims{}, fmt.Errorf("interface index %d: %w; %s", index, ErrNoInterface, k.existing())
	case errors.Is(err, unix.ENOENT):
		return XDPClaims{}, fmt.Errorf("interface index %d: what the driver claims of XDP: %w (it came with Linux 6.3)", index, ErrNoClaims)
	case err != nil:
		return XDPClaims{}, fmt.Errorf("interface index %d: what the driver claims of XDP: %w", index, err)
	}
	return parseClaims(b, index)
}

// Of the family "netdev", linux/netdev.h.
const (
	netdevDevGet = 1

	netdevIfindex         = 1
	netdevXDPFeatures     = 3
	netdevZeroCopyMaxSegs = 4
	netdevRxMetadata      = 5
	netdevXSKFeatures     = 6
)

// askNetdev returns the reply about one interface, generic header included; ENOENT without the family.
func askNetdev(index int) ([]byte, error) {
	if index <= 0 || int64(index) > int64(^uint32(0)>>1) {
		return nil, unix.ENODEV
	}
	family, err := netlink.GenlFamilyGet("netdev")
	if err != nil {
		return nil, err
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	req.AddData(genericHeader{netdevDevGet, 1})
	req.AddData(nl.NewRtAttr(netdevIfindex, nl.Uint32Attr(uint32(index))))
	replies, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return nil, err
	}
	if len(replies) == 0 {
		return nil, unix.ENODEV
	}
	return slices.Clone(replies[0]), nil
}

// genericHeader is struct genlmsghdr: command, version and two bytes that have to be 0, or the kernel answers EINVAL.
// The library's own type has only the first two of them and sends what lies behind it in memory.
type genericHeader [nl.SizeofGenlmsg]byte

func (h genericHeader) Len() int          { return len(h) }
func (h genericHeader) Serialize() []byte { return h[:] }

// parseClaims reads a reply. One about another interface is none.
func parseClaims(b []byte, index int) (XDPClaims, error) {
	if len(b) < nl.SizeofGenlmsg {
		return XDPClaims{}, fmt.Errorf("interface index %d: what the driver claims of XDP: reply of %d bytes", index, len(b))
	}
	var c XDPClaims
	about := 0
	for kind, value := range attributes(b[nl.SizeofGenlmsg:]) {
		switch kind {
		case netdevIfindex:
			about = int(attrUint32(value))
		case netdevXDPFeatures:
			c.Features = XDPFeatures(attrUint64(value))
		case netdevZeroCopyMaxSegs:
			c.ZeroCopyMaxSegs = int(attrUint32(value))
		case netdevRxMetadata:
			c.RxMetadata = XDPRxMetadata(attrUint64(value))
		case netdevXSKFeatures:
			c.XSK = XSKFeatures(attrUint64(value))
		}
	}
	if about != index {
		return XDPClaims{}, fmt.Errorf("interface index %d: what the driver claims of XDP: reply about interface %d", index, about)
	}
	return c, nil
}

// attrUint64 returns 0 for a value of another size, as attrUint32 does.
func attrUint64(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.NativeEndian.Uint64(b)
}
