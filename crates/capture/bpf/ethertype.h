// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* What the type in an Ethernet header says. */

/* EtherTypes of IPv6 and of VLAN tags: 802.1Q, 802.1ad, and the two that stacked tags had before 802.1ad. */
#define TYPE_IPV6 0x86dd
#define TYPE_TAG 0x8100
#define TYPE_SERVICE_TAG 0x88a8
#define TYPE_OLD_TAG 0x9100
#define TYPE_OTHER_OLD_TAG 0x9200

/* PPPoE sessions, and MPLS labels for one receiver or several. */
#define TYPE_PPPOE 0x8864
#define TYPE_MPLS 0x8847
#define TYPE_MPLS_MULTICAST 0x8848

/* Where it stands. */
#define TYPE_AT 12

/* Tags that are passed; each has four bytes, of which the last two are the type of what it encloses. */
#define TAGS 4

/* Labels that are passed; each has four bytes. */
#define LABELS 8

/* Bytes of the header of a session (RFC 2516, section 4) and of the protocol of PPP that it carries. */
#define SESSION_LEN 8

static __always_inline int is_tag(__u16 type)
{
	return type == TYPE_TAG || type == TYPE_SERVICE_TAG || type == TYPE_OLD_TAG || type == TYPE_OTHER_OLD_TAG;
}

static __always_inline int is_label(__u16 type)
{
	return type == TYPE_MPLS || type == TYPE_MPLS_MULTICAST;
}

/* Whether these bytes begin a session that carries IPv6 (0x0057; IANA's PPP numbers), as all but the oldest peers write it. */
static __always_inline int is_ipv6_session(const __u8 *head)
{
	return head[0] == 0x11 && head[1] == 0 && head[6] == 0x00 && head[7] == 0x57;
}

/* Whether a label is the last of its stack (RFC 3032, section 2.1). */
static __always_inline int is_bottom(const __u8 *label)
{
	return label[2] & 1;
}
