// Package porttest is what a dataplane.Port has to do, as tests: Run takes any
// port with the far end of its wire (a Rig), and checks the contract of
// dataplane/port.go on it, so that every port passes the same table.
//
// It also has a real wire: NewWire makes two network namespaces joined by a veth
// pair, and is for the ports that sit on a real socket. The namespaces have no
// names, so that the kernel removes them even after kill -9.
//
// For tests only. Goroutines: those that need a namespace live and die inside a
// call.
package porttest
