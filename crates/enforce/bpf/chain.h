/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* From a frame to its outermost IPv6 header and what stands behind the extension headers: as crates/wire does, as far as a
 * verdict needs it.
 */
#ifndef CREDENCE_CHAIN_H
#define CREDENCE_CHAIN_H

#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8
#define ETHERTYPE_QINQ_OLD 0x9100
#define TAGS_MAX 8

#define HOP_BY_HOP 0
#define TCP 6
#define ROUTING 43
#define FRAGMENT 44
#define AUTHENTICATION 51
#define ICMPV6 58
#define DESTINATION 60
#define SHIM6 140

/* The same limit as the parser's default. */
#define EXT_HEADERS_MAX 8

/* What a chain came to. */
enum {
	CHAIN_COMPLETE,  /* the upper-layer header is expected at `upper` */
	CHAIN_ELSEWHERE, /* a fragment but the first: there is none here */
	CHAIN_UNKNOWN,   /* more headers than are walked, or cut */
};

struct ipv6 {
	__u64 src_upper, src_lower;
	__u64 dst_upper, dst_lower;
	__u32 hop_limit;
	__u32 proto; /* behind the extension headers */
	__u32 chain; /* CHAIN_... */
	__u32 at;    /* offset of this header from the beginning of the frame */
	__u32 upper; /* offset of the upper-layer header from the same */
};

static __always_inline __u64 be64(const __u8 *at)
{
	__u64 value;

	__builtin_memcpy(&value, at, 8);
	return bpf_be64_to_cpu(value);
}

static __always_inline __u32 be16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

static __always_inline int is_walked(__u32 proto)
{
	return proto == HOP_BY_HOP || proto == ROUTING || proto == FRAGMENT || proto == AUTHENTICATION ||
	       proto == DESTINATION || proto == SHIM6;
}

/* Walks the extension headers from `at` on; no header ends behind `limit`. */
static __always_inline void walk_chain(const __u8 *start, const __u8 *end, __u32 at, __u32 limit, struct ipv6 *packet)
{
	for (int header = 0; header < EXT_HEADERS_MAX; header++) {
		const __u8 *bytes = start + (at & 0x7fff);
		__u32 len;

		if (!is_walked(packet->proto)) {
			packet->chain = CHAIN_COMPLETE;
			packet->upper = at;
			return;
		}
		if (bytes + 8 > end || at + 8 > limit)
			return;
		if (packet->proto == FRAGMENT)
			len = 8;
		else if (packet->proto == AUTHENTICATION)
			len = (bytes[1] + 2) * 4;
		else
			len = (bytes[1] + 1) * 8;
		if (at + len > limit)
			return;
		if (packet->proto == FRAGMENT && be16(bytes + 2) >> 3) {
			packet->proto = bytes[0];
			packet->chain = CHAIN_ELSEWHERE;
			return;
		}
		packet->proto = bytes[0];
		at += len;
	}
	if (!is_walked(packet->proto)) {
		packet->chain = CHAIN_COMPLETE;
		packet->upper = at;
	}
}

/* Reads a frame. Returns 0 for an IPv6 packet, -1 for anything else. */
static __always_inline int read_frame(const __u8 *start, const __u8 *end, struct ipv6 *packet)
{
	__u32 at = 14, limit = end - start, type, payload;
	const __u8 *bytes;

	if (start + 14 > end)
		return -1;
	type = be16(start + 12);
#pragma unroll
	for (int tag = 0; tag < TAGS_MAX; tag++) {
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ && type != ETHERTYPE_QINQ_OLD)
			break;
		if (start + at + 4 > end)
			return -1;
		type = be16(start + at + 2);
		at += 4;
	}
	bytes = start + at;
	if (type != ETHERTYPE_IPV6 || bytes + 40 > end || bytes[0] >> 4 != 6)
		return -1;
	packet->at = at;
	packet->src_upper = be64(bytes + 8);
	packet->src_lower = be64(bytes + 16);
	packet->dst_upper = be64(bytes + 24);
	packet->dst_lower = be64(bytes + 32);
	packet->hop_limit = bytes[7];
	packet->proto = bytes[6];
	packet->chain = CHAIN_UNKNOWN;
	packet->upper = 0;
	/* A length of zero is a jumbogram's, whose option gives the length (RFC 2675), or a packet's that ends here. */
	payload = be16(bytes + 4);
	if ((payload || packet->proto != HOP_BY_HOP) && at + 40 + payload < limit)
		limit = at + 40 + payload;
	walk_chain(start, end, at + 40, limit, packet);
	return 0;
}

#endif
