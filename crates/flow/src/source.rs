//! What a source does across its flows: nested aggregates over /128, /64, /48 and /32.
//!
//! Packet time is cut into steps. During a step each worker collects [`Deltas`] from its own flows; at the end of the
//! step the deltas of all workers are merged and every worker applies the same list to its own [`Aggregates`]. A verdict
//! reads only closed steps, so it does not depend on how packets were spread over workers.
//!
//! An address earns an aggregate of its own by its activity; what is quieter counts only towards its wider prefixes. So
//! a flood from random interface identifiers fills one /64, not the table.
//!
//! Everything here is sized for a million sources that each send one packet a step, where each random line of memory
//! counts: flows are logged in order, sorted by radix, added up in one pass over all levels, and applied in batches
//! whose lines are named ahead. What scoring asks most, whether a source is quiet, is answered without any of it.

mod aggregate;
mod aggregates;
mod busy;
mod delta;
mod deltas;
mod list;
mod log;
mod nesting;
mod notable;
mod radix;

pub use aggregate::Behaviour;
pub use aggregates::Aggregates;
pub use delta::{Delta, SketchSeed, merge, merge_into};
pub use deltas::Deltas;

/// Length of a step of packet time, in nanoseconds.
pub const STEP_NS: u64 = 1_000_000_000;

/// The prefix lengths at which sources are aggregated, narrowest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    /// A single address.
    Host,
    /// A /64: one link (RFC 4291, section 2.5.4).
    Subnet,
    /// A /48: one site (RFC 6177).
    Site,
    /// A /32: a usual allocation to a provider.
    Allocation,
}

impl Level {
    /// All of them, narrowest first.
    pub const ALL: [Self; 4] = [Self::Host, Self::Subnet, Self::Site, Self::Allocation];

    /// The prefix length, in bits.
    pub const fn prefix_len(self) -> u8 {
        match self {
            Self::Host => 128,
            Self::Subnet => 64,
            Self::Site => 48,
            Self::Allocation => 32,
        }
    }

    /// The prefix of `addr` at this level, host bits zero.
    #[inline]
    pub const fn prefix(self, addr: u128) -> u128 {
        addr & (u128::MAX << (128 - self.prefix_len() as u32))
    }
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
