// Package faulttest is a port around another one in which one thing goes wrong, once: a completion is lost, comes twice or
// late, one comes that nobody can have sent, a descriptor is refused, payload changes under the kernel. It is for tests
// that want to see each of them in its own line of dataplane.Ledger, and nowhere else.
package faulttest
