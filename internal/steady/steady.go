// Package steady calls a function where its goroutine's stack does not move.
//
// github.com/safchain/ethtool hands addresses of its variables to the kernel as plain numbers, through one more call: where
// that call makes the stack grow, or the collector makes it shrink, the kernel reads and writes where they were. The
// collector leaves a stack alone of which a quarter is in use.
package steady

import "runtime"

// Call calls f with room for 96 KiB of frames on the stack.
func Call(f func()) {
	var ballast [64 << 10]byte // a quarter of what roomFor makes
	roomFor(&ballast)
	f()
	runtime.KeepAlive(&ballast)
}

// roomFor makes the stack grow to 256 KiB: more than its frame and that of the caller, which is at p, are 128.
//
//go:noinline
func roomFor(p *[64 << 10]byte) {
	var room [96 << 10]byte // the library's largest frame takes 20
	room[0] = p[0]
	runtime.KeepAlive(&room)
}
