package hw

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// TxChecksum is what kernel and driver claim about checksums that AF_XDP asks for with TX metadata.
type TxChecksum struct {
	// ZeroCopy: the driver reads the request in zero-copy mode (xsk-features of the netdev family has
	// tx-checksum). All others skip it without a word.
	ZeroCopy bool
	// Device: a transmit checksum feature is on. In copy mode the device may compute what is asked for; where
	// it is off the kernel does, in software.
	Device bool
}

// Of linux/netdev.h.
const (
	netdevFamily      = "netdev"
	netdevCmdDevGet   = 1 // NETDEV_CMD_DEV_GET
	netdevDevIfindex  = 1 // NETDEV_A_DEV_IFINDEX
	netdevXSKFeatures = 6 // NETDEV_A_DEV_XSK_FEATURES
	xskTxChecksum     = 2 // NETDEV_XSK_FLAGS_TX_CHECKSUM
)

// ReadTxChecksum asks, in the network namespace of the calling thread. A kernel without the netdev family (before
// Linux 6.3) has no zero-copy driver that does it.
func ReadTxChecksum(i Interface) (t TxChecksum, err error) {
	features, err := xskFeatures(i.Index)
	if err != nil {
		return t, fmt.Errorf("interface %s: ask for its xsk-features: %w", i.Name, err)
	}
	t.ZeroCopy = features&xskTxChecksum != 0
	t.Device, err = withEthtool(func(fd int) (bool, error) { return ioctlFlag(fd, i.Name, unix.ETHTOOL_GTXCSUM) })
	if err != nil {
		return t, fmt.Errorf("interface %s: ask whether tx-checksumming is on: %w", i.Name, err)
	}
	return t, nil
}

// xskFeatures asks the generic netlink family of network devices; 0 where there is none.
func xskFeatures(index int) (uint64, error) {
	h, err := netlink.NewHandle(unix.NETLINK_GENERIC)
	if err != nil {
		return 0, fmt.Errorf("open generic netlink socket: %w", err)
	}
	defer h.Close()
	family, err := h.GenlFamilyGet(netdevFamily)
	if errors.Is(err, unix.ENOENT) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	req := nl.NewNetlinkRequest(int(family.ID), 0)
	// nl.Genlmsg leaves the reserved half of the header to chance, and the family wants it to be 0. Raw data stands
	// behind what AddData adds, so that all is raw.
	req.AddRawData([]byte{netdevCmdDevGet, 1, 0, 0})
	req.AddRawData(nl.NewRtAttr(netdevDevIfindex, binary.NativeEndian.AppendUint32(nil, uint32(index))).Serialize())
	replies, err := req.Execute(unix.NETLINK_GENERIC, 0)
	if err != nil {
		return 0, err
	}
	for _, b := range replies {
		if features, ok := parseXSKFeatures(b); ok {
			return features, nil
		}
	}
	return 0, nil
}

// parseXSKFeatures reads a message of the family; false where it does not say.
func parseXSKFeatures(b []byte) (uint64, bool) {
	if len(b) < nl.SizeofGenlmsg {
		return 0, false
	}
	for kind, value := range attributes(b[nl.SizeofGenlmsg:]) {
		switch {
		case kind != netdevXSKFeatures:
		case len(value) == 8:
			return binary.NativeEndian.Uint64(value), true
		case len(value) == 4:
			return uint64(binary.NativeEndian.Uint32(value)), true
		}
	}
	return 0, false
}
