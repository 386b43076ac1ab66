/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * The part of the kernel's BPF interface that steer.bpf.c needs, so that
 * `go generate` wants clang and no kernel or libbpf headers: the object is the
 * same whatever happens to be installed. Numbers and layouts are ABI
 * (include/uapi/linux/bpf.h) and never change.
 */
#ifndef XSEND_BPF_ABI_H
#define XSEND_BPF_ABI_H

typedef unsigned char __u8;
typedef unsigned short __u16;
typedef unsigned int __u32;
typedef unsigned long long __u64;
typedef __u16 __be16; /* network byte order */
typedef __u32 __be32;

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))
#define OUTLINE static __attribute__((noinline))

/* A map is described by the BTF of an anonymous struct. */
#define UINT(name, val) int(*name)[val]
#define TYPE(name, val) typeof(val) *name

enum {
	BPF_MAP_TYPE_HASH = 1,
	BPF_MAP_TYPE_PERCPU_ARRAY = 6,
	BPF_MAP_TYPE_XSKMAP = 17,
	BPF_F_NO_PREALLOC = 1,
};

enum xdp_action {
	XDP_ABORTED,
	XDP_DROP,
	XDP_PASS,
	XDP_TX,
	XDP_REDIRECT,
};

struct xdp_md {
	__u32 data;
	__u32 data_end;
	__u32 data_meta;
	__u32 ingress_ifindex;
	__u32 rx_queue_index;
	__u32 egress_ifindex;
};

/* Kernel functions are called by number. */
static void *(*bpf_map_lookup_elem)(void *map, const void *key) = (void *)1;
static long (*bpf_redirect_map)(void *map, __u64 key, __u64 flags) = (void *)51;
static __u64 (*bpf_xdp_get_buff_len)(struct xdp_md *ctx) = (void *)188;
static long (*bpf_xdp_load_bytes)(struct xdp_md *ctx, __u32 offset, void *to, __u32 len) = (void *)189;

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define NTOH16(x) ((__u16)__builtin_bswap16(x))
#else
#define NTOH16(x) ((__u16)(x))
#endif
#define HTON16(x) NTOH16(x)

#endif
