// Package kerneltcp opens connections of the kernel's TCP for those that compare xsend with it, reads the notifications of
// MSG_ZEROCOPY, and ends them behind what was sent. It owns nothing: the descriptor is the caller's.
package kerneltcp
