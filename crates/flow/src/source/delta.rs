//! What one prefix did in one step, and lists of it.

use core::hash::Hasher;
use core::mem::size_of;

use super::Level;
use crate::hash::KeyedHash;

/// Packets in a step from which an address has an aggregate of its own.
pub(super) const OWN_PACKETS: u32 = 16;
/// New flows in a step from which an address has an aggregate of its own.
pub(super) const OWN_FLOWS: u32 = 4;

/// What one source prefix did in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The prefix, host bits zero.
    pub prefix: u128,
    /// Its length.
    pub level: Level,
    /// Packets sent; as many as can be counted stand for more.
    pub packets: u32,
    /// Bytes sent, as on the wire.
    pub wire_bytes: u64,
    /// Flows begun.
    pub flows: u32,
    /// Flows that showed a new anomaly.
    pub odd: u32,
    /// Openings judged, where the reverse path is seen.
    pub openings: u32,
    /// Openings in vain: unanswered, or refused.
    pub unanswered: u32,
    /// Sketch of the destinations opened to in vain.
    pub targets: u64,
    /// Sketch of the ports opened to in vain.
    pub ports: u64,
}

const _: () = assert!(size_of::<Delta>() == 64, "a million are merged each step: a line each");

impl Delta {
    /// Nothing, of the prefix of `addr` at `level`.
    pub const fn none(level: Level, addr: u128) -> Self {
        Self {
            prefix: level.prefix(addr),
            level,
            packets: 0,
            wire_bytes: 0,
            flows: 0,
            odd: 0,
            openings: 0,
            unanswered: 0,
            targets: 0,
            ports: 0,
        }
    }

    /// The order of lists: by prefix, narrow before wide.
    #[inline]
    pub(super) const fn rank(&self) -> (u128, Level) {
        (self.prefix, self.level)
    }

    /// Whether an address that does this has an aggregate of its own.
    #[inline]
    pub(super) const fn is_busy(&self) -> bool {
        self.packets >= OWN_PACKETS || self.flows >= OWN_FLOWS
    }

    #[inline]
    pub(super) const fn add(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.wire_bytes = self.wire_bytes.saturating_add(other.wire_bytes);
        self.flows = self.flows.saturating_add(other.flows);
        self.odd = self.odd.saturating_add(other.odd);
        self.openings = self.openings.saturating_add(other.openings);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.targets |= other.targets;
        self.ports |= other.ports;
    }
}

/// What decides which bit of a sketch a value sets. Random per process on a live gateway, so that nobody can choose
/// destinations that share a bit; fixed when a capture file is scored, so that anyone gets the same scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SketchSeed(pub u64);

/// The number, below 64, of the bit of a sketch that `value` sets. Hashed twice: one round spreads consecutive ports or
/// addresses too evenly, and linear counting rests on chance collisions.
pub(super) fn bit(sketch: &KeyedHash, value: u128) -> u8 {
    let mut hasher = sketch.hasher();
    hasher.write_u128(value);
    hasher.write_u64(0);
    (hasher.finish() >> 58) as u8
}

/// The deltas of all workers as one ordered list, the same whatever the number of workers. Each of `lists` is ordered,
/// one delta a prefix.
///
/// Lists are merged two by two. To put them behind each other and sort touched three times the memory, and with a million
/// sources to touch it takes longer than to compare.
pub fn merge<L: AsRef<[Delta]>>(lists: &[L]) -> Vec<Delta> {
    let mut merged = Vec::new();
    merge_into(&mut merged, lists);
    merged
}

/// As [`merge`], in place of what `merged` held and in its memory.
pub fn merge_into<L: AsRef<[Delta]>>(merged: &mut Vec<Delta>, lists: &[L]) {
    merged.clear();
    match lists {
        [] => {}
        [only] => merged.extend_from_slice(only.as_ref()),
        [one, other] => merge_two(merged, one.as_ref(), other.as_ref()),
        _ => {
            let (some, others) = lists.split_at(lists.len() / 2);
            merge_two(merged, &merge(some), &merge(others));
        }
    }
}

fn merge_two(merged: &mut Vec<Delta>, mut one: &[Delta], mut other: &[Delta]) {
    merged.reserve(one.len() + other.len());
    while let ([a, after_a @ ..], [b, after_b @ ..]) = (one, other) {
        let order = a.rank().cmp(&b.rank());
        let mut delta = if order.is_le() { *a } else { *b };
        if order.is_eq() {
            delta.add(b);
        }
        merged.push(delta);
        one = if order.is_le() { after_a } else { one };
        other = if order.is_ge() { after_b } else { other };
    }
    // One of them is empty.
    merged.extend_from_slice(one);
    merged.extend_from_slice(other);
}
