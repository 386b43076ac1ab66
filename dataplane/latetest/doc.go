// Package latetest wraps a dataplane.Port so that completions are handed on late,
// and looks whether anybody wrote into what a descriptor covers before. On veth
// every completion is immediate, so that a poller which takes an ACK for the end of
// a transmission shows nothing there; behind this port it does.
//
// It owns the delay and the comparison, and nothing else: every descriptor reaches
// the wrapped port when it is submitted, and everything else passes through.
//
// For tests only. Goroutines: as the wrapped port; Stats belongs to the poller's.
package latetest
