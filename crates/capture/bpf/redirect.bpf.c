// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Hands frames that carry IPv6, directly, in a PPPoE session or below MPLS labels, to the AF_XDP socket of the queue that they
 * arrived on; everything else goes its usual way, and so do IPv6 frames of queues without a socket.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ethertype.h"

/* The sockets, by queue. */
struct {
	__uint(type, BPF_MAP_TYPE_XSKMAP);
	__uint(max_entries, 256);
	__type(key, __u32);
	__type(value, __u32);
} sockets SEC(".maps");

/* Whether an IPv6 packet lies behind a type that is no tag's. */
static __always_inline int leads_to_ipv6(__u16 type, const __u8 *at, const __u8 *end)
{
	if (type == TYPE_PPPOE)
		return at + SESSION_LEN <= end && is_ipv6_session(at);
	if (!is_label(type))
		return type == TYPE_IPV6;
	for (int number = 0; number < LABELS; number++) {
		if (at + 5 > end)
			return 0;
		if (is_bottom(at))
			return at[4] >> 4 == 6;
		at += 4;
	}
	return 0;
}

SEC("xdp")
int redirect(struct xdp_md *context)
{
	const __u8 *end = (const __u8 *)(long)context->data_end;
	const __u8 *type = (const __u8 *)(long)context->data + TYPE_AT;

	for (int tag = 0; tag <= TAGS; tag++) {
		__u16 found;

		if (type + 2 > end)
			return XDP_PASS;
		found = type[0] << 8 | type[1];
		if (!is_tag(found)) {
			if (!leads_to_ipv6(found, type + 2, end))
				return XDP_PASS;
			return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
		}
		type += 4;
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
