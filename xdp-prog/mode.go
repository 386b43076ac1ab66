package xdpprog

import (
	"fmt"

	"github.com/cilium/ebpf/link"
)

// Mode is the place in the receive path where the program runs.
type Mode int

const (
	// ModeAuto is native where the driver accepts it, otherwise generic.
	ModeAuto Mode = iota
	// ModeNative runs in the driver, before an skb is made. Zero-copy needs it.
	ModeNative
	// ModeGeneric runs on skbs, on every driver.
	ModeGeneric
)

var modeNames = [...]string{ModeAuto: "auto", ModeNative: "native", ModeGeneric: "generic"}

// String is "auto", "native" or "generic".
func (m Mode) String() string {
	if m < 0 || int(m) >= len(modeNames) {
		return fmt.Sprintf("Mode(%d)", int(m))
	}
	return modeNames[m]
}

// ParseMode is the inverse of String.
func ParseMode(s string) (Mode, error) {
	for m, name := range modeNames {
		if s == name {
			return Mode(m), nil
		}
	}
	return 0, fmt.Errorf("XDP attach mode %q: want auto, native or generic", s)
}

// attempts lists the modes to try, in order.
func (m Mode) attempts() []Mode {
	if m == ModeAuto {
		return []Mode{ModeNative, ModeGeneric}
	}
	return []Mode{m}
}

// flag is explicit: with none the kernel chooses by itself and doesn't say.
func (m Mode) flag() link.XDPAttachFlags {
	if m == ModeNative {
		return link.XDPDriverMode
	}
	return link.XDPGenericMode
}
