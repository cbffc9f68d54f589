// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* The verdicts of a gateway, carried out where frames arrive.
 *
 * A frame's source is looked up in the image that user space walks too; the record that it finds names a measure. Whole sets
 * of records take each other's place by one store. What the engine thinks of a source's behaviour is told address by address.
 * When the engine stops, its heartbeat does, and what happens then is what the operator chose.
 */
#include <linux/bpf.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "chain.h"
#include "image.h"

/* From the mildest to the strictest; the numbers are those of user space. */
enum verdict {
	VERDICT_INCENTIVE,
	VERDICT_PASS,
	VERDICT_OBSERVE,
	VERDICT_MARK,
	VERDICT_RATE_LIMIT,
	VERDICT_DROP,
	VERDICTS,
};

/* Why. The numbers are those of user space, and the names of its metrics. */
enum reason {
	REASON_UNLISTED,    /* nothing in force speaks of the source */
	REASON_LISTED,      /* a record does, and its measure was taken */
	REASON_BEHAVIOUR,   /* the engine does, and its measure was taken */
	REASON_WITHIN_RATE, /* a limiter let it pass */
	REASON_SPARED,      /* the source is never blocked */
	REASON_NEIGHBOUR,   /* neighbour discovery and multicast listening */
	REASON_NOT_IPV6,    /* no IPv6 packet */
	REASON_UNKNOWN,     /* the chain of headers was not walked to its end, or not even to its beginning */
	REASON_FAILED,      /* the engine gives no sign of life, or says that it cannot judge */
	REASON_BROKEN,      /* the image is wrong, or kept changing */
	REASON_HEARD,       /* the destination is where a blocked source complains */
	REASON_INCENTIVE,   /* good credit has a higher ceiling, and without it the limiter had not let it pass */
	REASONS,
};

/* What happens when the engine gives no sign of life, or says that it cannot judge. */
enum failure {
	FAILURE_NONE,
	FAILURE_OPEN,
	FAILURE_STATIC,
	FAILURE_CLOSED,
};

/* How the gateway stands. */
enum stand {
	STAND_ROUTER, /* what passes goes up to this host's routing */
	STAND_BRIDGE, /* what passes goes out of the other leg */
	STAND_TAP,    /* everything passes; what would have happened is counted */
};

/* What a limiter lets pass. */
struct rate {
	__u64 ns_per_mib; /* time that 2^20 bytes take at the rate */
	__u64 burst_ns;   /* how far ahead of the clock traffic may be */
};

/* What user space tells this program. Each field is written with one store. */
struct control {
	__u64 active;           /* where the records in force stand: bits 0-31 the image's first line, 32-63 the first measure */
	__u64 heartbeat_ns;     /* boot time of the last sign of life */
	__u64 heartbeat_max_ns; /* older than so much is none */
	__u64 told;             /* whether there is anything in `told` */
	__u64 failure;          /* that the engine itself declares */
	__u32 silence;          /* failure when there is no sign of life */
	__u32 stand;
	__u32 dry_run;
	__u32 unknown; /* verdict for a packet that was not walked to its end, and for a frame in which it was not found */
	__u32 sample;  /* one in so many packets that did not pass is told to user space; 0 for none */
	__u32 dscp;    /* for marked packets: 1 in bit 8 when there is one, which stands in bits 0-5 */
	__u32 mark;    /* of the kernel's packet, for marked packets; 0 for none */
	__u32 reserved;
	struct rate told_rate;
	struct rate heard_rate;
};

/* What happens to the traffic of a record, for as long as it lasts. */
struct measure {
	__u64 expires_ns; /* boot time */
	__u32 parent;     /* the next record that could still matter, see crates/credit/src/cache.rs; or NO_MATCH */
	__u8 rank;        /* whose word it is: the higher wins; 0 for one that has no effect */
	__u8 verdict;
	__u8 good;        /* whether the source's credit is good enough for an incentive */
	__u32 bucket;     /* slot in `buckets`, for a limiter */
	__u32 generation; /* whose slot it was when this was written */
	__u64 hits;       /* packets that met its measure since it was written */
	__u64 bytes;      /* of those, on the wire */
};

/* What the engine thinks of a source's behaviour, which weighs less than any list. Its limiter is part of it. */
struct opinion {
	__u64 expires_ns; /* boot time */
	__u64 verdict;
	__u64 due_ns;       /* of its limiter */
	__u64 extra_due_ns; /* of the one that good credit adds */
};

struct address {
	__u64 upper, lower;
};

/* A limiter: the generic cell rate algorithm (ITU-T I.371), which is a token bucket kept in one word, and so needs no lock. */
struct bucket {
	__u64 due_ns; /* boot time at which all that passed would have passed at the rate alone */
	struct rate rate;
	__u64 generation; /* counts the subjects that the slot has had */
};

/* What stands in the image of those who are spared. */
#define SPARED_SOURCE 1 /* never blocked */
#define SPARED_PORTAL 2 /* where the blocked complain */

/* How many times its share of the limiter good credit adds. */
#define INCENTIVE_SHARE 3

/* Bytes of a frame that the engine sees. */
#define COPIED_MAX 256

struct count {
	__u64 packets;
	__u64 bytes;
};

/* What user space is told of a packet that did not pass. */
struct event {
	__u64 at_ns; /* boot time */
	__u64 src_upper, src_lower;
	__u64 dst_upper, dst_lower;
	__u32 record;
	__u16 proto;
	__u16 verdict;
	__u32 reason;
	__u32 bytes;
};

/* The beginning of a frame that was handed to the other leg, past everyone who listens on this one. */
struct copy {
	__u64 at_ns; /* boot time */
	__u32 wire_len;
	__u32 len;
	__u8 bytes[COPIED_MAX];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct control);
} controls SEC(".maps");

/* Sizes below are set when the program is loaded. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct line);
} image SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 64);
	__type(key, __u32);
	__type(value, struct line);
} spared SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct measure);
} measures SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct bucket);
} buckets SEC(".maps");

/* Old opinions make room for new ones. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 16);
	__type(key, struct address);
	__type(value, struct opinion);
} told SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, VERDICTS *REASONS);
	__type(key, __u32);
	__type(value, struct count);
} counters SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 16);
} events SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 12);
} copies SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} uncopied SEC(".maps");

/* Limiters of those who complain, by their /64. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 1 << 14);
	__type(key, __u64);
	__type(value, __u64);
} heard SEC(".maps");

/* The other leg of a bridge, by the index of the interface that a frame came in by. */
struct {
	__uint(type, BPF_MAP_TYPE_DEVMAP_HASH);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct bpf_devmap_val);
} legs SEC(".maps");

#define IMAGE image
#define NAME(part) image_##part
#include "walk.h"

#define IMAGE spared
#define NAME(part) spared_##part
#include "walk.h"

struct decision {
	__u32 verdict;
	__u32 reason;
	__u32 record;
};

/* Neighbour discovery (RFC 4861) and multicast listening (RFC 2710, RFC 3810) stay on the link and are never anyone's to block:
 * the first never crosses a router, which its hop limit proves.
 */
static __always_inline int is_neighbours(const struct ipv6 *packet, const __u8 *start, const __u8 *end)
{
	const __u8 *upper = start + (packet->upper & 0x7fff);
	__u8 type;

	if (packet->chain != CHAIN_COMPLETE || packet->proto != ICMPV6 || upper + 1 > end)
		return 0;
	type = upper[0];
	if (type >= 133 && type <= 137)
		return packet->hop_limit == 255;
	return ((type >= 130 && type <= 132) || type == 143) && packet->hop_limit == 1;
}

/* How often a limiter is tried again when another processor came between. */
#define LIMITER_TRIES 8

/* Takes what a packet costs, in time, out of a limiter that stands in one word; whether there was enough. */
__noinline int take(__u64 *due_ns, __u64 cost, __u64 burst, __u64 now)
{
	if (!due_ns)
		return 0;
	for (int i = 0; i < LIMITER_TRIES; i++) {
		__u64 due = READ_ONCE(*due_ns);
		__u64 from = due > now ? due : now;

		if (from - now + cost > burst)
			return 0;
		if (__sync_val_compare_and_swap(due_ns, due, from + cost) == due)
			return 1;
	}
	return 0;
}

/* Whether a limiter lets a packet pass that is charged one in so many of its bytes. */
static __always_inline int within(__u64 *due_ns, const struct rate *rate, __u32 share, __u64 now, __u32 bytes)
{
	__u64 cost = bytes * READ_ONCE(rate->ns_per_mib) / share >> 20;

	return take(due_ns, cost, READ_ONCE(rate->burst_ns), now);
}

/* Whether the limiter of a list's subject lets a packet pass. */
static __always_inline int within_bucket(__u32 at, __u32 generation, __u64 now, __u32 bytes)
{
	struct bucket *bucket = bpf_map_lookup_elem(&buckets, &at);

	/* A slot that is another subject's by now: what was asked for is over. */
	if (!bucket || READ_ONCE(bucket->generation) != generation)
		return 1;
	return within(&bucket->due_ns, &bucket->rate, 1, now, bytes);
}

/* From this rank on a record is the operator's own. */
#define RANK_OPERATOR 4

/* Records that cover an address and could matter at some time, at most: one for each length of prefix, and four of each. */
#define COVERING_MAX 516
/* Stands in what `ruling` returns for good credit. */
#define RULING_GOOD (1ull << 32)
/* Is what it returns when there are more: no verdict is better than one by the nearer records alone. */
#define RULING_BROKEN (1ull << 33)

/* Where `ruling` stands on its way outwards. */
struct covering {
	__u64 now, ruling;
	__u32 first, number, rank, is_known;
};

/* Weighs the next record, for `bpf_loop`. A loop of our own would have the verifier walk each of its turns. */
static long weigh(__u32 turn, void *context)
{
	struct covering *covering = context;
	__u32 at = covering->first + covering->number;
	struct measure *measure;

	if (covering->number == NO_MATCH || !(measure = bpf_map_lookup_elem(&measures, &at)))
		return 1;
	if (covering->now < READ_ONCE(measure->expires_ns)) {
		if (!covering->is_known && measure->good)
			covering->ruling |= RULING_GOOD;
		covering->is_known = 1;
		if (measure->rank > covering->rank) {
			covering->rank = measure->rank;
			covering->ruling = (covering->ruling & RULING_GOOD) | covering->number;
		}
	}
	covering->number = measure->parent;
	return 0;
}

/* The record that rules an address now: of those in force the one of the highest rank, and among equals the one of the longest
 * prefix; NO_MATCH for none. `number` is the record of the longest prefix. Tells besides whether the credit of the address is
 * good, which is that of the longest prefix in force.
 */
static __always_inline __u64 ruling(__u32 first, __u32 number, __u64 now)
{
	struct covering covering = { .now = now, .ruling = NO_MATCH, .first = first, .number = number };

	bpf_loop(COVERING_MAX, weigh, &covering, 0);
	return covering.number == NO_MATCH ? covering.ruling : RULING_BROKEN;
}

/* What the engine's opinion of a source comes to, if it is harder than what records ask for; whether it is. */
static __always_inline int heed(struct control *control, const struct ipv6 *packet, int good, __u64 now, __u32 bytes,
				struct decision *decision)
{
	struct address source = { packet->src_upper, packet->src_lower };
	struct opinion *opinion = bpf_map_lookup_elem(&told, &source);

	if (!opinion || now >= READ_ONCE(opinion->expires_ns) || opinion->verdict <= decision->verdict)
		return 0;
	decision->verdict = opinion->verdict;
	decision->reason = REASON_BEHAVIOUR;
	decision->record = NO_MATCH;
	if (decision->verdict != VERDICT_RATE_LIMIT)
		return 1;
	if (within(&opinion->due_ns, &control->told_rate, 1, now, bytes)) {
		decision->verdict = VERDICT_PASS;
		decision->reason = REASON_WITHIN_RATE;
	} else if (good && within(&opinion->extra_due_ns, &control->told_rate, INCENTIVE_SHARE, now, bytes)) {
		decision->verdict = VERDICT_INCENTIVE;
		decision->reason = REASON_INCENTIVE;
	}
	return 1;
}

/* Notes that a packet met a record's measure. */
static __always_inline void account(struct measure *measure, __u32 bytes)
{
	__sync_fetch_and_add(&measure->hits, 1);
	__sync_fetch_and_add(&measure->bytes, bytes);
}

/* What records and opinions come to: an operator's own record decides, of the others the harder word does. */
static __always_inline void decide(struct control *control, const struct ipv6 *packet, __u64 now, __u32 bytes,
				   struct decision *decision)
{
	__u64 active = READ_ONCE(control->active);
	__u64 found = image_find(active, packet->src_upper, packet->src_lower), ruled;
	struct measure *measure = 0;
	__u32 at;

	if (found >> 32) {
		decision->reason = REASON_BROKEN;
		return;
	}
	ruled = ruling(active >> 32, found, now);
	if (ruled == RULING_BROKEN) {
		decision->reason = REASON_BROKEN;
		return;
	}
	if ((__u32)ruled != NO_MATCH) {
		at = (active >> 32) + (__u32)ruled;
		measure = bpf_map_lookup_elem(&measures, &at);
	}
	if (measure) {
		decision->verdict = measure->verdict;
		decision->reason = REASON_LISTED;
		decision->record = ruled;
		/* An incentive is met where it buys something: below. */
		if (measure->verdict != VERDICT_INCENTIVE)
			account(measure, bytes);
	}
	if (!(measure && measure->rank >= RANK_OPERATOR) && READ_ONCE(control->told) &&
	    heed(control, packet, !!(ruled & RULING_GOOD), now, bytes, decision)) {
		if (measure && measure->verdict == VERDICT_INCENTIVE && decision->reason == REASON_INCENTIVE)
			account(measure, bytes);
		return;
	}
	if (measure && decision->verdict == VERDICT_RATE_LIMIT &&
	    within_bucket(measure->bucket, measure->generation, now, bytes)) {
		decision->verdict = VERDICT_PASS;
		decision->reason = REASON_WITHIN_RATE;
	}
}

static __always_inline int is_blocked(__u32 verdict)
{
	return verdict == VERDICT_RATE_LIMIT || verdict == VERDICT_DROP;
}

/* Whether a blocked source is heard where it complains: at its own rate, so that nobody's complaints crowd out another's. */
static __always_inline int is_heard(struct control *control, const struct ipv6 *packet, __u64 now, __u32 bytes)
{
	__u64 network = packet->src_upper, none = 0;
	__u64 *due = bpf_map_lookup_elem(&heard, &network);

	if (!due) {
		bpf_map_update_elem(&heard, &network, &none, BPF_NOEXIST);
		due = bpf_map_lookup_elem(&heard, &network);
	}
	return due && within(due, &control->heard_rate, 1, now, bytes);
}

/* Lets pass what no list, opinion or failure may block. */
static __always_inline void spare(struct control *control, const struct ipv6 *packet, __u64 now, __u32 bytes,
				  struct decision *decision)
{
	__u64 source = spared_find(0, packet->src_upper, packet->src_lower), destination;

	if (source < NO_MATCH && source & SPARED_SOURCE) {
		decision->verdict = VERDICT_PASS;
		decision->reason = REASON_SPARED;
		return;
	}
	destination = spared_find(0, packet->dst_upper, packet->dst_lower);
	if (destination < NO_MATCH && destination & SPARED_PORTAL && is_heard(control, packet, now, bytes)) {
		decision->verdict = VERDICT_PASS;
		decision->reason = REASON_HEARD;
	}
}

/* What has failed at this moment. */
static __always_inline __u32 failure(struct control *control, __u64 now)
{
	__u64 then = READ_ONCE(control->heartbeat_ns);
	int is_silent = now > then && now - then > READ_ONCE(control->heartbeat_max_ns);

	return is_silent ? READ_ONCE(control->silence) : READ_ONCE(control->failure);
}

/* The verdict on a frame that promises IPv6 and whose source nobody can tell. */
static __always_inline void judge_unread(struct control *control, __u64 now, struct decision *decision)
{
	__u32 failed = failure(control, now);

	if (failed == FAILURE_CLOSED) {
		decision->verdict = VERDICT_DROP;
		decision->reason = REASON_FAILED;
	} else if (failed != FAILURE_OPEN && control->unknown > VERDICT_PASS) {
		decision->verdict = control->unknown;
		decision->reason = REASON_UNKNOWN;
	}
}

/* The verdict on an IPv6 packet. */
static __always_inline void judge(struct control *control, const struct ipv6 *packet, __u64 now, __u32 bytes,
				  struct decision *decision)
{
	__u32 failed = failure(control, now);

	if (failed == FAILURE_OPEN) {
		decision->reason = REASON_FAILED;
	} else if (failed == FAILURE_CLOSED) {
		decision->verdict = VERDICT_DROP;
		decision->reason = REASON_FAILED;
	} else {
		decide(control, packet, now, bytes, decision);
		if (packet->chain == CHAIN_UNKNOWN && decision->verdict < control->unknown) {
			decision->verdict = control->unknown;
			decision->reason = REASON_UNKNOWN;
		}
	}
	if (is_blocked(decision->verdict))
		spare(control, packet, now, bytes, decision);
}

static __always_inline void tell(const struct control *control, const struct ipv6 *packet, const struct decision *decision,
				 __u64 now, __u32 bytes)
{
	struct event *event;

	if (!control->sample || bpf_get_prandom_u32() % control->sample)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	event->at_ns = now;
	event->src_upper = packet->src_upper;
	event->src_lower = packet->src_lower;
	event->dst_upper = packet->dst_upper;
	event->dst_lower = packet->dst_lower;
	event->record = decision->record;
	event->proto = packet->proto;
	event->verdict = decision->verdict;
	event->reason = decision->reason;
	event->bytes = bytes;
	bpf_ringbuf_submit(event, 0);
}

/* Hands the engine the beginning of a frame that no socket will see. */
static __always_inline void copy_for_engine(struct xdp_md *context, __u64 now, __u32 bytes)
{
	struct copy *copy = bpf_ringbuf_reserve(&copies, sizeof(*copy), 0);
	__u32 zero = 0, len = bytes < COPIED_MAX ? bytes : COPIED_MAX;
	__u64 *lost;

	if (!copy) {
		lost = bpf_map_lookup_elem(&uncopied, &zero);
		if (lost)
			*lost += 1;
		return;
	}
	copy->at_ns = now;
	copy->wire_len = bytes;
	copy->len = len;
	/* The verifier forgets the bound above, and the compiler would leave the one below out. */
	asm volatile("" : "+r"(len));
	if (len < 1 || len > COPIED_MAX || bpf_xdp_load_bytes(context, 0, copy->bytes, len))
		copy->len = 0;
	/* The reader looks by itself; waking it for each frame would cost more than the frame. */
	bpf_ringbuf_submit(copy, BPF_RB_NO_WAKEUP);
}

static __always_inline int onward(const struct control *control, struct xdp_md *context, __u64 now, __u32 bytes)
{
	if (control->stand != STAND_BRIDGE)
		return XDP_PASS;
	copy_for_engine(context, now, bytes);
	return bpf_redirect_map(&legs, context->ingress_ifindex, XDP_PASS);
}

/* Writes the differentiated services code point (RFC 2474) of a marked packet. No checksum covers it. */
static __always_inline void mark_packet(__u8 *ipv6, const __u8 *end, __u32 dscp)
{
	if (!(dscp >> 8) || ipv6 + 2 > end)
		return;
	ipv6[0] = (ipv6[0] & 0xf0) | (dscp >> 2 & 0x0f);
	ipv6[1] = (ipv6[1] & 0x3f) | (dscp << 6 & 0xc0);
}

/* What the program that follows on the way up is told: the mark that the packet is to have. */
static __always_inline int hand_mark(struct xdp_md *context, __u32 mark)
{
	__u32 *place, *end;

	if (bpf_xdp_adjust_meta(context, -(int)sizeof(*place)))
		return -1;
	place = (void *)(long)context->data_meta;
	end = (void *)(long)context->data;
	if (place + 1 > end)
		return -1;
	*place = mark;
	return 0;
}

static __always_inline int handle(struct xdp_md *context, __u32 bytes)
{
	const __u8 *start = (void *)(long)context->data, *end = (void *)(long)context->data_end;
	struct decision decision = { VERDICT_PASS, REASON_NOT_IPV6, NO_MATCH };
	__u32 zero = 0, at;
	struct control *control = bpf_map_lookup_elem(&controls, &zero);
	struct ipv6 packet = {};
	int is_carried_out;
	enum frame found;
	struct count *count;
	__u64 now;

	if (!control)
		return XDP_PASS;
	now = bpf_ktime_get_boot_ns();
	found = read_frame(context, &packet);
	is_carried_out = !control->dry_run && control->stand != STAND_TAP;
	if (found == FRAME_IPV6) {
		decision.reason = REASON_UNLISTED;
		if (is_neighbours(&packet, start, end))
			decision.reason = REASON_NEIGHBOUR;
		else
			judge(control, &packet, now, bytes, &decision);
	} else if (found == FRAME_UNREAD) {
		judge_unread(control, now, &decision);
	}
	at = decision.verdict * REASONS + decision.reason;
	count = bpf_map_lookup_elem(&counters, &at);
	if (count) {
		count->packets += 1;
		count->bytes += bytes;
	}
	if (is_blocked(decision.verdict)) {
		if (found == FRAME_IPV6)
			tell(control, &packet, &decision, now, bytes);
		if (is_carried_out)
			return XDP_DROP;
	}
	if (decision.verdict == VERDICT_MARK && is_carried_out) {
		if (found == FRAME_IPV6)
			mark_packet((__u8 *)start + (packet.at & 0x7fff), end, control->dscp);
		if (control->mark && control->stand == STAND_ROUTER)
			hand_mark(context, control->mark);
	}
	return onward(control, context, now, bytes);
}

SEC("xdp")
int credence(struct xdp_md *context)
{
	return handle(context, context->data_end - context->data);
}

/* For frames in several pieces, as a large MTU makes them. */
SEC("xdp.frags")
int credence_frags(struct xdp_md *context)
{
	return handle(context, bpf_xdp_get_buff_len(context));
}

/* Let the next program decide (include/uapi/linux/bpf.h; kernel headers know it from 6.6 on). */
#define TCX_NEXT (-1)

/* Gives a packet the mark that was decided on. A packet comes here with what `hand_mark` left, or with nothing. */
SEC("classifier")
int credence_mark(struct __sk_buff *packet)
{
	__u32 *place = (void *)(long)packet->data_meta, *end = (void *)(long)packet->data;

	if (place + 1 <= end)
		packet->mark = *place;
	return TCX_NEXT;
}

char LICENSE[] SEC("license") = "GPL";
