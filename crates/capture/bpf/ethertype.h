// SPDX-License-Identifier: Apache-2.0 OR GPL-2.0
/* What the type in an Ethernet header says. */

/* EtherTypes of IPv6 and of VLAN tags: 802.1Q, 802.1ad, and the two that stacked tags had before 802.1ad. */
#define TYPE_IPV6 0x86dd
#define TYPE_TAG 0x8100
#define TYPE_SERVICE_TAG 0x88a8
#define TYPE_OLD_TAG 0x9100
#define TYPE_OTHER_OLD_TAG 0x9200

/* Where it stands. */
#define TYPE_AT 12

/* Tags that are passed; each has four bytes, of which the last two are the type of what it encloses. */
#define TAGS 4

static __always_inline int is_tag(__u16 type)
{
	return type == TYPE_TAG || type == TYPE_SERVICE_TAG || type == TYPE_OLD_TAG || type == TYPE_OTHER_OLD_TAG;
}
