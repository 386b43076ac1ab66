package lab

import (
	"fmt"

	"github.com/xsend/xsend/internal/ethtool"
)

// setOffloads sets what an AF_XDP peer needs. Segmentation goes off before the checksums it depends on:
// the kernel would switch it off by itself and say so in the log only.
func setOffloads(name string, txChecksum, segmentation bool) error {
	for _, want := range []struct {
		ethtool.Offload
		on bool
	}{
		{ethtool.GRO, false},
		{ethtool.TSO, segmentation},
		{ethtool.GSO, segmentation},
		{ethtool.TxChecksum, txChecksum},
	} {
		if err := want.Set(name, want.on); err != nil {
			return needRoot(err)
		}
	}
	return nil
}

// The flags of ETHTOOL_GFLAGS and ETHTOOL_SFLAGS for VLAN tags beside the frame, sent and received.
const (
	getFlags, setFlags = 0x25, 0x26

	flagTxVLAN, flagRxVLAN = 1 << 7, 1 << 8
)

// setInBandTags has VLAN tags travel in the frame, both ways, and reads back what became of it.
func setInBandTags(name string) error {
	v := ethtool.Value{Cmd: getFlags}
	if err := ethtool.Do(name, &v); err != nil {
		return fmt.Errorf("%s: read flags: %w", name, needRoot(err))
	}
	v = ethtool.Value{Cmd: setFlags, Value: v.Value &^ (flagTxVLAN | flagRxVLAN)}
	if err := ethtool.Do(name, &v); err != nil {
		return fmt.Errorf("%s: set txvlan off: %w", name, needRoot(err))
	}
	v = ethtool.Value{Cmd: getFlags}
	if err := ethtool.Do(name, &v); err != nil {
		return fmt.Errorf("%s: read flags: %w", name, needRoot(err))
	}
	if v.Value&(flagTxVLAN|flagRxVLAN) != 0 {
		return fmt.Errorf("%s: the kernel kept VLAN offloads on (flags %#x)", name, v.Value)
	}
	return nil
}
