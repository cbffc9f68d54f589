// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* For the bench alone: every frame of a test run leaves by the interface that it is said to have arrived on. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

SEC("xdp")
int generate(struct xdp_md *context)
{
	(void)context;
	return XDP_TX;
}

char LICENSE[] SEC("license") = "GPL";
