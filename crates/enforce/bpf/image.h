/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* Longest-prefix match in the very bytes that user space walks.
 *
 * The format is written down in crates/prefix/src/table.rs, index.rs, leaf.rs and hosts.rs, version 3. Everything here is
 * loads and loops of a few steps, so that the verifier can follow. A line never changes while it can be reached; the words
 * that lead from one line to another do, and are read once each.
 */
#ifndef CREDENCE_IMAGE_H
#define CREDENCE_IMAGE_H

#define NO_MATCH 0xffffffffu
/* Bits of a leaf's number that is a link into a /64, see word.rs. */
#define LINK 0x80000000u
#define LINK_TREE 0x40000000u
#define LINE_MASK 0x01ffffffu
/* The line of a slot's word, see word.rs. */
#define WORD_LINE(word) ((__u32)(word) >> 3 & LINE_MASK)

/* What a walk gives back: a record number, or one of these in the upper half. */
#define WALK_CHANGED (1ull << 32) /* a writer came between two words: begin anew */
#define WALK_BROKEN (2ull << 32)  /* a link leads out of the image: the image is wrong */

/* How often a walk begins anew before it gives up; each time a writer got on. */
#define WALK_TRIES 4

#define CHUNK_LEVELS 2
/* Levels of a top index at most: nine to the eighth is more than there are lines. */
#define TOP_LEVELS_MAX 8

#define SMALL_MAX 16
#define LARGE_MAX 8

struct line {
	__u64 word[8];
};

#define READ_ONCE(x) (*(volatile typeof(x) *)&(x))

/* The number of bounds below the key. */
static __always_inline __u32 rank(const struct line *node, __u64 key)
{
	__u32 rank = 0;

#pragma unroll
	for (int i = 0; i < 8; i++)
		rank += node->word[i] < key;
	return rank;
}

/* Bits of a window of a leaf of each kind: see leaf.rs. */
static __always_inline __u32 width_of(__u32 kind)
{
	return kind == 3 ? 64 : 16 + 8 * kind;
}

/* The window of an entry. */
static __always_inline __u64 window(const struct line *leaf, __u32 kind, __u32 place)
{
	__u32 width = width_of(kind), bit = (kind == 3 ? 32 : 64) + width * place;
	__u64 low = leaf->word[bit / 64 & 7] >> (bit & 63);

	/* The shift by 64 is one by 1 and one by 63. */
	low |= leaf->word[(bit / 64 + 1) & 7] << 1 << (~bit & 63);
	return low & ~0ull >> (64 - width);
}

/* The number of the most specific entry that contains the key, or `otherwise`; only of records on request. A function of its own,
 * so that the verifier walks it once and not wherever it is used.
 */
__noinline __u32 find_in_leaf(const struct line *leaf, __u64 key, __u32 otherwise, __u32 records)
{
	if (!leaf)
		return otherwise;

	__u64 header = leaf->word[0];
	__u32 shift = header & 63, kind = header >> 6 & 3, count = header >> 8 & 15;
	__u32 width = width_of(kind);
	__u64 wanted = key << 1 >> shift;
	__u64 base = header >> 16 & ~0ull >> (width - 1) >> 1;

	if (key >> 63 != (header >> 15 & 1) || wanted >> (width - 1) >> 1 != base)
		return otherwise;
	wanted &= ~0ull >> (64 - width);
	for (__u32 place = 0; place < 9; place++) {
		__u64 own;
		__u32 at = 15 - place, id;

		if (place >= count)
			break;
		own = window(leaf, kind, place);
		if ((wanted ^ own) > (own ^ (own - 1)))
			continue;
		id = leaf->word[at / 2 & 7] >> (32 * (at % 2));
		if (!records || !(id & LINK))
			return id;
	}
	return otherwise;
}

/* Where a walk has come to. */
struct place {
	__u32 base;         /* of the image */
	__u32 root, levels; /* of the tree */
	__u32 outer;        /* slot of the chunk in the top index */
	__u32 chunk;        /* its line */
	__u32 slot;         /* of the leaf in the chunk */
	__u64 word;         /* what that slot held */
	struct line *leaf;
};

#endif
