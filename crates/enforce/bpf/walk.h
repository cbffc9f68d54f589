/* SPDX-License-Identifier: Apache-2.0 OR GPL-2.0 */
/* The walk over one image. To be included once for each, with IMAGE the map that holds it and NAME(...) a name of its own for
 * each function: the verifier wants to know which map a look-up is in. Functions that are not inlined are verified once.
 */

/* A line of the image that begins at `base`. */
static __always_inline struct line *NAME(line)(__u32 base, __u32 at)
{
	at += base;
	return bpf_map_lookup_elem(&IMAGE, &at);
}

/* The slot of an index that leads to the key; NO_MATCH where the image is wrong. */
__noinline __u32 NAME(slot)(__u32 base, __u32 root, __u32 levels, __u64 key)
{
	__u32 node = 0, above = 0;

	for (__u32 level = 0; level < TOP_LEVELS_MAX; level++) {
		struct line *line;

		if (level >= levels)
			break;
		line = NAME(line)(base, root + above + node);
		if (!line)
			return NO_MATCH;
		node = node * 9 + rank(line, key);
		above = above * 9 + 1;
	}
	return node;
}

/* The word of a slot of the index at `root`, or none where the image is wrong. */
static __always_inline __u64 *NAME(word)(__u32 base, __u32 root, __u32 slot)
{
	__u32 at = root * 8 - 2 - slot;
	struct line *line = NAME(line)(base, at / 8);

	return line ? &line->word[at & 7] : 0;
}

/* A word of a block of hosts by its number; zero where the image is wrong. */
static __always_inline __u64 NAME(host_word)(__u32 base, __u32 at)
{
	struct line *line = NAME(line)(base, at / 8);

	return line ? line->word[at & 7] : 0;
}

/* The record of exactly this host in a block, or NO_MATCH: see hosts.rs. */
__noinline __u64 NAME(host)(__u32 base, __u32 unit, __u64 host)
{
	__u32 at = unit * 2, place = NO_MATCH;
	__u64 header = NAME(host_word)(base, at);
	__u32 small = header & 0xff, large = header >> 8 & 0xff;

	if (host >> 16) {
		for (__u32 i = 0; i < LARGE_MAX && i < large; i++) {
			if (NAME(host_word)(base, at + 1 + i) == host) {
				place = small + i;
				break;
			}
		}
	} else {
		for (__u32 i = 0; i < SMALL_MAX && i < small; i++) {
			if ((NAME(host_word)(base, at + 1 + large + i / 4) >> (16 * (i % 4)) & 0xffff) == host) {
				place = i;
				break;
			}
		}
	}
	if (place == NO_MATCH)
		return NO_MATCH;
	at += 1 + large + (small + 3) / 4 + place / 2;
	return (__u32)(NAME(host_word)(base, at) >> (32 * (place % 2)));
}

static __always_inline int NAME(descend)(struct place *to, __u32 base, __u32 root, __u32 levels, __u64 key)
{
	__u64 *word;

	to->base = base;
	to->root = root;
	to->levels = levels;
	to->outer = NAME(slot)(base, root, levels, key);
	if (to->outer == NO_MATCH)
		return -1;
	word = NAME(word)(base, root, to->outer);
	if (!word)
		return -1;
	to->chunk = WORD_LINE(READ_ONCE(*word));
	to->slot = NAME(slot)(base, to->chunk, CHUNK_LEVELS, key);
	if (to->slot == NO_MATCH)
		return -1;
	word = NAME(word)(base, to->chunk, to->slot);
	if (!word)
		return -1;
	to->word = READ_ONCE(*word);
	to->leaf = NAME(line)(base, WORD_LINE(to->word));
	return to->leaf ? 0 : -1;
}

/* Whether the leaf's word is still what it was. */
static __always_inline __u64 NAME(unchanged)(const struct place *at)
{
	__u64 *word = NAME(word)(at->base, at->chunk, at->slot);

	if (!word)
		return WALK_BROKEN;
	return READ_ONCE(*word) == at->word ? 0 : WALK_CHANGED;
}

/* What the chunk's cover says, when it spoke for the leaf all the while; `root` is where the tree begins now. */
static __always_inline __u64 NAME(inherited)(const struct place *at, __u64 root)
{
	__u64 *word = NAME(word)(at->base, at->root, at->outer);
	__u64 outer, state = NAME(unchanged)(at);

	if (!word)
		return WALK_BROKEN;
	outer = READ_ONCE(*word);
	if (state)
		return state;
	if (WORD_LINE(outer) != at->chunk || root != (at->root | (__u64)at->levels << 32))
		return WALK_CHANGED;
	return outer >> 32;
}

/* The record inside a /64 that a leaf linked to, NO_MATCH, or WALK_... */
__noinline __u64 NAME(inside)(__u32 base, __u32 link, __u64 lower)
{
	__u32 line = link & LINE_MASK, levels = link >> 25 & 15, found;
	struct place to;

	if (!(link & LINK_TREE))
		return NAME(host)(base, link & ~LINK, lower);
	if (!levels)
		return find_in_leaf(NAME(line)(base, line), lower, NO_MATCH, 0);
	if (NAME(descend)(&to, base, line, levels, lower))
		return WALK_BROKEN;
	found = find_in_leaf(to.leaf, lower, to.word >> 32, 0);
	return found == NO_MATCH ? NAME(inherited)(&to, line | (__u64)levels << 32) : found;
}

/* The record number of the longest prefix that contains an address, NO_MATCH, or WALK_... */
__noinline __u64 NAME(once)(__u32 base, __u64 upper, __u64 lower)
{
	struct line *head = NAME(line)(base, 0);
	struct place to;
	__u64 root, state;
	__u32 found;

	if (!head)
		return WALK_BROKEN;
	root = READ_ONCE(head->word[1]);
	if (NAME(descend)(&to, base, root, root >> 32, upper))
		return WALK_BROKEN;
	found = find_in_leaf(to.leaf, upper, to.word >> 32, 0);
	if (!(found & LINK))
		return found;
	if (found != NO_MATCH) {
		state = NAME(inside)(base, found, lower);
		if (state != NO_MATCH)
			return state;
		found = find_in_leaf(to.leaf, upper, to.word >> 32, 1);
	}
	if (found == NO_MATCH)
		return NAME(inherited)(&to, READ_ONCE(head->word[1]));
	state = NAME(unchanged)(&to);
	return state ? state : found;
}

/* As above, beginning anew a few times when a writer came between. */
static __always_inline __u64 NAME(find)(__u32 base, __u64 upper, __u64 lower)
{
	__u64 found = WALK_CHANGED;

	for (int i = 0; i < WALK_TRIES && found == WALK_CHANGED; i++)
		found = NAME(once)(base, upper, lower);
	return found;
}

#undef NAME
#undef IMAGE
