//! What one prefix did in one step, and lists of it.

use core::hash::Hasher;

use super::Level;
use crate::hash::KeyedHash;

/// Packets in a step from which an address has an aggregate of its own.
pub(super) const OWN_PACKETS: u64 = 16;
/// New flows in a step from which an address has an aggregate of its own.
pub(super) const OWN_FLOWS: u32 = 4;

/// What one source prefix did in one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delta {
    /// The prefix, host bits zero.
    pub prefix: u128,
    /// Its length.
    pub level: Level,
    /// Packets sent.
    pub packets: u64,
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

impl Delta {
    /// Nothing, of the prefix of `addr` at `level`.
    pub(super) const fn none(level: Level, addr: u128) -> Self {
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

/// The deltas of all workers as one ordered list, the same whatever the number of workers. Each of `lists` is ordered.
pub fn merge<L: AsRef<[Delta]>>(lists: impl IntoIterator<Item = L>) -> Vec<Delta> {
    let mut all = Vec::new();
    lists.into_iter().for_each(|list| all.extend_from_slice(list.as_ref()));
    // The stable sort of the standard library finds the ordered runs and only merges them.
    all.sort_by_key(Delta::rank);
    all.dedup_by(|later, earlier| {
        let same = later.rank() == earlier.rank();
        if same {
            earlier.add(later);
        }
        same
    });
    all
}
