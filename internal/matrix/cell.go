package matrix

import "fmt"

// Senders.
const (
	Xsend = "xsend" // "xsend send --pattern"
	Linux = "linux" // the kernel's TCP: what stands beside it
)

// How the kernel's TCP is handed the pattern.
const (
	CallSend     = "send"     // send(2): the kernel copies
	CallSendfile = "sendfile" // sendfile(2) of a file in memory
	CallZerocopy = "zerocopy" // send(2) with MSG_ZEROCOPY
)

// Cell is a row of the matrix. Its JSON names are stable.
type Cell struct {
	Sender string `json:"sender"`

	Checksum string `json:"checksum,omitempty"` // xsend's: sw, hw, kernel
	SG       string `json:"sg,omitempty"`       // off, on
	Mode     string `json:"mode,omitempty"`     // copy, zerocopy
	Attach   string `json:"attach,omitempty"`   // native, generic

	Call string `json:"call,omitempty"` // the kernel's TCP's
	TSO  string `json:"tso,omitempty"`  // TSO and GSO: on, off; as-is where they can't be set

	MTU int `json:"mtu"` // bytes
}

func (c Cell) String() string {
	if c.Sender == Linux {
		return fmt.Sprintf("linux %s tso %s mtu %d", c.Call, c.TSO, c.MTU)
	}
	return fmt.Sprintf("xsend checksum %s sg %s %s %s mtu %d", c.Checksum, c.SG, c.Mode, c.Attach, c.MTU)
}

// cells lists the matrix: xsend's rows, then those of the kernel's TCP.
func (c *Config) cells() (all []Cell) {
	for _, mtu := range c.MTUs {
		for _, attach := range c.Attaches {
			for _, mode := range c.Modes {
				for _, sg := range c.SGs {
					for _, sum := range c.Checksums {
						all = append(all, Cell{Sender: Xsend, Checksum: sum, SG: sg, Mode: mode, Attach: attach, MTU: mtu})
					}
				}
			}
		}
	}
	for _, mtu := range c.MTUs {
		for _, tso := range c.segmentations() {
			for _, call := range []string{CallSend, CallSendfile, CallZerocopy} {
				all = append(all, Cell{Sender: Linux, Call: call, TSO: tso, MTU: mtu})
			}
		}
	}
	return all
}

// asIs is TSO of an interface on which it is neither on with GSO nor off with it, and can't be set.
const asIs = "as-is"

func (c *Config) segmentations() []string {
	if c.asIs {
		return []string{"on", "off", asIs}
	}
	return []string{"on", "off"}
}

// order is that of a turn: every second one goes backwards, so that what changes slowly falls on all rows alike.
func order(all []Cell, turn int) []Cell {
	turned := make([]Cell, len(all))
	for i, c := range all {
		if turn%2 == 0 {
			i = len(all) - 1 - i
		}
		turned[i] = c
	}
	return turned
}
