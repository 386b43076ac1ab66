// Package units reads and prints the quantities of the command line: sizes, rates, times, DSCP code
// points and VLAN IDs, spelled as iperf3 spells them where it has them.
//
// # What it owns
//
// The suffixes: sizes count in powers of 1024 (-n 16M is 16,777,216 bytes), rates in powers of 1000
// (-b 100M is 100,000,000 bits per second). The names of the code points of
// https://www.rfc-editor.org/rfc/rfc2474, https://www.rfc-editor.org/rfc/rfc2597,
// https://www.rfc-editor.org/rfc/rfc3246, https://www.rfc-editor.org/rfc/rfc5865 and
// https://www.rfc-editor.org/rfc/rfc8622.
//
// # What it refuses
//
// Negative numbers, unknown suffixes, what doesn't fit into 63 bits, NaN.
//
// # Goroutines
//
// None; every function may be called from any goroutine.
package units
