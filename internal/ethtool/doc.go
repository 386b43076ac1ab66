// Package ethtool is the one way to ethtool's ioctls: github.com/safchain/ethtool where that covers a setting, called so that what it passes to the kernel
// doesn't move ([Ask]); and the few offloads that have a pair of commands of their own, which every kernel knows.
//
// # What it refuses
//
// To believe a setter: what was set is read back.
//
// # Goroutines and network namespaces
//
// None is started. The namespace is the calling thread's.
package ethtool
