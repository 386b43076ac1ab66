package lab

import "fmt"

// offload is a feature with a pair of ethtool commands of its own (linux/ethtool.h), which every kernel
// knows.
type offload struct {
	name     string
	get, set uint32
}

var (
	offloadGRO        = offload{"gro", 0x2b, 0x2c}
	offloadGSO        = offload{"gso", 0x23, 0x24}
	offloadTSO        = offload{"tso", 0x1e, 0x1f}
	offloadTxChecksum = offload{"tx-checksumming", 0x16, 0x17}
)

// setOffloads sets what an AF_XDP peer needs. Segmentation goes off before the checksums it depends on:
// the kernel would switch it off by itself and say so in the log only.
func setOffloads(name string, txChecksum, segmentation bool) error {
	for _, want := range []struct {
		offload
		on bool
	}{
		{offloadGRO, false},
		{offloadTSO, segmentation},
		{offloadGSO, segmentation},
		{offloadTxChecksum, txChecksum},
	} {
		if err := want.apply(name, want.on); err != nil {
			return err
		}
	}
	return nil
}

// apply sets the feature and reads it back: the kernel may refuse without an error.
func (o offload) apply(name string, on bool) error {
	v := ethtoolValue{cmd: o.set}
	if on {
		v.value = 1
	}
	if err := ethtoolIoctl(name, &v); err != nil {
		return fmt.Errorf("%s: set %s %s: %w", name, o.name, onOff(on), needRoot(err))
	}
	got, err := o.read(name)
	if err != nil {
		return err
	}
	if got != on {
		return fmt.Errorf("%s: the kernel kept %s %s", name, o.name, onOff(got))
	}
	return nil
}

func (o offload) read(name string) (bool, error) {
	v := ethtoolValue{cmd: o.get}
	if err := ethtoolIoctl(name, &v); err != nil {
		return false, fmt.Errorf("%s: read %s: %w", name, o.name, needRoot(err))
	}
	return v.value != 0, nil
}

// The flags of ETHTOOL_GFLAGS and ETHTOOL_SFLAGS for VLAN tags beside the frame, sent and received.
const (
	getFlags, setFlags = 0x25, 0x26

	flagTxVLAN, flagRxVLAN = 1 << 7, 1 << 8
)

// setInBandTags has VLAN tags travel in the frame, both ways, and reads back what became of it.
func setInBandTags(name string) error {
	v := ethtoolValue{cmd: getFlags}
	if err := ethtoolIoctl(name, &v); err != nil {
		return fmt.Errorf("%s: read flags: %w", name, needRoot(err))
	}
	v = ethtoolValue{cmd: setFlags, value: v.value &^ (flagTxVLAN | flagRxVLAN)}
	if err := ethtoolIoctl(name, &v); err != nil {
		return fmt.Errorf("%s: set txvlan off: %w", name, needRoot(err))
	}
	v = ethtoolValue{cmd: getFlags}
	if err := ethtoolIoctl(name, &v); err != nil {
		return fmt.Errorf("%s: read flags: %w", name, needRoot(err))
	}
	if v.value&(flagTxVLAN|flagRxVLAN) != 0 {
		return fmt.Errorf("%s: the kernel kept VLAN offloads on (flags %#x)", name, v.value)
	}
	return nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
