/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* From a frame to its outermost IPv6 header and what stands behind the extension headers: as crates/wire does, as far as a
 * verdict needs it.
 */
#ifndef CREDENCE_CHAIN_H
#define CREDENCE_CHAIN_H

#include "link.h"

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

/* What a frame came to. */
enum frame {
	FRAME_IPV6,
	FRAME_OTHER,  /* it carries something else */
	FRAME_UNREAD, /* it promises a header that cannot be read */
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

/* The length of a jumbogram (RFC 2675, section 2), whose option stands first in its Hop-by-Hop Options; zero for anything else:
 * nothing behind a header that claims nothing is known to belong to it.
 */
static __always_inline __u32 jumbo_len(const __u8 *options, const __u8 *end)
{
	if (options + 8 > end || options[2] != 0xc2 || options[3] != 4)
		return 0;
	return be16(options + 4) << 16 | be16(options + 6);
}

/* Reads a frame as far as a verdict needs it. */
static __always_inline enum frame read_frame(struct xdp_md *context, struct ipv6 *packet)
{
	const __u8 *start = (const __u8 *)(long)context->data, *end = (const __u8 *)(long)context->data_end;
	__u32 at = ETHERNET_LEN, limit = end - start, type, payload;
	const __u8 *bytes;
	__u64 place;

	if (start + ETHERNET_LEN > end)
		return FRAME_UNREAD;
	type = be16(start + ETHERNET_LEN - 2);
	/* What nearly all frames are is read here: the way down takes a tenth of a frame's time more. */
#pragma unroll
	for (int tag = 0; tag < 2; tag++) {
		if (type != ETHERTYPE_VLAN && type != ETHERTYPE_QINQ)
			break;
		if (start + at + 4 > end)
			return FRAME_UNREAD;
		type = be16(start + at + 2);
		at += 4;
	}
	if (type == ETHERTYPE_IPV4)
		return FRAME_OTHER;
	if (type != ETHERTYPE_IPV6) {
		place = descend(context);
		if (place <= DESCENT_UNREAD)
			return place == DESCENT_OTHER ? FRAME_OTHER : FRAME_UNREAD;
		at = place;
		limit = place >> 32;
	}
	bytes = start + (at & 0x7fff);
	if (at + 40 > limit || bytes + 40 > end || bytes[0] >> 4 != 6)
		return FRAME_UNREAD;
	packet->at = at;
	packet->src_upper = be64(bytes + 8);
	packet->src_lower = be64(bytes + 16);
	packet->dst_upper = be64(bytes + 24);
	packet->dst_lower = be64(bytes + 32);
	packet->hop_limit = bytes[7];
	packet->proto = bytes[6];
	packet->chain = CHAIN_UNKNOWN;
	packet->upper = 0;
	payload = be16(bytes + 4);
	if (!payload && packet->proto == HOP_BY_HOP)
		payload = jumbo_len(bytes + 40, end);
	if (payload < limit - at - 40)
		limit = at + 40 + payload;
	walk_chain(start, end, at + 40, limit, packet);
	return FRAME_IPV6;
}

#endif
