//! What a line needs to know before the first frame.

use std::sync::Arc;

use credence_flow::{FullPolicy, SketchSeed, Timeouts};
use credence_prefix::{Prefix, Table};
use credence_score::{Policy, Verdict};
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
    /// Whether all memory of flows is touched at the start, so that a live line takes no page fault for it later. A capture
    /// file may wait for a page; it touches only what its flows fill.
    pub prefault: bool,
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
            alert_from: Verdict::Observe,
            lists: Arc::new(Lists { never_block: Table::default(), own: Table::default() }),
            seed: 0,
            sketch: SketchSeed(0),
            outbox: 1 << 14,
            flow_records: false,
            prefault: false,
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
    never_block: Table,
    own: Table,
}

impl Lists {
    /// Lists of these prefixes.
    ///
    /// # Errors
    /// When a list is longer than the prefix map can number.
    pub fn new(never_block: &[Prefix], own: &[Prefix]) -> Result<Self, credence_prefix::TableError> {
        Ok(Self { never_block: set(never_block)?, own: set(own)? })
    }

    /// Whether traffic of this source must not be lost whatever anyone says.
    #[inline]
    pub fn is_never_blocked(&self, addr: u128) -> bool {
        // Without a list there is nothing to walk, which the packet path would do for each new flow.
        !self.never_block.is_empty() && self.never_block.longest_match(addr).is_some()
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
