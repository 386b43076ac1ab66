package simnet

import "github.com/xsend/xsend/umem"

// Region is the memory that descriptors point into.
func (k *Kernel) Region() *umem.Region { return k.region }
