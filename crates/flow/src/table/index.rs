//! The index of a flow table: where the flow of a hash may lie.

use credence_memory::{equal_bytes, filled, prefetch};

use super::NONE;

/// Slots of a bucket.
pub(super) const WAYS: usize = 12;

/// One cache line of the index. A tag of 0 is an empty slot; tags 12 to 15 are never used.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Bucket {
    pub(super) tags: [u8; 16],
    pub(super) flows: [u32; WAYS],
}

impl Bucket {
    const EMPTY: Self = Self { tags: [0; 16], flows: [NONE; WAYS] };

    /// A bit for each slot whose tag is `tag`.
    #[inline]
    pub(super) fn matches(&self, tag: u8) -> u32 {
        equal_bytes(self.tags, tag) & ((1 << WAYS) - 1)
    }
}

/// Where the flow of a key may lie: two buckets of the index, and a tag in them. The flow that answers lies in the same
/// buckets, so that whether it is there costs no further line of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Candidates {
    pub(super) buckets: [u32; 2],
    pub(super) tag: u8,
    /// The tag of the flow that answers.
    answer: u8,
}

impl Candidates {
    /// Where the flow that answers may lie.
    #[inline]
    pub(super) const fn of_answer(self) -> Self {
        Self { buckets: self.buckets, tag: self.answer, answer: self.tag }
    }
}

/// Buckets of slots, each slot with eight bits of the hash of its flow.
pub(super) struct Index(Box<[Bucket]>);

impl Index {
    pub(super) fn new(buckets: usize) -> Self {
        Self(filled(Bucket::EMPTY, buckets))
    }

    /// Empties every slot.
    pub(super) fn clear(&mut self) {
        self.0.fill(Bucket::EMPTY);
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }

    /// The two candidate buckets of a hash, and the tags of two directions in them, which differ where the directions do.
    #[inline]
    pub(super) fn candidates(&self, hash: u64, directions: [bool; 2]) -> Candidates {
        let n = self.0.len() as u64;
        let range = |h: u64| (((h & 0xffff_ffff) * n) >> 32) as u32;
        let pair = ((hash >> 56) as u8).max(2) & !1;
        // The second choice must not follow from the first: another mix of all 64 bits.
        let second = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        let [tag, answer] = directions.map(|direction| pair | u8::from(direction));
        Candidates { buckets: [range(hash), range(second)], tag, answer }
    }

    /// Asks for both candidate buckets.
    #[inline]
    pub(super) fn prefetch(&self, candidates: Candidates) {
        candidates.buckets.into_iter().for_each(|bucket| prefetch(&self.0, bucket as usize));
    }

    /// The first flow that is listed under the tag. A flow lies in either bucket as often as in the other, so that a branch
    /// between them would be mispredicted half of the time: both are read.
    #[inline]
    pub(super) fn first(&self, candidates: Candidates) -> Option<u32> {
        let [one, other] = candidates.buckets.map(|bucket| &self.0[bucket as usize]);
        let mask = one.matches(candidates.tag) | (other.matches(candidates.tag) << 16);
        let at = mask.trailing_zeros();
        let bucket = if at < 16 { one } else { other };
        bucket.flows.get(at as usize % 16).copied().filter(|_| mask != 0)
    }

    /// The first of the flows listed under the tag of which `is_it` says so.
    #[inline]
    pub(super) fn find(&self, candidates: Candidates, mut is_it: impl FnMut(u32) -> bool) -> Option<u32> {
        for bucket in candidates.buckets {
            let bucket = &self.0[bucket as usize];
            let mut mask = bucket.matches(candidates.tag);
            while mask != 0 {
                let flow = bucket.flows[mask.trailing_zeros() as usize];
                if is_it(flow) {
                    return Some(flow);
                }
                mask &= mask - 1;
            }
        }
        None
    }

    /// An empty slot of the candidate bucket that has more of them.
    pub(super) fn vacancy(&self, candidates: Candidates) -> Option<(u32, usize)> {
        let empty = candidates.buckets.map(|bucket| self.0[bucket as usize].matches(0));
        let roomier = usize::from(empty[1].count_ones() > empty[0].count_ones());
        (empty[roomier] != 0).then(|| (candidates.buckets[roomier], empty[roomier].trailing_zeros() as usize))
    }

    /// The flows of a bucket with their slots.
    pub(super) fn flows(&self, bucket: u32) -> impl Iterator<Item = (usize, u32)> {
        self.0[bucket as usize].flows.iter().copied().enumerate().filter(|&(_, flow)| flow != NONE)
    }

    pub(super) fn set(&mut self, (bucket, way): (u32, usize), tag: u8, flow: u32) {
        self.0[bucket as usize].tags[way] = tag;
        self.0[bucket as usize].flows[way] = flow;
    }

    /// Takes `flow` out of its candidate buckets.
    pub(super) fn remove(&mut self, candidates: Candidates, flow: u32) {
        for bucket in candidates.buckets {
            if let Some(way) = self.0[bucket as usize].flows.iter().position(|&f| f == flow) {
                return self.set((bucket, way), 0, NONE);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn buckets(&self) -> &[Bucket] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn one_by_one(bytes: &[u8], byte: u8) -> u32 {
        (0..).zip(bytes).fold(0, |mask, (i, &b)| mask | u32::from(b == byte) << i)
    }

    /// Tags that are often equal, and often neighbours.
    fn any_tags() -> impl Strategy<Value = [u8; WAYS]> {
        prop_oneof![
            prop::array::uniform12(prop_oneof![0_u8..3, 0x7e..0x82_u8, any::<u8>()]),
            prop::array::uniform12(any::<u8>()),
        ]
    }

    fn bucket(tags: [u8; WAYS], first_flow: u32) -> Bucket {
        let mut bucket =
            Bucket { flows: core::array::from_fn(|way| first_flow + way as u32), ..Bucket::EMPTY };
        bucket.tags[..WAYS].copy_from_slice(&tags);
        bucket
    }

    proptest! {
        #[test]
        fn tags_are_compared_as_one_by_one(tags in any_tags(), strange in any::<u8>()) {
            for tag in tags.into_iter().chain([strange, 0]) {
                prop_assert_eq!(bucket(tags, 0).matches(tag), one_by_one(&tags, tag));
            }
        }

        #[test]
        fn the_first_flow_under_a_tag_has_that_tag_and_there_is_none_when_none_has(
            one in any_tags(), other in any_tags(), strange in 1..=u8::MAX,
        ) {
            let index = Index(Box::new([bucket(one, 0), bucket(other, 100)]));
            for tag in one.into_iter().chain(other).chain([strange]).filter(|&tag| tag != 0) {
                let under = |flow: u32| if flow < 100 { one[flow as usize] } else { other[flow as usize - 100] };
                match index.first(Candidates { buckets: [0, 1], tag, answer: 0 }) {
                    Some(flow) => prop_assert_eq!(under(flow), tag),
                    None => prop_assert!(!one.contains(&tag) && !other.contains(&tag)),
                }
            }
        }
    }
}
