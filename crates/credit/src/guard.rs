//! What may never be enforced, however well it is signed or written.
//!
//! Pure functions of records and figures. The same code runs where an act is submitted, where a feed is published and
//! where a gateway applies it, so that the three can never disagree. They look from two sides:
//!
//! * at each record: [`Guards::judge`] and [`Guards::judge_all`] say which records a gateway may enforce. The others are
//!   kept and shown with the reason, never dropped in silence;
//! * at each update: [`Change`] measures what a new snapshot of a feed would do, [`Recent`] whom it would newly hit, and
//!   [`Limits`] says whether it waits for the operator.
//!
//! Records that constrain nothing pass more freely: an operator may allow any width at all, since that blocks nobody.

mod change;
mod never_block;
mod recent;
mod space;

use core::fmt;

use credence_prefix::Prefix;

use crate::{Authority, Record, both};
pub use change::{
    ADDED_MAX, ALWAYS_FREE, ANNOUNCED_48S, Change, Hold, Limits, NEWLY_HIT_MAX, REMOVED_MAX, SPACE_MAX,
};
pub use never_block::{DOCUMENTATION, NEVER_BLOCK, NeverBlock};
pub use recent::Recent;
pub(crate) use space::slash_64s;
use space::{SLASH_64S_IN_48, Space};

/// The shortest prefix that a signed feed may have enforced. Registries allocate /32 to a provider by default, so that
/// anything shorter speaks of several providers, or of a very large one with all its customers.
pub const FEED_LEN_MIN: u8 = 32;

/// The shortest prefix that a signed feed may have enforced on one signature: a site (RFC 6177 section 2). Shorter
/// ones hit many sites and need [`WIDE_SIGNATURES_MIN`].
pub const FEED_SINGLE_LEN_MIN: u8 = 48;

/// How many distinct keys must have signed a record from [`FEED_LEN_MIN`] up to but without [`FEED_SINGLE_LEN_MIN`].
pub const WIDE_SIGNATURES_MIN: u16 = 2;

/// The shortest prefix that an operator's own list may constrain: registries hand out /29 on request.
pub const OPERATOR_LEN_MIN: u8 = 29;

/// How much of one /32 records with a single signature may constrain together, in /48s: a sixteenth. Without this bound,
/// 65,536 adjacent /48s on one signature would be the /32 that needs two.
pub const SINGLE_48S_PER_32_MAX: u32 = 4_096;

/// The same in /64s.
pub(crate) const SINGLE_64S_PER_32_MAX: u128 = SINGLE_48S_PER_32_MAX as u128 * SLASH_64S_IN_48;

/// From how many records on a second core judges half of them.
const LARGE: usize = 1 << 14;

/// What the guards say of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Guarded {
    /// The record may be enforced.
    Enforce,
    /// The record is kept and shown, and has no effect on traffic.
    Keep(KeepReason),
}

/// Why a record has no effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeepReason {
    /// Shorter than [`FEED_LEN_MIN`], or than [`OPERATOR_LEN_MIN`] on an operator's list.
    TooWide,
    /// Shorter than [`FEED_SINGLE_LEN_MIN`] and signed by too few keys.
    SecondSignature,
    /// Overlaps a prefix whose traffic is never blocked.
    NeverBlock,
    /// From a feed, and inside or around addresses that stand for examples.
    Documentation,
    /// One of so many records on a single signature within one /32 that together they would be a wide one.
    Crowded,
}

impl KeepReason {
    /// All of them, in the order in which they are checked.
    pub const ALL: [Self; 5] =
        [Self::TooWide, Self::SecondSignature, Self::NeverBlock, Self::Documentation, Self::Crowded];

    /// The word in metrics and machine-readable output.
    pub const fn name(self) -> &'static str {
        match self {
            Self::TooWide => "too_wide",
            Self::SecondSignature => "second_signature",
            Self::NeverBlock => "never_block",
            Self::Documentation => "documentation",
            Self::Crowded => "crowded",
        }
    }
}

/// A sentence's end, after "kept and never enforced: ".
impl fmt::Display for KeepReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooWide => write!(
                f,
                "the prefix is too wide (signed feeds reach /{FEED_LEN_MIN}, own lists /{OPERATOR_LEN_MIN})"
            ),
            Self::SecondSignature => write!(
                f,
                "a prefix shorter than /{FEED_SINGLE_LEN_MIN} needs {WIDE_SIGNATURES_MIN} signatures"
            ),
            Self::NeverBlock => f.write_str("the prefix overlaps the never-block list"),
            Self::Documentation => f.write_str("the prefix overlaps addresses reserved for examples"),
            Self::Crowded => {
                write!(f, "records on one signature cover more than {SINGLE_48S_PER_32_MAX} /48s of this /32")
            }
        }
    }
}

/// The guards of one gateway that look at records: fixed widths, and its never-block list.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    never_block: NeverBlock,
    /// Addresses for examples that signed feeds may name, in a world that is one.
    examples: Vec<Prefix>,
}

impl Guards {
    /// Guards with this never-block list.
    pub const fn new(never_block: NeverBlock) -> Self {
        Self { never_block, examples: Vec::new() }
    }

    /// The same guards for traffic that is staged: of addresses for examples, signed feeds may name these, which the members of
    /// an example world hold. No gateway with traffic in earnest has such guards.
    #[must_use]
    pub fn staged(self, examples: Vec<Prefix>) -> Self {
        Self { examples, ..self }
    }

    /// The never-block list, for the packet path to ask after every other verdict.
    pub const fn never_block(&self) -> &NeverBlock {
        &self.never_block
    }

    /// What the guards say of one record by itself. [`Guards::judge_all`] also sees what several do together.
    pub fn judge(&self, record: &Record) -> Guarded {
        match width(record) {
            Guarded::Enforce if record.measure.constrains() => self.judge_place(record),
            verdict => verdict,
        }
    }

    /// What the guards say of each of `records`, which stand in the order of their prefixes, as those of a snapshot do.
    /// One place of the answer belongs to each record. Linear in the number of records, but for a search in the
    /// never-block list for each.
    pub fn judge_all(&self, records: &[Record]) -> Vec<Guarded> {
        let judge = |records: &[Record]| records.iter().map(|record| self.judge(record)).collect::<Vec<_>>();
        let mut verdicts = if records.len() < LARGE {
            judge(records)
        } else {
            let (front, back) = records.split_at(records.len() / 2);
            let (back, mut verdicts) = both(|| judge(back), || judge(front));
            verdicts.extend(back);
            verdicts
        };
        let mut rest = &mut verdicts[..];
        for records in records.chunk_by(|left, right| slash_32(left) == slash_32(right)) {
            let (verdicts, behind) = rest.split_at_mut(records.len());
            keep_crowd(records, verdicts);
            rest = behind;
        }
        verdicts
    }

    /// Judges a constraining record by where its prefix lies.
    fn judge_place(&self, record: &Record) -> Guarded {
        if self.never_block.overlaps(record.prefix) {
            return Guarded::Keep(KeepReason::NeverBlock);
        }
        let example = |reserved: &Prefix| reserved.covers(record.prefix) || record.prefix.covers(*reserved);
        let is_staged = self.examples.iter().any(|held| held.covers(record.prefix));
        if record.authority.is_signed() && DOCUMENTATION.iter().any(example) && !is_staged {
            return Guarded::Keep(KeepReason::Documentation);
        }
        Guarded::Enforce
    }
}

/// What a record's width and signatures allow. Wherever a feed is concerned the measure does not matter; on the
/// operator's own list only constraining measures are bounded.
pub const fn width(record: &Record) -> Guarded {
    let len = record.prefix.len();
    let wide = match record.authority {
        Authority::OperatorList => len < OPERATOR_LEN_MIN && record.measure.constrains(),
        _ => len < FEED_LEN_MIN,
    };
    if wide {
        Guarded::Keep(KeepReason::TooWide)
    } else if record.authority.is_signed()
        && len < FEED_SINGLE_LEN_MIN
        && record.signatures < WIDE_SIGNATURES_MIN
    {
        Guarded::Keep(KeepReason::SecondSignature)
    } else {
        Guarded::Enforce
    }
}

fn slash_32(record: &Record) -> u128 {
    record.prefix.first() >> 96
}

/// Keeps all records on a single signature of one /32 back when together they cover too much of it. All, since any
/// choice among them would enforce an arbitrary part of what was signed.
fn keep_crowd(records: &[Record], verdicts: &mut [Guarded]) {
    let mut space = Space::default();
    for (record, &verdict) in records.iter().zip(&*verdicts) {
        if is_single(record, verdict) {
            space.add(record.prefix);
        }
    }
    if space.slash_64s() <= SINGLE_64S_PER_32_MAX {
        return;
    }
    for (record, verdict) in records.iter().zip(verdicts) {
        if is_single(record, *verdict) {
            *verdict = Guarded::Keep(KeepReason::Crowded);
        }
    }
}

/// Whether a record counts among those of its /32 that stand on a single signature, whether these are kept back together or not.
pub(crate) fn is_single(record: &Record, verdict: Guarded) -> bool {
    matches!(verdict, Guarded::Enforce | Guarded::Keep(KeepReason::Crowded))
        && record.is_of_feed()
        && record.signatures < WIDE_SIGNATURES_MIN
}

#[cfg(test)]
mod tests;
