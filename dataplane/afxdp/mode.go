package afxdp

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Mode says whether the NIC reads and writes the region itself.
type Mode uint8

// The modes. ModeAuto tries zero-copy first and then copy.
const (
	ModeAuto Mode = iota
	ModeCopy
	ModeZeroCopy
)

var modeNames = [...]string{"auto", "copy", "zerocopy"}

// String is the name that ParseMode takes.
func (m Mode) String() string {
	if int(m) < len(modeNames) {
		return modeNames[m]
	}
	return fmt.Sprintf("mode %d", m)
}

// ParseMode reads "auto", "copy" or "zerocopy".
func ParseMode(s string) (Mode, error) {
	for i, name := range modeNames {
		if s == name {
			return Mode(i), nil
		}
	}
	return ModeAuto, fmt.Errorf("mode %q: must be auto, copy or zerocopy", s)
}

// Attempts are the bind flags that the mode stands for, in the order to try them.
// With a generic XDP program only copy mode can send: a driver's zero-copy rings
// exist only with a program in the driver.
func (m Mode) Attempts(genericProgram bool) []uint16 {
	switch {
	case m == ModeZeroCopy:
		return []uint16{unix.XDP_ZEROCOPY}
	case m == ModeCopy || genericProgram:
		return []uint16{unix.XDP_COPY}
	default:
		return []uint16{unix.XDP_ZEROCOPY, unix.XDP_COPY}
	}
}
