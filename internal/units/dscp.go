package units

import (
	"fmt"
	"strconv"
	"strings"
)

// maxDSCP is the largest code point, https://www.rfc-editor.org/rfc/rfc2474#section-3.
const maxDSCP = 63

// dscpNames are the names that aren't built from numbers.
var dscpNames = map[string]uint8{
	"default": 0, "be": 0,
	"ef": 46, // https://www.rfc-editor.org/rfc/rfc3246#section-2.7
	"va": 44, // https://www.rfc-editor.org/rfc/rfc5865#section-2.3
	"le": 1,  // https://www.rfc-editor.org/rfc/rfc8622#section-4
}

// ParseDSCP reads a code point: a number from 0 to 63, decimal, octal with a 0 or hexadecimal with 0x in
// front, or a name: cs0 to cs7, af11 to af43, ef, va, le, be.
func ParseDSCP(s string) (uint8, error) {
	name := strings.ToLower(s)
	if v, ok := dscpNames[name]; ok {
		return v, nil
	}
	if v, ok := dscpClass(name); ok {
		return v, nil
	}
	v, err := strconv.ParseUint(name, 0, 64)
	if err != nil || v > maxDSCP {
		return 0, fmt.Errorf("DSCP %q: give a number from 0 to %d, cs0 to cs7, af11 to af43, ef, va, le or be", s, maxDSCP)
	}
	return uint8(v), nil
}

// dscpClass computes the class selectors (https://www.rfc-editor.org/rfc/rfc2474#section-4.2.2) and the
// assured forwarding classes (https://www.rfc-editor.org/rfc/rfc2597#section-6).
func dscpClass(name string) (uint8, bool) {
	switch {
	case len(name) == 3 && name[:2] == "cs" && digit(name[2], 0, 7):
		return (name[2] - '0') << 3, true
	case len(name) == 4 && name[:2] == "af" && digit(name[2], 1, 4) && digit(name[3], 1, 3):
		return (name[2]-'0')<<3 | (name[3]-'0')<<1, true
	}
	return 0, false
}

func digit(c byte, low, high byte) bool { return c >= '0'+low && c <= '0'+high }
