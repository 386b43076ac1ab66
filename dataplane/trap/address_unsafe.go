package trap

import "unsafe"

// address is where b begins.
func address(b []byte) uintptr {
	// Valid: the address is only compared.
	return uintptr(unsafe.Pointer(unsafe.SliceData(b)))
}
