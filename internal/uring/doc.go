// Package uring sends from memory with io_uring's IORING_OP_SEND_ZC and takes its notifications. It knows that one
// operation, because "xsend race" compares with it and no more.
//
// It owns one ring: its descriptor and its mapping. Memory that is sent from is the caller's, which must keep it, unmoved
// and mapped, until the notification.
//
// A Ring belongs to one goroutine, locked to its thread: the kernel does the work of a request in the thread that
// submitted it.
//
// Sources: include/uapi/linux/io_uring.h, io_uring_setup(2), io_uring_enter(2). SEND_ZC is of Linux 6.0; whether the kernel
// has copied is reported since 6.2 (IORING_SEND_ZC_REPORT_USAGE).
package uring
