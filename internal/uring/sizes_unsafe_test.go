package uring

import (
	"testing"
	"unsafe"
)

// The structures have the sizes that the kernel gives them.
func TestSizes(t *testing.T) {
	for name, c := range map[string][2]uintptr{
		"io_uring_params": {unsafe.Sizeof(parameters{}), 120}, "io_uring_sqe": {unsafe.Sizeof(request{}), 64}, "io_uring_cqe": {unsafe.Sizeof(event{}), 16},
	} {
		if c[0] != c[1] {
			t.Errorf("%s has %d bytes, the kernel's %d", name, c[0], c[1])
		}
	}
}
