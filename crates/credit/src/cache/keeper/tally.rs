//! Bounds on what is in force, kept with every change.
//!
//! The guards ask how much is in force, how much space that covers, and how much of a /32 rests on single signatures. Each exact
//! answer takes a look at every record there is. What is kept here is never too small where the guards hold what is too large, and
//! never too large where they hold what is too small; an update that passes by it passes, and for any other all is counted.

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashMap};

use credence_prefix::Prefix;

use crate::cache::build::Merged;
use crate::guard::{SINGLE_64S_PER_32_MAX, is_single, slash_64s};
use crate::{Guarded, Record};

/// Ends are counted by the hour.
const HOUR: u64 = 3_600;

/// What the records about one prefix weigh in the guards' eyes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Weight {
    /// When the last of those ends that a feed has put in force, in Unix seconds; 0 where there is none.
    until: u64,
    /// Whether one of them counts among those that stand on a single signature.
    is_single: bool,
}

impl Weight {
    /// Whether a feed has put one of them in force, be it over or not.
    pub(super) const fn is_in_force(self) -> bool {
        self.until > 0
    }

    /// Of these records, with what the guards say of them.
    pub(super) fn of<R: Borrow<Record>>(records: impl Iterator<Item = (R, Guarded)>) -> Self {
        records.fold(Self::default(), |weight, (record, guarded)| {
            let record = record.borrow();
            let is_in_force = guarded == Guarded::Enforce && record.is_of_feed();
            Self {
                until: if is_in_force { weight.until.max(record.expires) } else { weight.until },
                is_single: weight.is_single || is_single(record, guarded),
            }
        })
    }
}

/// What all records weigh.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Prefixes in force by the hour in which the last of their records ends.
    ending: BTreeMap<u64, u64>,
    /// The space of those prefixes in /64s; what lies inside another counts twice.
    space_64s: u128,
    /// By /32 the space in /64s of prefixes on a single signature, counted alike.
    single: HashMap<u32, u64>,
}

impl Tally {
    /// What all of these weigh.
    pub(super) fn of(merged: &Merged) -> Self {
        let mut tally = Self::default();
        for (prefix, numbers) in merged.numbers() {
            let weight = Weight::of(numbers.map(|number| merged.told(number)));
            tally.weigh(prefix, Weight::default(), weight);
        }
        tally
    }

    /// Counts a prefix that had one weight and has another now.
    pub(super) fn weigh(&mut self, prefix: Prefix, before: Weight, after: Weight) {
        if before == after {
            return;
        }
        let space = slash_64s(prefix);
        if before.until > 0 {
            self.space_64s -= space;
            if let Some(count) = self.ending.get_mut(&(before.until / HOUR)) {
                *count -= 1;
                if *count == 0 {
                    self.ending.remove(&(before.until / HOUR));
                }
            }
        }
        if after.until > 0 {
            self.space_64s += space;
            *self.ending.entry(after.until / HOUR).or_default() += 1;
        }
        if before.is_single != after.is_single {
            let slash_32 = slash_32(prefix);
            let single = self.single.entry(slash_32).or_default();
            *single = if after.is_single { *single + space as u64 } else { *single - space as u64 };
            if *single == 0 {
                self.single.remove(&slash_32);
            }
        }
    }

    /// Whether the records on a single signature of a /32 are, or could be, too many for it when these of its prefixes have other
    /// weights than before.
    pub(super) fn can_crowd(
        &self,
        slash_32: u32,
        changed: impl Iterator<Item = (Prefix, Weight, Weight)>,
    ) -> bool {
        let before = self.single.get(&slash_32).copied().unwrap_or(0);
        let (mut less, mut more) = (0, 0);
        for (prefix, was, is) in changed {
            let space = slash_64s(prefix) as u64;
            less += if was.is_single { space } else { 0 };
            more += if is.is_single { space } else { 0 };
        }
        let after = before + more - less;
        u128::from(before.max(after)) > SINGLE_64S_PER_32_MAX
    }

    /// How many prefixes are in force at `now`, in Unix seconds, at least.
    pub(super) fn least(&self, now: u64) -> u64 {
        self.ending.range(now / HOUR + 1..).map(|(_, count)| count).sum()
    }

    /// How much space is in force at most, in /64s.
    pub(super) const fn space_64s(&self) -> u128 {
        self.space_64s
    }
}

/// The first 32 bits of a prefix on a single signature, none of which is shorter than a site.
pub(super) const fn slash_32(prefix: Prefix) -> u32 {
    (prefix.first() >> 96) as u32
}
