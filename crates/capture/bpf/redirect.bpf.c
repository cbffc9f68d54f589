// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Hands IPv6 frames to the AF_XDP socket of the queue that they arrived on; everything else goes its usual way, and so do
 * IPv6 frames of queues without a socket.
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
		if (found == TYPE_IPV6)
			return bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
		if (!is_tag(found))
			return XDP_PASS;
		type += 4;
	}
	return XDP_PASS;
}

char LICENSE[] SEC("license") = "GPL";
