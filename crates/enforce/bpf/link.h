/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* From the first byte of an Ethernet frame down to its outermost IPv6 header, through every link layer that crates/wire
 * reads: its link.rs and path.rs give the sections of the standards. What IPv4 carries is not looked into: anyone can forge
 * a source inside it.
 */
#ifndef CREDENCE_LINK_H
#define CREDENCE_LINK_H

#define ETHERNET_LEN 14
#define ETHERTYPE_IPV4 0x0800
#define ETHERTYPE_IPV6 0x86dd
#define ETHERTYPE_VLAN 0x8100
#define ETHERTYPE_QINQ 0x88a8

/* Largest value of the type field that is a length, and smallest that is an EtherType (IEEE 802.3, section 3.2.6). */
#define LENGTH_MAX 1500
#define ETHERTYPE_MIN 0x0600

/* Tags, labels and links in one another: the parser's limit. */
#define TAGS_MAX 8
/* One of those can bring three layers, itself, Ethernet and LLC, and the first frame two. */
#define STEPS_MAX (3 * (TAGS_MAX + 1))

/* What the next bytes are. */
enum layer {
	LAYER_IPV6,
	LAYER_OTHER,  /* nothing that leads to IPv6 */
	LAYER_UNREAD, /* whether it does cannot be told: it is cut, or deeper than is read */
	LAYER_VLAN,
	LAYER_LLC,
	LAYER_MPLS,
	LAYER_PPPOE,
	LAYER_PPP,
	LAYER_ETHERNET,
	LAYER_FABRICPATH,
	LAYER_MACSEC,
};

/* Where the way down has come to. */
struct descent {
	struct xdp_md *context;
	__u32 at;    /* offset of the next layer */
	__u32 limit; /* of the bytes that those before claim to carry */
	__u32 layer;
	__u32 tags;
};

static __always_inline __u32 be16(const __u8 *at)
{
	return at[0] << 8 | at[1];
}

/* The next bytes, or none where there are not so many. */
static __always_inline const __u8 *first(const struct descent *to, __u32 len)
{
	const __u8 *bytes = (const __u8 *)(long)to->context->data + (to->at & 0x7fff);
	const __u8 *end = (const __u8 *)(long)to->context->data_end;

	return to->at + len > to->limit || bytes + len > end ? 0 : bytes;
}

/* The same, and goes on behind them. */
static __always_inline const __u8 *next(struct descent *to, __u32 len)
{
	const __u8 *bytes = first(to, len);

	to->at += len;
	return bytes;
}

/* What follows claims to be so long. */
static __always_inline void bound(struct descent *to, __u32 len)
{
	if (to->at + len < to->limit)
		to->limit = to->at + len;
}

/* A layer that counts as a tag. */
static __always_inline __u32 counted(struct descent *to, __u32 layer)
{
	return ++to->tags > TAGS_MAX ? LAYER_UNREAD : layer;
}

/* The layer of an EtherType. */
static __always_inline __u32 of_type(struct descent *to, __u32 type)
{
	switch (type) {
	case ETHERTYPE_IPV6:
		return LAYER_IPV6;
	case ETHERTYPE_VLAN:
	case ETHERTYPE_QINQ:
	case 0x9100:
	case 0x9200:
		return counted(to, LAYER_VLAN);
	case 0x8847:
	case 0x8848:
		return counted(to, LAYER_MPLS);
	case 0x8864:
		return counted(to, LAYER_PPPOE);
	case 0x880b:
		return counted(to, LAYER_PPP);
	case 0x6558:
		return counted(to, LAYER_ETHERNET);
	case 0x8903:
		return counted(to, LAYER_FABRICPATH);
	case 0x88e5:
		return counted(to, LAYER_MACSEC);
	default:
		return LAYER_OTHER;
	}
}

/* The layer of a type field, which may be a length. */
static __always_inline __u32 of_type_or_length(struct descent *to, __u32 type)
{
	if (type > LENGTH_MAX)
		return of_type(to, type);
	bound(to, type);
	return LAYER_LLC;
}

/* LLC with SNAP behind it, which names an EtherType or a bridged frame. */
static __always_inline __u32 below_llc(struct descent *to)
{
	const __u8 *header = first(to, 3);
	__u32 organisation, type;

	if (!header)
		return LAYER_UNREAD;
	if (header[0] != 0xaa || header[1] != 0xaa || header[2] != 0x03)
		return LAYER_OTHER;
	header = next(to, 8);
	if (!header)
		return LAYER_UNREAD;
	organisation = header[3] << 16 | header[4] << 8 | header[5];
	type = be16(header + 6);
	if ((organisation == 0 || organisation == 0x0000f8) && type >= ETHERTYPE_MIN)
		return of_type(to, type);
	if (organisation == 0x0080c2 && (type == 0x0001 || type == 0x0007))
		return counted(to, LAYER_ETHERNET);
	return LAYER_OTHER;
}

/* One label; below the last, the first four bits tell what it is. */
static __always_inline __u32 below_mpls(struct descent *to)
{
	const __u8 *label = next(to, 4), *below;

	if (!label)
		return LAYER_UNREAD;
	if (!(label[2] & 1))
		return counted(to, LAYER_MPLS);
	below = first(to, 1);
	if (!below)
		return LAYER_UNREAD;
	switch (below[0] >> 4) {
	case 6:
		return LAYER_IPV6;
	case 0:
		/* The control word of a pseudowire. */
		to->at += 4;
		return LAYER_ETHERNET;
	default:
		return LAYER_OTHER;
	}
}

static __always_inline __u32 below_pppoe(struct descent *to)
{
	const __u8 *header = next(to, 6);

	if (!header)
		return LAYER_UNREAD;
	if (header[0] != 0x11 || header[1] != 0)
		return LAYER_OTHER;
	bound(to, be16(header + 4));
	return LAYER_PPP;
}

/* With HDLC's address and control bytes or without, and Cisco's HDLC, which names an EtherType. */
static __always_inline __u32 below_ppp(struct descent *to)
{
	const __u8 *head = first(to, 2);
	__u32 protocol;

	if (head && (head[0] & 0x7f) == 0x0f && head[1] == 0) {
		head = next(to, 4);
		return head ? of_type(to, be16(head + 2)) : LAYER_UNREAD;
	}
	if (head && head[0] == 0xff && head[1] == 0x03)
		to->at += 2;
	head = next(to, 1);
	if (!head)
		return LAYER_UNREAD;
	protocol = head[0];
	/* A number whose high byte is zero may be sent as one byte, which is odd. */
	if (!(protocol & 1)) {
		head = next(to, 1);
		if (!head)
			return LAYER_UNREAD;
		protocol = protocol << 8 | head[0];
	}
	if (protocol == 0x0057)
		return LAYER_IPV6;
	return protocol == 0x0281 || protocol == 0x0283 ? counted(to, LAYER_MPLS) : LAYER_OTHER;
}

/* Integrity without encryption; with a channel's number or without. */
static __always_inline __u32 below_macsec(struct descent *to)
{
	const __u8 *tag = next(to, 6);

	if (!tag)
		return LAYER_UNREAD;
	if (tag[0] & 0x0c)
		return LAYER_OTHER;
	if (tag[0] & 0x20)
		to->at += 8;
	tag = next(to, 2);
	return tag ? of_type_or_length(to, be16(tag)) : LAYER_UNREAD;
}

/* One layer down. */
static __always_inline __u32 below(struct descent *to)
{
	const __u8 *header;

	switch (to->layer) {
	case LAYER_VLAN:
		header = next(to, 4);
		return header ? of_type_or_length(to, be16(header + 2)) : LAYER_UNREAD;
	case LAYER_LLC:
		return below_llc(to);
	case LAYER_MPLS:
		return below_mpls(to);
	case LAYER_PPPOE:
		return below_pppoe(to);
	case LAYER_PPP:
		return below_ppp(to);
	case LAYER_FABRICPATH:
		to->at += 2;
		return LAYER_ETHERNET;
	case LAYER_ETHERNET:
		header = next(to, ETHERNET_LEN);
		return header ? of_type_or_length(to, be16(header + 12)) : LAYER_UNREAD;
	case LAYER_MACSEC:
		return below_macsec(to);
	default:
		return LAYER_OTHER;
	}
}

/* For `bpf_loop`. A loop of our own would have the verifier walk each way through each of its turns. */
static long step(__u32 turn, void *context)
{
	struct descent *to = context;

	to->layer = below(to);
	return to->layer <= LAYER_UNREAD;
}

/* What `descend` returns for a frame that leads to no IPv6 header, and for one of which that cannot be told. Neither is a place. */
#define DESCENT_OTHER 0
#define DESCENT_UNREAD 1

/* Where the outermost IPv6 header begins, and in the upper half where what carries it ends; or DESCENT_... A function of its own,
 * so that frames which do not need it do not pay for the memory that `bpf_loop` wants.
 */
static __noinline __u64 descend(struct xdp_md *context)
{
	struct descent to = { .context = context, .limit = context->data_end - context->data, .layer = LAYER_ETHERNET };

	bpf_loop(STEPS_MAX, step, &to, 0);
	if (to.layer == LAYER_IPV6)
		return to.at | (__u64)to.limit << 32;
	return to.layer == LAYER_OTHER ? DESCENT_OTHER : DESCENT_UNREAD;
}

#endif
