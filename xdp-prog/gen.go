package xdpprog

// Needs clang and llvm-strip, nothing else: bpf_abi.h stands in for the kernel's headers. bpf2go strips DWARF and maps
// the directory out of what is left, so that a clone elsewhere generates the same bytes with the same clang. The committed
// objects are by clang 14.0.6 (Debian 12); another version generates other, equally good ones.
//
//go:generate go tool bpf2go -target bpfel,bpfeb -cflags "-O2 -g -Wall -Werror -mcpu=v3" -type outcome steer steer.bpf.c
