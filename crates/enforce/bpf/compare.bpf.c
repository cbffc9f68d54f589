// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* For the bench alone: the same look-ups by three programs, so that what a run costs by itself can be taken off.
 *
 * Each run takes the next address of a list that user space has filled.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "image.h"

/* A power of two. */
#define QUERIES (1 << 20)

struct address {
	__u64 upper, lower;
};

/* What the kernel's own trie is asked by: the length in bits, then the bits in network order. */
struct lpm_key {
	__u32 len;
	__u8 bytes[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, QUERIES);
	__type(key, __u32);
	__type(value, struct address);
} queries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} turn SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct line);
} image SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 1 << 23);
	__type(key, struct lpm_key);
	__type(value, __u32);
} trie SEC(".maps");

#define IMAGE image
#define NAME(part) image_##part
#include "walk.h"

static __always_inline struct address *next(void)
{
	__u32 zero = 0, at;
	__u64 *number = bpf_map_lookup_elem(&turn, &zero);

	if (!number)
		return 0;
	at = (*number)++ & (QUERIES - 1);
	return bpf_map_lookup_elem(&queries, &at);
}

SEC("xdp")
int nothing(struct xdp_md *context)
{
	struct address *address = next();

	return address && address->upper == 1 ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int by_image(struct xdp_md *context)
{
	struct address *address = next();

	return address && image_find(0, address->upper, address->lower) < NO_MATCH ? XDP_DROP : XDP_PASS;
}

SEC("xdp")
int by_trie(struct xdp_md *context)
{
	struct address *address = next();
	struct lpm_key key = { .len = 128 };
	__u64 part;

	if (!address)
		return XDP_PASS;
	part = bpf_cpu_to_be64(address->upper);
	__builtin_memcpy(key.bytes, &part, 8);
	part = bpf_cpu_to_be64(address->lower);
	__builtin_memcpy(key.bytes + 8, &part, 8);
	return bpf_map_lookup_elem(&trie, &key) ? XDP_DROP : XDP_PASS;
}

/* Sends what it is given out of the interface that it is said to have come in by: a generator, where it is run on live frames. */
SEC("xdp")
int sends(struct xdp_md *context)
{
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
