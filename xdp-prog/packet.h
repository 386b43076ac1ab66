/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/* Wire formats, and reading them from a frame that may be in pieces. */
#ifndef XSEND_PACKET_H
#define XSEND_PACKET_H

#include "bpf_abi.h"

#define ETHERTYPE_IP4 HTON16(0x0800)
#define ETHERTYPE_IP6 HTON16(0x86dd)
#define ETHERTYPE_8021Q HTON16(0x8100)
#define ETHERTYPE_8021AD HTON16(0x88a8)

#define PROTO_ICMP 1
#define PROTO_TCP 6
#define PROTO_FRAGMENT 44
#define PROTO_ICMP6 58

/* RFC 792; source quench (4) is obsolete and redirect (5) is about the kernel's routes. */
#define ICMP_UNREACHABLE 3
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETER_PROBLEM 12
/* RFC 4443: unreachable 1, packet too big 2, time exceeded 3, parameter problem 4. */
#define ICMP6_FIRST_ERROR 1
#define ICMP6_LAST_ERROR 4

#define IP4_OFFSET HTON16(0x1fff)
#define IP4_FRAGMENT HTON16(0x3fff) /* offset, or more fragments */

struct eth {
	__u8 dst[6];
	__u8 src[6];
	__be16 type;
};

struct vlan {
	__be16 tci;
	__be16 type;
};

struct ip4 {
	__u8 version_ihl;
	__u8 tos;
	__be16 total_len;
	__be16 id;
	__be16 frag;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 src;
	__be32 dst;
};

struct ip6 {
	__u8 version_class;
	__u8 class_flow;
	__be16 flow;
	__be16 payload_len;
	__u8 next_header;
	__u8 hop_limit;
	__be32 src[4];
	__be32 dst[4];
};

struct tcp {
	__be16 src;
	__be16 dst;
	__be32 seq;
	__be32 ack;
	__u8 data_offset; /* upper four bits, in words */
	__u8 flags;
	__be16 window;
	__be16 checksum;
	__be16 urgent;
};

/* What an ICMP error has to quote of TCP: RFC 792, 64 bits. */
struct tcp_quote {
	__be16 src;
	__be16 dst;
	__be32 seq;
};

struct icmp {
	__u8 type;
	__u8 code;
	__be16 checksum;
	__be32 rest;
};

/*
 * POINT sets header to the header at offset off and yields 1, or 0 if the frame ends
 * before the header does.
 *
 * Where the offset is known to the compiler, which it is without tags and IP options,
 * the header is read in place. Elsewhere, and when the driver has left the header in a
 * later buffer of the frame, the kernel copies it to *spare: that takes 30 ns more, but
 * packet pointers plus a variable, and comparing pointers with null, take CAP_PERFMON.
 */
#define POINT(ctx, off, header, spare)                                       \
	({                                                                   \
		void *at_ = (void *)(long)(ctx)->data;                       \
		void *end_ = (void *)(long)(ctx)->data_end;                  \
		int found_ = 1;                                              \
		if (__builtin_constant_p(off) && at_ + (off) + sizeof(*(spare)) <= end_) \
			header = at_ + (off);                                \
		else if (!bpf_xdp_load_bytes(ctx, off, spare, sizeof(*(spare)))) \
			header = (spare);                                    \
		else                                                         \
			found_ = 0;                                          \
		found_;                                                      \
	})

INLINE __u32 ip4_header_len(const struct ip4 *ip)
{
	return (ip->version_ihl & 0x0f) * 4;
}

/* Version 4 and a header length that RFC 791 allows. */
INLINE int ip4_sane(const struct ip4 *ip)
{
	return ip->version_ihl >= 0x45 && ip->version_ihl <= 0x4f;
}

INLINE int ip6_sane(const struct ip6 *ip)
{
	return (ip->version_class & 0xf0) == 0x60;
}

#endif
