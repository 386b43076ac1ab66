// Package ethtool reads and sets the few offloads that have a pair of ethtool commands of their own, which every kernel
// knows.
//
// # What it refuses
//
// To believe a setter: what was set is read back.
//
// # Goroutines and network namespaces
//
// None is started. The namespace is the calling thread's.
package ethtool
