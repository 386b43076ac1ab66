// Package readv reads from a file descriptor into many ranges with one system call: a
// batch of frames costs one, and one copy of each byte.
//
// It owns the argument of that call, and knows neither files nor frames. A Vector belongs
// to one goroutine; none of its methods allocates.
package readv
