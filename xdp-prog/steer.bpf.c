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

/* What became of a frame. Each frame has one outcome, and is counted as such. */
enum outcome {
	PASSED,          /* to the kernel */
	FRAGMENT,        /* to the kernel: an IP fragment */
	MALFORMED,       /* to the kernel: cut short, or lengths that contradict */
	TCP_REDIRECTED,  /* for our port, to the socket */
	TCP_DROPPED,     /* for our port, no socket */
	ICMP_REDIRECTED, /* quotes our segment, to the socket */
	ICMP_PASSED,     /* quotes our segment, no socket: to the kernel */
	OUTCOMES,
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

/* Frames by outcome. */
struct {
	UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	UINT(max_entries, OUTCOMES);
	TYPE(key, enum outcome);
	TYPE(value, __u64);
} frames SEC(".maps");

/* TCP_DROPPED by RX queue, so that it can be said where replies arrive. The loader sets the size. */
struct {
	UINT(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	UINT(max_entries, 64);
	TYPE(key, __u32);
	TYPE(value, __u64);
} unserved SEC(".maps");

INLINE void count(void *map, __u32 key)
{
	__u64 *n = bpf_map_lookup_elem(map, &key);

	if (n)
		++*n;
}

INLINE int is_ours(__be16 port)
{
	return bpf_map_lookup_elem(&ports, &port) != 0;
}

/* Whether the frame has all bytes up to end. Padding behind them is allowed. */
INLINE int reaches(struct xdp_md *ctx, __u32 end)
{
	return end <= bpf_xdp_get_buff_len(ctx);
}

/* One look at the socket map: whether a socket is there, and if so it gets the frame on XDP_REDIRECT. */
INLINE int has_socket(struct xdp_md *ctx)
{
	return bpf_redirect_map(&xsks, ctx->rx_queue_index, XDP_DROP) == XDP_REDIRECT;
}

INLINE enum outcome steer_tcp(struct xdp_md *ctx, __u32 off, __u32 len)
{
	struct tcp spare;
	const struct tcp *tcp;
	__u32 header;

	if (!POINT(ctx, off, tcp, &spare))
		return MALFORMED;
	header = (tcp->data_offset >> 4) * 4;
	if (!is_ours(tcp->dst))
		return PASSED;
	if (header < sizeof(*tcp) || header > len || !reaches(ctx, off + len))
		return MALFORMED;
	return has_socket(ctx) ? TCP_REDIRECTED : TCP_DROPPED;
}

/* The same out of line, for the offsets that vary: tags, IP options. */
OUTLINE enum outcome steer_tcp_behind(struct xdp_md *ctx, __u32 off, __u32 len)
{
	return steer_tcp(ctx, off, len);
}

INLINE enum outcome steer_tcp_at(struct xdp_md *ctx, __u32 off, __u32 len)
{
	if (__builtin_constant_p(off))
		return steer_tcp(ctx, off, len);
	return steer_tcp_behind(ctx, off, len);
}

/* The end of both ICMP versions: quoted TCP at off + at, where off is the ICMP header and len what IP carries. */
OUTLINE enum outcome steer_quote(struct xdp_md *ctx, __u32 off, __u32 len, __u32 at)
{
	struct tcp_quote spare;
	const struct tcp_quote *tcp;

	if (!POINT(ctx, off + at, tcp, &spare))
		return MALFORMED;
	if (!is_ours(tcp->src))
		return PASSED;
	if (at + sizeof(*tcp) > len || !reaches(ctx, off + len))
		return MALFORMED;
	return has_socket(ctx) ? ICMP_REDIRECTED : ICMP_PASSED;
}

OUTLINE enum outcome steer_icmp4(struct xdp_md *ctx, __u32 off, __u32 len)
{
	struct icmp spare;
	struct ip4 spare_quoted;
	const struct icmp *icmp;
	const struct ip4 *quoted;

	if (!POINT(ctx, off, icmp, &spare))
		return MALFORMED;
	if (icmp->type != ICMP_UNREACHABLE && icmp->type != ICMP_TIME_EXCEEDED &&
	    icmp->type != ICMP_PARAMETER_PROBLEM)
		return PASSED;
	if (!POINT(ctx, off + sizeof(*icmp), quoted, &spare_quoted) || !ip4_sane(quoted))
		return MALFORMED;
	/* A later fragment quotes no ports. */
	if (quoted->protocol != PROTO_TCP || (quoted->frag & IP4_OFFSET))
		return PASSED;
	return steer_quote(ctx, off, len, sizeof(*icmp) + ip4_header_len(quoted));
}

OUTLINE enum outcome steer_icmp6(struct xdp_md *ctx, __u32 off, __u32 len)
{
	struct icmp spare;
	struct ip6 spare_quoted;
	const struct icmp *icmp;
	const struct ip6 *quoted;

	if (!POINT(ctx, off, icmp, &spare))
		return MALFORMED;
	if (icmp->type < ICMP6_FIRST_ERROR || icmp->type > ICMP6_LAST_ERROR)
		return PASSED;
	if (!POINT(ctx, off + sizeof(*icmp), quoted, &spare_quoted) || !ip6_sane(quoted))
		return MALFORMED;
	if (quoted->next_header != PROTO_TCP)
		return PASSED;
	return steer_quote(ctx, off, len, sizeof(*icmp) + sizeof(*quoted));
}

INLINE enum outcome steer_ip4(struct xdp_md *ctx, __u32 off)
{
	struct ip4 spare;
	const struct ip4 *ip;
	__u32 header, len;

	if (!POINT(ctx, off, ip, &spare) || !ip4_sane(ip))
		return MALFORMED;
	header = ip4_header_len(ip);
	len = NTOH16(ip->total_len) - header;
	if (NTOH16(ip->total_len) < header)
		return MALFORMED;
	if (ip->frag & IP4_FRAGMENT)
		return FRAGMENT;
	if (ip->protocol == PROTO_ICMP)
		return steer_icmp4(ctx, off + header, len);
	if (ip->protocol != PROTO_TCP)
		return PASSED;
	if (header == sizeof(*ip)) /* an offset that the compiler knows */
		return steer_tcp_at(ctx, off + sizeof(*ip), len);
	return steer_tcp_at(ctx, off + header, len);
}

INLINE enum outcome steer_ip6(struct xdp_md *ctx, __u32 off)
{
	struct ip6 spare;
	const struct ip6 *ip;
	__u32 len;

	if (!POINT(ctx, off, ip, &spare) || !ip6_sane(ip))
		return MALFORMED;
	len = NTOH16(ip->payload_len);
	if (ip->next_header == PROTO_TCP)
		return steer_tcp_at(ctx, off + sizeof(*ip), len);
	if (ip->next_header == PROTO_ICMP6)
		return steer_icmp6(ctx, off + sizeof(*ip), len);
	return ip->next_header == PROTO_FRAGMENT ? FRAGMENT : PASSED;
}

INLINE enum outcome steer_ip(struct xdp_md *ctx, __be16 type, __u32 off)
{
	if (type == ETHERTYPE_IP4)
		return steer_ip4(ctx, off);
	if (type == ETHERTYPE_IP6)
		return steer_ip6(ctx, off);
	return PASSED;
}

INLINE int is_tag(__be16 type)
{
	return type == ETHERTYPE_8021Q || type == ETHERTYPE_8021AD;
}

OUTLINE enum outcome steer_tagged(struct xdp_md *ctx)
{
	__u32 off = sizeof(struct eth);
	struct vlan spare;
	const struct vlan *tag;

	if (!POINT(ctx, off, tag, &spare))
		return MALFORMED;
	off += sizeof(*tag);
	if (is_tag(tag->type)) {
		if (!POINT(ctx, off, tag, &spare))
			return MALFORMED;
		off += sizeof(*tag);
	}
	return steer_ip(ctx, tag->type, off);
}

INLINE enum outcome steer(struct xdp_md *ctx)
{
	struct eth spare;
	const struct eth *eth;

	if (!POINT(ctx, 0, eth, &spare))
		return MALFORMED;
	if (is_tag(eth->type))
		return steer_tagged(ctx);
	return steer_ip(ctx, eth->type, sizeof(*eth));
}

SEC("xdp.frags")
int xsend_steer(struct xdp_md *ctx)
{
	enum outcome o = steer(ctx);

	count(&frames, o);
	if (o == TCP_REDIRECTED || o == ICMP_REDIRECTED)
		return XDP_REDIRECT;
	if (o != TCP_DROPPED)
		return XDP_PASS;
	count(&unserved, ctx->rx_queue_index);
	return XDP_DROP;
}

char license_name[] SEC("license") = "Dual BSD/GPL";
