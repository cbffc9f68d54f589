//! What an update of a feed would change, and when that is too much to apply unasked.

use core::fmt;

use credence_prefix::Prefix;

use super::space::{SLASH_64S_IN_48, Space};
use crate::{Cache, Measure, Record};

/// How much of the address space the Internet's routing tables announce, in /48s: 150,000 /32s. The global IPv6 table of
/// January 2024 covers 156,000 of them without 6to4; the default stays a little below, and grows with the
/// configuration, never by itself.
pub const ANNOUNCED_48S: u64 = 150_000 << 16;

/// The most that feeds may constrain together, in ten-thousandths of the announced space: 0.1 %.
pub const SPACE_MAX: u32 = 10;

/// The most that one update may add or harden, in ten-thousandths of what was in force: 10 %.
pub const ADDED_MAX: u32 = 1_000;

/// The most that one update may take back before its time, in ten-thousandths of what was in force: 50 %.
pub const REMOVED_MAX: u32 = 5_000;

/// The most of recent flows that an update may newly hit, in ten-thousandths: 0.5 %.
pub const NEWLY_HIT_MAX: u32 = 50;

/// How many records an update may always add, and always take back: a share of a feed of ten records says nothing, and a
/// correction in it must not wait for an operator. The other limits still hold.
pub const ALWAYS_FREE: u64 = 100;

/// What an update of a feed does to the records in force: those of signed authority that constrain and that the guards
/// let pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Change {
    /// Prefixes in force before, not counting those that have ended by now.
    pub before: u64,
    /// Prefixes that come into force, or under a harder measure than before.
    pub added: u64,
    /// Prefixes that were to last longer and are in force no more.
    pub removed: u64,
    /// How much space is in force afterwards, in /64s. A longer prefix counts as its whole /64.
    pub space_64s: u128,
}

impl Change {
    /// Compares what is in force in one cache with what would be in another. Records that have ended at `now` (Unix seconds)
    /// count neither as there nor as taken back.
    pub fn between(old: &Cache, new: &Cache, now: u64) -> Self {
        let (before, after) = (in_force(old, now), in_force(new, now));
        let mut change = Self { before: before.len() as u64, ..Self::default() };
        let mut space = Space::default();
        let mut old = before.iter().peekable();
        for &(prefix, measure) in &after {
            space.add(prefix);
            while old.next_if(|(old, _)| *old < prefix).is_some() {
                change.removed += 1;
            }
            let known = old.next_if(|(old, _)| *old == prefix);
            change.added += u64::from(known.is_none_or(|&(_, old)| old < measure));
        }
        change.removed += old.count() as u64;
        change.space_64s = space.slash_64s();
        change
    }
}

/// The prefixes in force in their order, each once, with the hardest measure that is asked for it.
fn in_force(cache: &Cache, now: u64) -> Vec<(Prefix, Measure)> {
    let counts = |record: &Record| record.is_of_feed() && record.is_live(now);
    let records = cache.iter().filter(|(number, _)| cache.entry(*number).is_enforceable());
    let mut force: Vec<_> = records
        .filter(|(_, record)| counts(record))
        .map(|(_, record)| (record.prefix, record.measure))
        .collect();
    force.sort_unstable();
    force.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 = kept.1.max(next.1);
        }
        same
    });
    force
}

/// How much an update may do before it waits for the operator. The defaults are the constants of this module's
/// documentation; shares are in ten-thousandths, and exactly the share still passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How much space is announced, in /48s: [`ANNOUNCED_48S`].
    pub announced_48s: u64,
    /// The share of the announced space that may be in force: [`SPACE_MAX`].
    pub space: u32,
    /// The share that may be added or hardened: [`ADDED_MAX`].
    pub added: u32,
    /// The share that may be taken back early: [`REMOVED_MAX`].
    pub removed: u32,
    /// The share of recent flows that may be newly hit: [`NEWLY_HIT_MAX`].
    pub newly_hit: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            announced_48s: ANNOUNCED_48S,
            space: SPACE_MAX,
            added: ADDED_MAX,
            removed: REMOVED_MAX,
            newly_hit: NEWLY_HIT_MAX,
        }
    }
}

/// Why an update waits for the operator, with the figures to show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Hold {
    /// Too much space would be constrained.
    Space {
        /// What would be in force, in whole /48s, rounded up.
        slash_48s: u64,
    },
    /// Too much is new or harder.
    Added {
        /// Prefixes added or hardened.
        added: u64,
        /// Prefixes in force before.
        before: u64,
    },
    /// Too much is taken back early.
    Removed {
        /// Prefixes taken back.
        removed: u64,
        /// Prefixes in force before.
        before: u64,
    },
    /// Too many flows of late would be hit that were not before.
    NewlyHit {
        /// Flows that would be newly hit.
        hit: u64,
        /// Flows looked at.
        recent: u64,
    },
}

impl fmt::Display for Hold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Space { slash_48s } => write!(f, "it would constrain {slash_48s} /48s in all"),
            Self::Added { added, before } => {
                write!(f, "it adds or hardens {added} prefixes where {before} were in force")
            }
            Self::Removed { removed, before } => {
                write!(f, "it takes {removed} of {before} prefixes back before they end")
            }
            Self::NewlyHit { hit, recent } => write!(f, "it would newly hit {hit} of {recent} recent flows"),
        }
    }
}

impl Limits {
    /// All reasons for which an update with this change waits; none means that it may be applied. A feed's first
    /// snapshot adds everything there is, so for it only the space counts.
    pub fn holds(&self, change: &Change) -> Vec<Hold> {
        let before = change.before;
        let announced_64s = u128::from(self.announced_48s) * SLASH_64S_IN_48;
        let over = |part: u64, share| part > ALWAYS_FREE && exceeds(part.into(), before.into(), share);
        let space = exceeds(change.space_64s, announced_64s, self.space).then(|| Hold::Space {
            slash_48s: u64::try_from(change.space_64s.div_ceil(SLASH_64S_IN_48)).unwrap_or(u64::MAX),
        });
        let added = (before > 0 && over(change.added, self.added))
            .then_some(Hold::Added { added: change.added, before });
        let removed =
            over(change.removed, self.removed).then_some(Hold::Removed { removed: change.removed, before });
        [space, added, removed].into_iter().flatten().collect()
    }

    /// Whether an update passes for sure of which no more is known than `bound`: at least as much is in force before, and no more is
    /// added, taken back and constrained afterwards.
    pub fn passes(&self, bound: &Change) -> bool {
        // Where nothing was in force for sure, a first snapshot cannot be told from any other.
        self.holds(bound).is_empty() && (bound.before > 0 || bound.added <= ALWAYS_FREE)
    }

    /// Whether an update waits because of `recent` flows looked at, `hit` would fare worse than before it.
    pub fn newly_hit(&self, hit: u64, recent: u64) -> Option<Hold> {
        exceeds(hit.into(), recent.into(), self.newly_hit).then_some(Hold::NewlyHit { hit, recent })
    }
}

/// Whether `part` is more than `share` ten-thousandths of `whole`. Saturates, in favour of holding: no part that comes
/// from 64 bits or from a count of /64s reaches that far.
const fn exceeds(part: u128, whole: u128, share: u32) -> bool {
    part.saturating_mul(10_000) > whole.saturating_mul(share as u128)
}
