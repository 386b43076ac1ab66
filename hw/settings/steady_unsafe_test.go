package settings

import "unsafe"

// uintptrOf is where a variable is now. The number is only compared.
func uintptrOf(p *int) uintptr { return uintptr(unsafe.Pointer(p)) }
