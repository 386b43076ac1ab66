// Package latetest wraps a dataplane.Port so that completions are handed on late (package late), and looks whether anybody
// wrote into what a descriptor covers before. On veth every completion is immediate, so that a poller which takes an ACK
// for the end of a transmission shows nothing there; behind this port it does.
//
// It owns the comparison, and nothing else.
//
// For tests only. Goroutines: as the wrapped port; Stats belongs to the poller's.
package latetest
