// Command xsend sends bulk data over TCP from memory that the NIC reads directly (AF_XDP), and comes with a
// kernel receiver, a lab of two network namespaces and a demonstration.
//
// It owns flags, signals and printing; what the subcommands do is in the packages under internal. Results go
// to standard output, everything else to standard error. Exit codes: 0 done, 1 started and failed, 2 not
// started, 3 bytes were sent in a release mode that is wrong on purpose, 128 + the signal's number.
package main

import (
	"context"
	"os"
)

// version is set by the linker (make build).
var version = "devel"

func main() {
	os.Exit(run(context.Background(), stdio{os.Stdin, os.Stdout, os.Stderr}, os.Args[1:]))
}
