// Package child runs the program itself as sender and receiver in a lab, for those subcommands that show or
// measure what the program does: with the flags that anybody could give.
//
// # What it owns
//
// The children, each in a process group of its own, so that a signal from the terminal reaches them through
// their parent and once; the temporary file that they send where none is given.
//
// # What it refuses
//
// A file that can't be read twice, to sum it and to send it.
//
// # Goroutines
//
// Those that wait for a child end with it.
package child
