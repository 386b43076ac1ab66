// Package policy holds the tests that keep the tree as its design says: which
// package may import which, where unsafe, clocks, floats and the operating system
// may be used, what must be documented, and which words name nothing.
//
// It owns the tables (table_test.go) and the rules (rules_*_test.go) and has no
// code of its own. A package or file that needs an exception gets a row with its
// reason; nothing is excused in the place where it happens. Each rule has negative
// controls: small files in memory that it must find, beside others that it must
// leave alone.
//
// It reads syntax only, all files of the module whatever their build tags, and
// resolves no types: a clock read through a variable, or a float that is inferred,
// is not seen.
package policy
