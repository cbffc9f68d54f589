// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* Which socket of a fan-out group gets a frame: both directions and all fragments of an address pair go to the same one.
 *
 * The kernel's own hash takes the ports too, which only the first fragment of a datagram has. What is hashed here are the
 * addresses of the outermost IPv6 header, directly in a frame, in a PPPoE session or below MPLS labels; a frame without one,
 * and one in which other link layers hide it, goes to the first socket.
 *
 * A frame begins at its link layer when it leaves, and behind that when it arrives: the kernel has taken the Ethernet
 * header off by then, and the outermost VLAN tag with it.
 */
#include <linux/bpf.h>
#include <linux/if_packet.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "ethertype.h"

/* Bytes of an Ethernet header. */
#define ETHERNET_LEN 14

/* Where the addresses stand in an IPv6 header: the source, then the destination. */
#define ADDRESSES_AT 8

/* Sockets of the group. Set when the program is loaded. */
const volatile __u32 queues = 1;

/* Two addresses, each in two halves. */
struct addresses {
	__be64 source[2], destination[2];
};

static __always_inline __u64 fold(const __be64 *halves)
{
	__u64 upper = bpf_be64_to_cpu(halves[0]);

	return bpf_be64_to_cpu(halves[1]) ^ (upper << 32 | upper >> 32);
}

/* The same function by which the engine's reader spreads frames over workers. */
static __always_inline __u32 spread(const struct addresses *pair)
{
	/* A sum is the same in both directions; the multiplication carries every bit into the upper half. */
	__u64 mixed = (fold(pair->source) + fold(pair->destination)) * 0x9e3779b97f4a7c15;

	mixed ^= mixed >> 29;
	/* The upper half of the product, whose 128 bits this machine cannot hold. */
	return ((mixed >> 32) * queues + ((mixed & 0xffffffff) * queues >> 32)) >> 32;
}

/* The socket for the IPv6 packet at this place. */
static __always_inline __u32 of_packet(struct __sk_buff *skb, __u32 at)
{
	struct addresses pair;

	if (bpf_skb_load_bytes(skb, at + ADDRESSES_AT, &pair, sizeof(pair)))
		return 0;
	return spread(&pair);
}

/* The socket for what lies at this place in a session. */
static __always_inline __u32 of_session(struct __sk_buff *skb, __u32 at)
{
	__u8 head[SESSION_LEN];

	if (bpf_skb_load_bytes(skb, at, head, sizeof(head)) || !is_ipv6_session(head))
		return 0;
	return of_packet(skb, at + sizeof(head));
}

/* The socket for what lies below the labels at this place: its first four bits tell what it is (RFC 4928, section 3). */
static __always_inline __u32 below_labels(struct __sk_buff *skb, __u32 at)
{
	__u8 label[5];

	for (int number = 0; number < LABELS; number++) {
		if (bpf_skb_load_bytes(skb, at, label, sizeof(label)))
			return 0;
		at += 4;
		if (is_bottom(label))
			return label[4] >> 4 == 6 ? of_packet(skb, at) : 0;
	}
	return 0;
}

SEC("socket")
int ethernet(struct __sk_buff *skb)
{
	__u16 type = bpf_ntohs(skb->protocol);
	__u32 at = 0;

	if (skb->pkt_type == PACKET_OUTGOING) {
		__be16 written;

		if (bpf_skb_load_bytes(skb, TYPE_AT, &written, sizeof(written)))
			return 0;
		type = bpf_ntohs(written);
		at = ETHERNET_LEN;
	}
#pragma unroll
	for (int tag = 0; tag < TAGS; tag++) {
		__be16 inner;

		if (!is_tag(type) || bpf_skb_load_bytes(skb, at + 2, &inner, sizeof(inner)))
			break;
		type = bpf_ntohs(inner);
		at += 4;
	}
	if (type == TYPE_IPV6)
		return of_packet(skb, at);
	if (type == TYPE_PPPOE)
		return of_session(skb, at);
	return is_label(type) ? below_labels(skb, at) : 0;
}

/* Interfaces without a link layer. */
SEC("socket")
int bare(struct __sk_buff *skb)
{
	__u8 version;

	if (bpf_skb_load_bytes(skb, 0, &version, sizeof(version)) || version >> 4 != 6)
		return 0;
	return of_packet(skb, 0);
}

char LICENSE[] SEC("license") = "GPL";
