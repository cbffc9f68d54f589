//! What a line needs to know before the first frame.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use credence_flow::{FullPolicy, SketchSeed, Timeouts};
use credence_prefix::{Prefix, Table};
use credence_score::{Ladder, Policy, Verdict};
use credence_wire::{Header, Limits, Packet};

/// Settings of every worker's line, fixed for a run.
#[derive(Clone)]
pub struct LineConfig {
    /// What the parser walks at most.
    pub limits: Limits,
    /// Which header of a tunnel keys the flow.
    pub keyed: Keyed,
    /// Flows a worker holds at most.
    pub flows: u32,
    /// What happens when its table is full.
    pub full: FullPolicy,
    /// When flows are idle.
    pub timeouts: Timeouts,
    /// Datagrams in pieces a worker holds at most.
    pub datagrams: u32,
    /// Source prefixes a worker holds at most, over all levels.
    pub sources: u32,
    /// How scores become verdicts.
    pub policy: Policy,
    /// The rungs that hold in an emergency.
    pub emergency: Ladder,
    /// Whether there is one. Whoever declares it sets this; each line looks once a batch.
    pub alarm: Arc<AtomicBool>,
    /// Alerts are raised from this verdict on.
    pub alert_from: Verdict,
    /// The operator's lists.
    pub lists: Arc<Lists>,
    /// Seed of hash tables, different in every process.
    pub seed: u64,
    /// Seed of the sketches; scores of a capture file are reproducible only when it is the same.
    pub sketch: SketchSeed,
    /// Events a worker holds until they are collected, alerts and ended flows apart.
    pub outbox: u32,
    /// Whether ended flows are wanted.
    pub flow_records: bool,
    /// Whether opinions of sources are wanted, and a sample of the sources of new flows, since someone enforces.
    pub enforced: bool,
    /// Whether all memory of flows is touched at the start, so that a live line takes no page fault for it later. A capture
    /// file may wait for a page; it touches only what its flows fill.
    pub prefault: bool,
    /// Whether a line that fails begins anew with empty tables, and only one that fails again and again ends the run. A capture
    /// is not scored in part, so there a failure is one.
    pub restarts: bool,
}

impl Default for LineConfig {
    /// A line as `credence replay` has it: sizes for an ordinary host, nothing listed, fixed seeds.
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            keyed: Keyed::Outer,
            flows: 1 << 20,
            full: FullPolicy::default(),
            timeouts: Timeouts::default(),
            datagrams: 1 << 13,
            sources: 1 << 17,
            policy: Policy::default(),
            emergency: Ladder::default(),
            alarm: Arc::default(),
            alert_from: Verdict::Observe,
            lists: Arc::new(Lists::new(&[], &[]).expect("nothing is in no wrong order")),
            seed: 0,
            sketch: SketchSeed(0),
            outbox: 1 << 14,
            flow_records: false,
            enforced: false,
            prefault: false,
            restarts: false,
        }
    }
}

/// Which header of a tunnel keys the flow.
#[derive(Clone, Default)]
pub enum Keyed {
    /// The outermost, always.
    #[default]
    Outer,
    /// The innermost, for the analysis of captures.
    Inner,
    /// The innermost where an end of the outermost is one of these, otherwise the outermost.
    InnerAt(Arc<Table>),
}

impl Keyed {
    /// The header that keys a packet's flow, and whether it is an inner one.
    #[inline]
    pub fn header<'p>(&self, packet: &'p Packet) -> (&'p Header, bool) {
        let inner = match (&packet.inner, self) {
            (Some(inner), Self::Inner) => Some(inner),
            (Some(inner), Self::InnerAt(ends)) => {
                let listed = |addr| ends.longest_match(addr).is_some();
                (listed(packet.outer.src) || listed(packet.outer.dst)).then_some(inner)
            }
            _ => None,
        };
        inner.map_or((&packet.outer, false), |inner| (inner, true))
    }
}

/// Prefixes that the operator lists.
pub struct Lists {
    never_block: Rare,
    own: Table,
}

/// A set of prefixes in which hardly any address of the traffic lies.
struct Rare {
    all: Table,
    /// The first of some upper 64 bits, and how many follow. Whatever lies in none of these lies in no prefix.
    near: Vec<(u64, u64)>,
}

/// The upper 64 bits of global unicast, 2000::/3, where nearly all traffic comes from (RFC 4291, section 2.5.4).
const GLOBAL: RangeInclusive<u64> = 0x2000 << 48..=0x3fff_ffff_ffff_ffff;

impl Rare {
    /// Ranges that are compared one by one; a few more than the fixed list has. A longer list is looked up at once.
    const NEAR_MAX: usize = 32;

    fn new(prefixes: &[Prefix]) -> Result<Self, credence_prefix::TableError> {
        let upper = |addr: u128| (addr >> 64) as u64;
        let mut ranges: Vec<_> = prefixes.iter().map(|p| (upper(p.first()), upper(p.last()))).collect();
        ranges.sort_unstable();
        // Between two on the same side of global unicast hardly anything lies, so that they count as one.
        ranges.dedup_by(|next, held| {
            let one = next.1 < *GLOBAL.start() || held.0 > *GLOBAL.end();
            held.1 = if one { held.1.max(next.1) } else { held.1 };
            one
        });
        if ranges.len() > Self::NEAR_MAX {
            ranges = vec![(0, u64::MAX)];
        }
        let near = ranges.into_iter().map(|(first, last)| (first, last - first)).collect();
        Ok(Self { all: set(prefixes)?, near })
    }

    /// A look-up in a small table took a twentieth of the time of a flow of two packets; this takes no branch.
    #[inline]
    fn contains(&self, addr: u128) -> bool {
        let upper = (addr >> 64) as u64;
        let near =
            self.near.iter().fold(false, |any, &(first, more)| any | (upper.wrapping_sub(first) <= more));
        near && self.all.longest_match(addr).is_some()
    }
}

impl Lists {
    /// Lists of these prefixes.
    ///
    /// # Errors
    /// When a list is longer than the prefix map can number.
    pub fn new(never_block: &[Prefix], own: &[Prefix]) -> Result<Self, credence_prefix::TableError> {
        Ok(Self { never_block: Rare::new(never_block)?, own: set(own)? })
    }

    /// Whether traffic of this source must not be lost whatever anyone says.
    #[inline]
    pub fn is_never_blocked(&self, addr: u128) -> bool {
        self.never_block.contains(addr)
    }

    /// Whether this address is the operator's or a customer's.
    #[inline]
    pub fn is_own(&self, addr: u128) -> bool {
        self.own.longest_match(addr).is_some()
    }

    /// How a flow crosses the network, for operators to read. Never an input to a score.
    pub fn direction(&self, src: u128, dst: u128) -> Direction {
        match (self.is_own(src), self.is_own(dst)) {
            (false, true) => Direction::Inbound,
            (true, false) => Direction::Outbound,
            (true, true) => Direction::Internal,
            (false, false) => Direction::Transit,
        }
    }
}

/// A prefix map that only tells whether an address is in one of `prefixes`.
///
/// # Errors
/// When there are more prefixes than the map can number.
pub fn set(prefixes: &[Prefix]) -> Result<Table, credence_prefix::TableError> {
    let mut sorted: Vec<_> = prefixes.iter().map(|&p| (p, 0)).collect();
    sorted.sort_unstable();
    sorted.dedup();
    Table::build(sorted)
}

/// How a flow crosses the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From outside to an own prefix.
    Inbound,
    /// From an own prefix to outside.
    Outbound,
    /// Between own prefixes.
    Internal,
    /// Neither end is in an own prefix, or none is listed.
    Transit,
}

impl Direction {
    /// The word in outputs, a contract.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
            Self::Internal => "internal",
            Self::Transit => "transit",
        }
    }
}

#[cfg(test)]
mod tests {
    use credence_credit::guard::NEVER_BLOCK;

    use super::*;

    /// The addresses at and beside the edges of each prefix are in a short list and in a long one when they are in a prefix.
    #[test]
    fn a_rare_set_contains_what_one_of_its_prefixes_contains() {
        let many =
            (0..100_u128).map(|i| Prefix::containing(0x2001_0db8_0000 << 80 | i << 66, 60 + i as u8 % 60));
        for prefixes in [NEVER_BLOCK.to_vec(), many.collect(), Vec::new()] {
            let rare = Rare::new(&prefixes).unwrap();
            let edges = prefixes
                .iter()
                .flat_map(|p| [p.first(), p.last(), p.first().wrapping_sub(1), p.last().wrapping_add(1)]);
            for addr in edges.chain([0x2001_0db8 << 96, u128::MAX]) {
                assert_eq!(rare.contains(addr), prefixes.iter().any(|p| p.contains(addr)), "{addr:#x}");
            }
        }
    }
}
