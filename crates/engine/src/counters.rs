//! What a worker counts. Each worker writes its own counters with plain loads and stores; whoever scrapes sums them up.

use std::sync::atomic::{AtomicU64, Ordering};

use credence_capture::Frame;
use credence_score::{Basis, Verdict};
use credence_wire::{Anomaly, Malformed, NotIpv6, Unkeyed};
use crossbeam::utils::CachePadded;

/// A number that one thread writes and any thread reads.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`. Only the owner calls this, so that a load and a store do what a locked add would.
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Replaces the value. Only the owner calls this.
    #[inline]
    pub fn set(&self, n: u64) {
        self.0.store(n, Ordering::Relaxed);
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident: $ty:ty,)*) => {
        /// The counters of one worker, or of the reader.
        #[derive(Debug, Default)]
        pub struct Counters { $($(#[doc = $doc])* pub $name: $ty,)* }

        /// Sums over workers.
        #[derive(Clone, Debug, Default, PartialEq, Eq)]
        pub struct Totals { $($(#[doc = $doc])* pub $name: <$ty as Sum>::Total,)* }

        impl Totals {
            /// The sums of `all` at this moment.
            pub fn of<'a>(all: impl IntoIterator<Item = &'a Counters>) -> Self {
                let mut totals = Self::default();
                for counters in all {
                    $(counters.$name.add_to(&mut totals.$name);)*
                }
                totals
            }
        }
    };
}

/// A counter or an array of them.
pub trait Sum {
    /// The sum.
    type Total;
    /// Adds what is counted here.
    fn add_to(&self, total: &mut Self::Total);
}

impl Sum for Counter {
    type Total = u64;
    fn add_to(&self, total: &mut u64) {
        *total = total.wrapping_add(self.value());
    }
}

/// A counter for each item of a closed list.
#[derive(Debug)]
pub struct Kinds<const N: usize>([Counter; N]);

impl<const N: usize> Default for Kinds<N> {
    fn default() -> Self {
        Self(std::array::from_fn(|_| Counter::default()))
    }
}

impl<const N: usize> Kinds<N> {
    /// Adds `n` to the counter of the item at `place`.
    #[inline]
    pub fn add(&self, place: usize, n: u64) {
        if let Some(counter) = self.0.get(place) {
            counter.add(n);
        }
    }
}

impl<const N: usize> Sum for Kinds<N> {
    type Total = PerKind<N>;
    fn add_to(&self, total: &mut PerKind<N>) {
        for (counter, sum) in self.0.iter().zip(&mut total.0) {
            counter.add_to(sum);
        }
    }
}

/// One sum for each item of a closed list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PerKind<const N: usize>(pub [u64; N]);

impl<const N: usize> Default for PerKind<N> {
    fn default() -> Self {
        Self([0; N])
    }
}

impl<const N: usize> PerKind<N> {
    /// All kinds together.
    pub fn sum(&self) -> u64 {
        self.0.iter().sum()
    }
}

counters! {
    /// Frames taken from the source.
    received: Counter,
    /// Their bytes on the wire.
    received_bytes: Counter,
    /// Frames with an IPv6 packet that got a verdict.
    scored: Counter,
    /// Frames without IPv6, in the order of [`NOT_IPV6`].
    not_ipv6: Kinds<4>,
    /// Frames whose IPv6 header cannot be read, in the order of [`MALFORMED`].
    malformed: Kinds<5>,
    /// Frames given up because a worker's ring was full.
    shed: Counter,
    /// Frames that were on a line when it failed.
    faulted: Counter,
    /// How often a line failed and began anew.
    restarts: Counter,
    /// Frames that the kernel lost before they could be received; not among those received.
    kernel_drops: Counter,
    /// Packets, in the order of [`Verdict::ALL`].
    verdict_packets: Kinds<6>,
    /// Bytes on the wire, in the order of [`Verdict::ALL`].
    verdict_bytes: Kinds<6>,
    /// Scorings, in the order of [`Basis::ALL`].
    scorings: Kinds<7>,
    /// Packets that showed an anomaly, in the order of [`Anomaly::ALL`].
    anomalies: Kinds<ANOMALIES>,
    /// Packets with a tunnel around or inside.
    tunnelled: Counter,
    /// Packets with a fragment header.
    fragments: Counter,
    /// Alerts raised.
    alerts: Counter,
    /// Alerts lost because an outbox was full.
    alerts_lost: Counter,
    /// Opinions of sources, for whoever enforces them.
    opinions: Counter,
    /// Opinions lost because an outbox was full.
    opinions_lost: Counter,
    /// Flows held now.
    flows_live: Counter,
    /// Flows begun.
    flows_created: Counter,
    /// Flows that ended by idleness.
    flows_expired: Counter,
    /// Flows pushed out for a new one.
    flows_evicted: Counter,
    /// Packets scored without flow state because the table was full.
    flows_refused: Counter,
    /// Flows whose source proved that it receives.
    flows_confirmed: Counter,
    /// Datagrams in pieces that were forgotten early for want of room.
    fragments_displaced: Counter,
    /// Source prefixes that were forgotten while active for want of room.
    sources_displaced: Counter,
    /// Flows whose behaviour was not counted towards their source for want of room.
    sources_lost: Counter,
    /// Reports of what another worker's sources did in a step that never arrived, since this worker was too far behind.
    step_reports_lost: Counter,
    /// Steps of packet time closed.
    steps: Counter,
    /// Turns of the loop, with frames or without: what moves as long as the thread does.
    turns: Counter,
    /// Frames older than one before them.
    reordered: Counter,
    /// Memory held by flow tables, in bytes.
    flow_bytes: Counter,
    /// Memory held by source aggregates and fragments, in bytes.
    source_bytes: Counter,
}

/// Length of [`Anomaly::ALL`].
pub(crate) const ANOMALIES: usize = Anomaly::ALL.len();

/// What frames without IPv6 carry, with the names in outputs.
pub const NOT_IPV6: [(NotIpv6, &str); 4] = [
    (NotIpv6::Ipv4, "ipv4"),
    (NotIpv6::Arp, "arp"),
    (NotIpv6::OtherProtocol, "other_protocol"),
    (NotIpv6::UnknownLink, "unknown_link"),
];

/// Why frames cannot be read, with the names in outputs.
pub const MALFORMED: [(Malformed, &str); 5] = [
    (Malformed::LinkTruncated, "link_truncated"),
    (Malformed::HeaderTruncated, "header_truncated"),
    (Malformed::Version, "version"),
    (Malformed::LinkDepth, "link_depth"),
    (Malformed::CarrierTruncated, "carrier_truncated"),
];

impl Counters {
    /// Counts frames taken from a source.
    pub fn count_received(&self, frames: &[Frame<'_>]) {
        self.received.add(frames.len() as u64);
        self.received_bytes.add(frames.iter().map(|f| u64::from(f.wire_len)).sum());
    }

    /// Counts a frame that yields no packet.
    pub fn count_unkeyed(&self, why: Unkeyed) {
        let place = |found: Option<usize>| found.unwrap_or(0);
        match why {
            Unkeyed::NotIpv6(kind) => {
                self.not_ipv6.add(place(NOT_IPV6.iter().position(|k| k.0 == kind)), 1);
            }
            Unkeyed::Malformed(kind) => {
                self.malformed.add(place(MALFORMED.iter().position(|k| k.0 == kind)), 1);
            }
        }
    }

    /// Counts a packet with its verdict.
    #[inline]
    pub fn count_verdict(&self, verdict: Verdict, wire_len: u32) {
        self.scored.add(1);
        self.verdict_packets.add(verdict as usize, 1);
        self.verdict_bytes.add(verdict as usize, u64::from(wire_len));
    }

    /// Counts a scoring.
    #[inline]
    pub fn count_scoring(&self, basis: Basis) {
        self.scorings.add(basis as usize, 1);
    }
}

impl Totals {
    /// Whether every frame received is accounted for: scored, not IPv6, malformed, shed or lost with a line that failed.
    pub fn balances(&self) -> bool {
        let unscored = self.not_ipv6.sum() + self.malformed.sum() + self.shed + self.faulted;
        self.received == self.scored + unscored
    }
}

/// Counters on a cache line of their own.
pub type Own = CachePadded<Counters>;
