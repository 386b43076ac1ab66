package ethtool

import "fmt"

// Offload is a feature with a pair of commands (linux/ethtool.h).
type Offload struct {
	Name     string // as "ethtool -k" spells it
	get, set uint32
}

// The offloads. TSO is all of the device's, for IPv4, IPv6 and with ECN.
var (
	GRO        = Offload{"gro", 0x2b, 0x2c}
	GSO        = Offload{"gso", 0x23, 0x24}
	TSO        = Offload{"tso", 0x1e, 0x1f}
	TxChecksum = Offload{"tx-checksumming", 0x16, 0x17}
)

// Set sets the feature and reads it back: the kernel may refuse without an error.
func (o Offload) Set(name string, on bool) error {
	v := Value{Cmd: o.set}
	if on {
		v.Value = 1
	}
	if err := Do(name, &v); err != nil {
		return fmt.Errorf("%s: set %s %s: %w", name, o.Name, onOff(on), err)
	}
	got, err := o.Read(name)
	if err != nil {
		return err
	}
	if got != on {
		return fmt.Errorf("%s: the kernel kept %s %s", name, o.Name, onOff(got))
	}
	return nil
}

// Read tells whether the feature is on.
func (o Offload) Read(name string) (bool, error) {
	v := Value{Cmd: o.get}
	if err := Do(name, &v); err != nil {
		return false, fmt.Errorf("%s: read %s: %w", name, o.Name, err)
	}
	return v.Value != 0, nil
}

func onOff(on bool) string {
	if on {
		return "on"
	}
	return "off"
}
