//! What the kernel's program and this crate must agree on. The other half stands in `bpf/credence.bpf.c`.

use credence_credit::Measure;

/// Why the program did what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Reason {
    /// Nothing in force speaks of the source.
    Unlisted,
    /// A record does, and its measure was taken.
    Listed,
    /// The engine does, by the source's behaviour.
    Behaviour,
    /// A limiter let it pass.
    WithinRate,
    /// The source is never blocked.
    Spared,
    /// Neighbour discovery and multicast listening.
    Neighbour,
    /// No IPv6 packet.
    NotIpv6,
    /// The chain of headers was not walked to its end, or the frame promises IPv6 and no header of it can be read.
    Unknown,
    /// The engine gives no sign of life, or says that it cannot judge.
    Failed,
    /// The image is wrong, or changed all the time.
    Broken,
    /// The destination is where a blocked source complains.
    Heard,
    /// Good credit has a higher ceiling, and without it the limiter had not let it pass.
    Incentive,
}

impl Reason {
    /// All of them, by number.
    pub const ALL: [Self; 12] = [
        Self::Unlisted,
        Self::Listed,
        Self::Behaviour,
        Self::WithinRate,
        Self::Spared,
        Self::Neighbour,
        Self::NotIpv6,
        Self::Unknown,
        Self::Failed,
        Self::Broken,
        Self::Heard,
        Self::Incentive,
    ];

    /// The measures that packets can meet for this reason.
    pub const fn measures(self) -> &'static [Measure] {
        use Measure::{Drop, Incentive, Mark, None, Observe, RateLimit};
        match self {
            Self::Listed => &Measure::ALL,
            Self::Behaviour => &[Mark, RateLimit],
            Self::Unknown => &[Observe, Mark, RateLimit, Drop],
            Self::Failed => &[None, Drop],
            Self::Incentive => &[Incentive],
            Self::Unlisted
            | Self::WithinRate
            | Self::Spared
            | Self::Neighbour
            | Self::NotIpv6
            | Self::Broken
            | Self::Heard => &[None],
        }
    }

    /// The word in metrics, a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unlisted => "unlisted",
            Self::Listed => "listed",
            Self::Behaviour => "behaviour",
            Self::WithinRate => "within_rate",
            Self::Spared => "spared",
            Self::Neighbour => "neighbour",
            Self::NotIpv6 => "not_ipv6",
            Self::Unknown => "unknown",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Heard => "heard",
            Self::Incentive => "incentive",
        }
    }
}

/// What happens when the engine gives no sign of life, or says that it cannot judge.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Failure {
    /// Everything passes.
    #[default]
    Open = 1,
    /// What was published last is enforced, each record to its own end.
    Static = 2,
    /// Nothing passes but neighbour discovery and those who are never blocked.
    Closed = 3,
}

/// How the gateway stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[repr(u32)]
pub enum Stand {
    /// What passes goes up to this host's routing.
    #[default]
    Router,
    /// What passes goes out of the other leg.
    Bridge,
    /// Everything passes; what would have happened is counted.
    Tap,
}

/// A measure's number in the program.
pub(crate) const fn number(measure: Measure) -> u64 {
    measure as u64
}

/// Words of 64 bits of one measure.
pub(crate) const MEASURE_WORDS: usize = 5;
/// The word of a measure that holds when it ends.
pub(crate) const EXPIRES: usize = 0;
/// The word of a measure whose lower half is its parent.
pub(crate) const PARENT: usize = 1;
/// The word of a measure whose upper half is its limiter's generation, from 1 on; 0 for none.
pub(crate) const LIMITER: usize = 2;
/// The word of a measure in which the program counts the packets that met it.
pub(crate) const HITS: usize = 3;
/// The word of a measure in which it counts the bytes of those.
pub(crate) const BYTES: usize = 4;
/// Set beside the parent of a record that asked for a limiter and got none. The program does not look at it.
pub(crate) const REFUSED: u64 = 1 << 56;

/// A record as the program needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Boot time in nanoseconds at which it ends.
    pub(crate) expires_ns: u64,
    /// The next record that could still matter.
    pub(crate) parent: u32,
    /// Whose word it is; 0 for one without effect.
    pub(crate) rank: u8,
    pub(crate) measure: Measure,
    /// Whether its credit is good enough for an incentive.
    pub(crate) good: bool,
    /// Whether it asked for a limiter and got none.
    pub(crate) refused: bool,
    /// Its limiter's slot, and whose slot it was.
    pub(crate) bucket: u32,
    pub(crate) generation: u32,
}

impl Entry {
    /// The words that the program reads.
    pub(crate) fn words(&self) -> [u64; MEASURE_WORDS] {
        [
            self.expires_ns,
            u64::from(self.parent)
                | u64::from(self.rank) << 32
                | number(self.measure) << 40
                | u64::from(self.good) << 48
                | if self.refused { REFUSED } else { 0 },
            u64::from(self.bucket) | u64::from(self.generation) << 32,
            0,
            0,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_stand_by_their_numbers_under_names_of_their_own() {
        for (number, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, number);
            assert!(Reason::ALL.iter().all(|other| *other == reason || other.name() != reason.name()));
        }
    }

    #[test]
    fn measures_have_the_numbers_of_the_programs_verdicts() {
        assert_eq!(Measure::ALL.map(number), [0, 1, 2, 3, 4, 5]);
    }
}
