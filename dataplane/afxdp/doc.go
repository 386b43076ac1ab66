// Package afxdp is the dataplane's own AF_XDP socket: a dataplane.Port on
// golang.org/x/sys/unix and nothing else, in copy and in zero-copy mode.
//
// It owns one socket, the registration of a region with it, its four rings and
// its doorbell. It attaches no program and puts the socket into no XSKMAP: the
// caller does, through FD, before (zero-copy needs the program at bind) and after
// Open. It keeps no books of frames and looks into none of them.
//
// What it takes care of, because the kernel does not:
//
//   - The mode is never left to the kernel. Bind flags without XDP_COPY or
//     XDP_ZEROCOPY fall back silently, and choose a zero-copy that cannot send
//     where the XDP program is a generic one (igb). What is active is read back
//     with XDP_OPTIONS.
//   - A socket closed a moment ago still has its queue: bind is tried again until
//     Config.BindTimeout. Close unmaps the rings before it closes the socket,
//     because a mapped ring keeps the socket alive.
//   - In copy mode nothing is sent except inside the doorbell, which takes 32
//     descriptors each time unless XDP_MAX_TX_SKB_BUDGET allows more, and charges
//     what is in flight to the socket's send buffer. Both are raised.
//
// Goroutines: none of its own. A Socket belongs to one goroutine; only Wake may
// be called by others.
//
// The doorbell is a raw system call, which the Go scheduler does not see: a fifth
// more packets per second than with an ordinary one. The price: a garbage
// collection that wants to stop the world waits until it returns, in copy mode
// about 1 µs for each frame sent, 2 ms for a full ring of 2048. Config.TxBudget
// bounds it. In zero-copy mode the driver is only woken and it returns at once.
//
// Limits: aligned chunks only; one socket for each queue; no busy polling; nothing
// may be called after Close except Wake and Close. In zero-copy mode a driver may
// receive less into a chunk than the chunk holds behind its headroom: igb sizes its
// buffers in KiB, so that of 2048-byte chunks it uses 1024 bytes and a larger frame
// arrives cut. With 4096-byte chunks it arrives whole.
//
// Kernel document: https://docs.kernel.org/networking/af_xdp.html
package afxdp
