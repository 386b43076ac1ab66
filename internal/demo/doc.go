// Package demo is what "xsend demo" does: the program's main job on real input, on one machine.
//
// # What it owns
//
// A lab of a name of its own, a file if none is given, the two children, and the proof: the SHA-256 of the
// file, of what the sender says it sent and of what the receiver got must be the same, and the kernel's own
// count of TCP segments sent in the sender's namespace must not move, since xsend's segments go past it.
// Race is the second half: the short race of package race, with a lab of its own.
// Everything that it made is gone when Run, or Race, returns, after an error and an interruption too; after SIGKILL its keeper, a process of
// its own, removes it.
//
// # What it refuses
//
// To do anything by itself that the program does: sender and receiver are the program, started anew, with
// the flags that anybody could give.
//
// # Goroutines
//
// Run returns when all it started has ended.
package demo
