// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
//go:build ignore

/*
 * Steers TCP segments for our local ports, and the ICMP errors about segments we
 * sent, to the AF_XDP socket of the queue they arrived on. Everything else is the
 * kernel's: when in doubt, XDP_PASS.
 *
 * One exception: a good segment of ours on a queue without a socket is dropped.
 * The kernel knows no such connection and would answer with RST; a drop is a loss,
 * which TCP repairs.
 */
#include "packet.h"

/* One per CPU. Every frame is counted once as redirected, nosocket or passed. */
struct counters {
	__u64 tcp;        /* segments for our ports */
	__u64 icmp;       /* ICMP errors that quote our segments */
	__u64 redirected; /* of tcp and icmp: a socket was there */
	__u64 nosocket;   /* of tcp: dropped, the queue had no socket */
	__u64 passed;     /* to the kernel */
	__u64 fragments;  /* of passed: IP fragments */
	__u64 malformed;  /* of passed: cut short, or lengths that contradict */
};

/* Local TCP ports that are ours. Key in network byte order, value unused. */
struct {
	UINT(type, BPF_MAP_TYPE_HASH);
	UINT(max_entries, 65536);
	UINT(map_flags, BPF_F_NO_PREALLOC);
	TYPE(key, __be16);
	TYPE(value, __u8);
} ports SEC(".maps");

/* Sockets by RX queue. The loader sets the size. */
struct {
	UINT(type, BPF_MAP_TYPE_XSKMAP);
	UINT(max_entries, 64);
	TYPE(key, __u32);
	TYPE(value, __u32);
} xsks SEC(".maps");

struct {
	UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	UINT(max_entries, 1);
	TYPE(key, __u32);
	TYPE(value, struct counters);
} totals SEC(".maps");

/* nosocket by RX queue, sockets or not, so that it can be said where replies arrive. The loader sets the size. */
struct {
	UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	UINT(max_entries, 64);
	TYPE(key, __u32);
	TYPE(value, __u64);
} nosocket SEC(".maps");

/* A frame on its way through the program. */
struct frame {
	struct xdp_md *ctx;
	struct counters *count;
};

INLINE int pass(struct frame *f)
{
	f->count->passed++;
	return XDP_PASS;
}

INLINE int pass_fragment(struct frame *f)
{
	f->count->fragments++;
	return pass(f);
}

INLINE int pass_malformed(struct frame *f)
{
	f->count->malformed++;
	return pass(f);
}

INLINE int is_ours(__be16 port)
{
	return bpf_map_lookup_elem(&ports, &port) != 0;
}

/* Whether the frame has all bytes up to end. Padding behind them is allowed. */
INLINE int reaches(struct frame *f, __u32 end)
{
	return end <= bpf_xdp_get_buff_len(f->ctx);
}

/* The kernel takes the socket itself; its absence comes back as the action in flags. */
INLINE int to_socket(struct frame *f, int otherwise)
{
	return bpf_redirect_map(&xsks, f->ctx->rx_queue_index, otherwise);
}

INLINE int drop_unserved(struct frame *f)
{
	__u32 queue = f->ctx->rx_queue_index;
	__u64 *n = bpf_map_lookup_elem(&nosocket, &queue);

	if (n)
		++*n;
	f->count->nosocket++;
	return XDP_DROP;
}

INLINE int steer_tcp(struct frame *f, __u32 off, __u32 len)
{
	struct tcp tcp;
	__u32 header;

	if (LOAD(f->ctx, off, &tcp))
		return pass_malformed(f);
	if (!is_ours(tcp.dst))
		return pass(f);
	header = (tcp.data_offset >> 4) * 4;
	if (header < sizeof(tcp) || header > len || !reaches(f, off + len))
		return pass_malformed(f);
	f->count->tcp++;
	if (to_socket(f, XDP_DROP) != XDP_REDIRECT)
		return drop_unserved(f);
	f->count->redirected++;
	return XDP_REDIRECT;
}

/* The end of both ICMP versions: quoted TCP at off + at, where off is the ICMP header and len what IP carries. */
INLINE int steer_quote(struct frame *f, __u32 off, __u32 len, __u32 at)
{
	struct tcp_quote tcp;

	if (LOAD(f->ctx, off + at, &tcp))
		return pass_malformed(f);
	if (!is_ours(tcp.src))
		return pass(f);
	if (at + sizeof(tcp) > len || !reaches(f, off + len))
		return pass_malformed(f);
	f->count->icmp++;
	if (to_socket(f, XDP_PASS) != XDP_REDIRECT)
		return pass(f);
	f->count->redirected++;
	return XDP_REDIRECT;
}

INLINE int steer_icmp4(struct frame *f, __u32 off, __u32 len)
{
	struct icmp icmp;
	struct ip4 quoted;

	if (LOAD(f->ctx, off, &icmp))
		return pass_malformed(f);
	if (icmp.type != ICMP_UNREACHABLE && icmp.type != ICMP_TIME_EXCEEDED &&
	    icmp.type != ICMP_PARAMETER_PROBLEM)
		return pass(f);
	if (LOAD(f->ctx, off + sizeof(icmp), &quoted) || !ip4_sane(&quoted))
		return pass_malformed(f);
	/* A later fragment quotes no ports. */
	if (quoted.protocol != PROTO_TCP || (quoted.frag & IP4_OFFSET))
		return pass(f);
	return steer_quote(f, off, len, sizeof(icmp) + ip4_header_len(&quoted));
}

INLINE int steer_icmp6(struct frame *f, __u32 off, __u32 len)
{
	struct icmp icmp;
	struct ip6 quoted;

	if (LOAD(f->ctx, off, &icmp))
		return pass_malformed(f);
	if (icmp.type < ICMP6_FIRST_ERROR || icmp.type > ICMP6_LAST_ERROR)
		return pass(f);
	if (LOAD(f->ctx, off + sizeof(icmp), &quoted) || !ip6_sane(&quoted))
		return pass_malformed(f);
	if (quoted.next_header != PROTO_TCP)
		return pass(f);
	return steer_quote(f, off, len, sizeof(icmp) + sizeof(quoted));
}

INLINE int steer_ip4(struct frame *f, __u32 off)
{
	struct ip4 ip;
	__u32 header, total;

	if (LOAD(f->ctx, off, &ip) || !ip4_sane(&ip))
		return pass_malformed(f);
	header = ip4_header_len(&ip);
	total = NTOH16(ip.total_len);
	if (total < header)
		return pass_malformed(f);
	if (ip.frag & IP4_FRAGMENT)
		return pass_fragment(f);
	if (ip.protocol == PROTO_TCP)
		return steer_tcp(f, off + header, total - header);
	if (ip.protocol == PROTO_ICMP)
		return steer_icmp4(f, off + header, total - header);
	return pass(f);
}

INLINE int steer_ip6(struct frame *f, __u32 off)
{
	struct ip6 ip;
	__u32 len;

	if (LOAD(f->ctx, off, &ip) || !ip6_sane(&ip))
		return pass_malformed(f);
	len = NTOH16(ip.payload_len);
	if (ip.next_header == PROTO_TCP)
		return steer_tcp(f, off + sizeof(ip), len);
	if (ip.next_header == PROTO_ICMP6)
		return steer_icmp6(f, off + sizeof(ip), len);
	if (ip.next_header == PROTO_FRAGMENT)
		return pass_fragment(f);
	return pass(f);
}

INLINE int is_tag(__be16 type)
{
	return type == ETHERTYPE_8021Q || type == ETHERTYPE_8021AD;
}

INLINE int steer_frame(struct frame *f)
{
	__u32 off = sizeof(struct eth);
	struct eth eth;
	struct vlan tag;
	__be16 type;

	if (LOAD(f->ctx, 0, &eth))
		return pass_malformed(f);
	type = eth.type;
#pragma unroll
	for (int tags = 0; tags < 2; tags++) {
		if (!is_tag(type))
			break;
		if (LOAD(f->ctx, off, &tag))
			return pass_malformed(f);
		off += sizeof(tag);
		type = tag.type;
	}
	if (type == ETHERTYPE_IP4)
		return steer_ip4(f, off);
	if (type == ETHERTYPE_IP6)
		return steer_ip6(f, off);
	return pass(f);
}

SEC("xdp.frags")
int xsend_steer(struct xdp_md *ctx)
{
	__u32 zero = 0;
	struct frame f = {
		.ctx = ctx,
		.count = bpf_map_lookup_elem(&totals, &zero),
	};

	if (!f.count)
		return XDP_PASS;
	return steer_frame(&f);
}

char license_name[] SEC("license") = "Dual BSD/GPL";
