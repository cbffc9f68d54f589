//! What a source does across its flows: nested aggregates over /128, /64, /48 and /32.
//!
//! Packet time is cut into steps. During a step each worker collects [`Deltas`] from its own flows; at the end of the
//! step the deltas of all workers are merged and every worker applies the same list to its own [`Aggregates`]. A verdict
//! reads only closed steps, so it does not depend on how packets were spread over workers.
//!
//! An address earns an aggregate of its own by its activity; what is quieter counts only towards its wider prefixes. So
//! a flood from random interface identifiers fills one /64, not the table.

use core::hash::Hasher;
use core::mem::size_of;

use crate::flow::{Opening, Pending};
use crate::hash::KeyedHash;

/// Length of a step of packet time, in nanoseconds.
pub const STEP_NS: u64 = 1_000_000_000;
/// Counters lose an eighth a step, so that they settle at eight times the rate a step.
const DECAY_SHIFT: u32 = 3;
/// Steps that a fan-out sketch covers before it becomes the older of two.
const SKETCH_STEPS: u32 = 8;
/// Packets in a step from which an address has an aggregate of its own.
const OWN_PACKETS: u64 = 16;
/// New flows in a step from which an address has an aggregate of its own.
const OWN_FLOWS: u32 = 4;
/// Aggregates of one set; a prefix has two candidate sets.
const WAYS: usize = 4;

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
    /// What `pending` adds to its source. Openings count only where the `reverse_seen` says that answers from the
    /// destination would cross this gateway: otherwise silence proves nothing.
    fn of(pending: &Pending, reverse_seen: bool, sketch: &KeyedHash) -> Self {
        let key = &pending.key;
        let opening = pending.opening.filter(|&o| reverse_seen || o != Opening::Unanswered);
        let vain = matches!(opening, Some(Opening::Unanswered | Opening::Refused));
        Self {
            prefix: key.src,
            level: Level::Host,
            packets: u64::from(pending.packets),
            wire_bytes: u64::from(pending.wire_bytes),
            flows: u32::from(pending.created),
            odd: u32::from(pending.odd),
            openings: u32::from(opening.is_some()),
            unanswered: u32::from(vain),
            targets: if vain { bit(sketch, key.dst) } else { 0 },
            ports: if vain { bit(sketch, u128::from(key.dport) << 8 | u128::from(key.proto)) } else { 0 },
        }
    }

    const fn is_empty(&self) -> bool {
        self.packets == 0 && self.flows == 0 && self.odd == 0 && self.openings == 0
    }

    const fn is_busy(&self) -> bool {
        self.packets >= OWN_PACKETS || self.flows >= OWN_FLOWS
    }

    fn add(&mut self, other: &Self) {
        self.packets = self.packets.saturating_add(other.packets);
        self.wire_bytes = self.wire_bytes.saturating_add(other.wire_bytes);
        self.flows = self.flows.saturating_add(other.flows);
        self.odd = self.odd.saturating_add(other.odd);
        self.openings = self.openings.saturating_add(other.openings);
        self.unanswered = self.unanswered.saturating_add(other.unanswered);
        self.targets |= other.targets;
        self.ports |= other.ports;
    }

    fn widened(mut self, level: Level) -> Self {
        if level > self.level {
            self.prefix = level.prefix(self.prefix);
            self.level = level;
        }
        self
    }
}

/// What decides which bit of a sketch a value sets. Random per process on a live gateway, so that nobody can choose
/// destinations that share a bit; fixed when a capture file is scored, so that anyone gets the same scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SketchSeed(pub u64);

/// The bit of a sketch that `value` sets. Hashed twice: one round spreads consecutive ports or addresses too evenly, and
/// linear counting rests on chance collisions.
fn bit(sketch: &KeyedHash, value: u128) -> u64 {
    let mut hasher = sketch.hasher();
    hasher.write_u128(value);
    hasher.write_u64(0);
    1 << (hasher.finish() >> 58)
}

/// Deltas of one worker in the open step, in bounded memory: when there are too many, quiet addresses are counted as
/// their /64, then all as their /48, then as their /32; what is of no /32 there and still finds no room is dropped and
/// counted. So a flood of addresses cannot hide what others do, only blur it.
#[derive(Debug)]
pub struct Deltas {
    list: Vec<Delta>,
    capacity: usize,
    dropped: u64,
    /// How many at the front are a sorted list of /32s, once nothing can be made coarser until the step closes: nobody
    /// shall make every packet cost a sort.
    saturated: Option<usize>,
    sketch: KeyedHash,
}

impl Deltas {
    /// Room for `capacity` deltas.
    pub fn new(capacity: u32, seed: SketchSeed) -> Self {
        let capacity = (capacity as usize).max(16);
        Self {
            list: Vec::with_capacity(capacity),
            capacity,
            dropped: 0,
            saturated: None,
            sketch: KeyedHash::new(seed.0),
        }
    }

    /// Counts what a flow did. `reverse_seen` tells whether answers from the flow's destination cross this gateway.
    pub fn add(&mut self, pending: &Pending, reverse_seen: bool) {
        let delta = Delta::of(pending, reverse_seen, &self.sketch);
        if delta.is_empty() {
            return;
        }
        if self.list.len() == self.capacity && self.saturated.is_none() {
            self.coarsen();
        }
        match self.saturated {
            Some(sorted) => self.add_saturated(&delta.widened(Level::Allocation), sorted),
            None => self.list.push(delta),
        }
    }

    /// Adds to one of the /32s that are there, or to what room is left.
    fn add_saturated(&mut self, delta: &Delta, sorted: usize) {
        let known = self.list.get_mut(..sorted).unwrap_or_default();
        match known.binary_search_by_key(&delta.prefix, |d| d.prefix) {
            Ok(at) => known[at].add(delta),
            Err(_) if self.list.len() < self.capacity => self.list.push(*delta),
            Err(_) => self.dropped += 1,
        }
    }

    /// The step's deltas, one a prefix, in order; this list is empty afterwards.
    pub fn close(&mut self) -> Vec<Delta> {
        coalesce(&mut self.list);
        let closed = self.list.clone();
        self.list.clear();
        self.saturated = None;
        closed
    }

    /// Deltas that found no room.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Memory held, in bytes.
    pub fn bytes(&self) -> usize {
        self.list.capacity() * size_of::<Delta>()
    }

    /// Makes room for at least a quarter of the list, if anything can. A pass that frees less is followed by a coarser
    /// one, and after the last this worker sorts no more until the step closes: a quarter of the list pays for each
    /// round of sorting.
    fn coarsen(&mut self) {
        let enough = self.capacity / 4 * 3;
        coalesce(&mut self.list);
        for level in [Level::Subnet, Level::Site, Level::Allocation] {
            if self.list.len() <= enough {
                return;
            }
            for delta in &mut self.list {
                if !delta.is_busy() || level > Level::Subnet {
                    *delta = delta.widened(level);
                }
            }
            coalesce(&mut self.list);
        }
        self.saturated = (self.list.len() > enough).then_some(self.list.len());
    }
}

/// Sorts by prefix, narrow before wide, and adds up equal prefixes.
fn coalesce(list: &mut Vec<Delta>) {
    list.sort_unstable_by_key(|d| (d.prefix, d.level));
    list.dedup_by(|later, earlier| {
        let same = later.prefix == earlier.prefix && later.level == earlier.level;
        if same {
            earlier.add(later);
        }
        same
    });
}

/// The deltas of all workers as one ordered list, the same whatever the number of workers.
pub fn merge(lists: impl IntoIterator<Item = Vec<Delta>>) -> Vec<Delta> {
    let mut all: Vec<Delta> = lists.into_iter().flatten().collect();
    coalesce(&mut all);
    all
}

/// One prefix over the last steps.
#[derive(Clone, Copy, Debug)]
struct Aggregate {
    prefix: u128,
    level: Level,
    /// Step of the last change, from 1; 0 is an empty place.
    step: u32,
    packets: u64,
    wire_bytes: u64,
    flows: u32,
    odd: u32,
    openings: u32,
    unanswered: u32,
    targets: Sketch,
    ports: Sketch,
}

const EMPTY: Aggregate = Aggregate {
    prefix: 0,
    level: Level::Host,
    step: 0,
    packets: 0,
    wire_bytes: 0,
    flows: 0,
    odd: 0,
    openings: 0,
    unanswered: 0,
    targets: Sketch { recent: 0, older: 0, window: 0 },
    ports: Sketch { recent: 0, older: 0, window: 0 },
};

/// Two 64-bit bitmaps, of this window of steps and the one before.
#[derive(Clone, Copy, Debug)]
struct Sketch {
    recent: u64,
    older: u64,
    window: u32,
}

impl Sketch {
    fn advance(&mut self, window: u32) {
        match window.saturating_sub(self.window) {
            0 => return,
            1 => self.older = self.recent,
            _ => self.older = 0,
        }
        self.recent = 0;
        self.window = window;
    }

    /// How many different values set these bits, by linear counting (Whang, Vander-Zanden, Taylor 1990).
    fn estimate(self) -> u32 {
        LINEAR_COUNT[(self.recent | self.older).count_ones() as usize].into()
    }
}

/// round(-64 · ln(1 − n / 64)) for n set bits; the last is for half an empty bit.
const LINEAR_COUNT: [u16; 65] = [
    0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 23, 24, 25, 27, 28, 30, 32, 33, 35,
    37, 39, 40, 42, 44, 46, 48, 51, 53, 55, 58, 60, 63, 65, 68, 71, 74, 78, 81, 85, 89, 93, 97, 102, 107,
    113, 119, 126, 133, 142, 151, 163, 177, 196, 222, 266, 311,
];

/// What one prefix did of late, as scoring reads it: smoothed to one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Behaviour {
    /// Packets a step.
    pub packets: u64,
    /// Bytes on the wire a step.
    pub wire_bytes: u64,
    /// Flows begun a step.
    pub flows: u32,
    /// Flows a step that showed a new anomaly.
    pub odd: u32,
    /// Openings judged over about eight steps, where the reverse path is seen.
    pub openings: u32,
    /// Of those, in vain: unanswered, or refused.
    pub unanswered: u32,
    /// Different destinations opened to in vain, over the last 8 to 16 steps; 311 stands for more than can be told.
    pub targets: u32,
    /// Different ports opened to in vain, likewise.
    pub ports: u32,
}

/// Nested aggregates in fixed memory; of a full set the prefix that has sent least of late makes room, so that a flood of
/// new prefixes displaces itself and not what is known of busy ones.
pub struct Aggregates {
    sets: Box<[[Aggregate; WAYS]]>,
    /// Sixteen bits of the hash for each place of a set, 0 for an empty place. A look-up reads these eight bytes of each
    /// candidate set and then, nearly always, only an aggregate that is the right one.
    tags: Box<[[u16; WAYS]]>,
    hasher: KeyedHash,
    step: u32,
    displaced: u64,
}

impl Aggregates {
    /// Room for at least `prefixes`, over all levels.
    pub fn new(prefixes: u32, seed: u64) -> Self {
        let sets = (prefixes as usize).div_ceil(WAYS).max(2);
        Self {
            sets: vec![[EMPTY; WAYS]; sets].into_boxed_slice(),
            tags: vec![[0; WAYS]; sets].into_boxed_slice(),
            hasher: KeyedHash::new(seed),
            step: 0,
            displaced: 0,
        }
    }

    /// Applies the merged deltas of a step and makes it the last closed one. `step` counts from 1 and never falls.
    pub fn close_step(&mut self, step: u32, merged: &[Delta]) {
        self.step = step.max(self.step).max(1);
        // Deltas are ordered by prefix, so that what one wider prefix gathers lies together.
        let mut wide: [Option<Delta>; 3] = [None; 3];
        for delta in merged {
            if delta.level == Level::Host
                && (delta.is_busy() || self.position(Level::Host, delta.prefix).is_some())
            {
                self.apply(delta);
            }
            for (gathered, level) in wide.iter_mut().zip([Level::Subnet, Level::Site, Level::Allocation]) {
                if level < delta.level {
                    continue;
                }
                let part = delta.widened(level);
                match gathered {
                    Some(sum) if sum.prefix == part.prefix => sum.add(&part),
                    _ => {
                        if let Some(done) = gathered.replace(part) {
                            self.apply(&done);
                        }
                    }
                }
            }
        }
        for done in wide.into_iter().flatten() {
            self.apply(&done);
        }
    }

    /// What the prefix of `addr` at `level` did up to the last closed step, if it is known.
    #[inline]
    pub fn behaviour(&self, level: Level, addr: u128) -> Option<Behaviour> {
        let (set, way) = self.position(level, level.prefix(addr))?;
        let mut now = self.sets[set][way];
        now.advance(self.step);
        Some(Behaviour {
            packets: now.packets >> DECAY_SHIFT,
            wire_bytes: now.wire_bytes >> DECAY_SHIFT,
            flows: now.flows >> DECAY_SHIFT,
            odd: now.odd >> DECAY_SHIFT,
            openings: now.openings,
            unanswered: now.unanswered,
            targets: now.targets.estimate(),
            ports: now.ports.estimate(),
        })
    }

    /// Whether packets from the site of `addr` have crossed this gateway of late: if not, that it does not answer proves
    /// nothing, since the way back may lie elsewhere.
    #[inline]
    pub fn sends(&self, addr: u128) -> bool {
        self.position(Level::Site, Level::Site.prefix(addr))
            .is_some_and(|(set, way)| self.step.saturating_sub(self.sets[set][way].step) <= SKETCH_STEPS)
    }

    /// Prefixes that were forgotten while still active, for want of room.
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Memory held, in bytes, the same from start to end.
    pub fn bytes(&self) -> usize {
        self.sets.len() * (size_of::<[Aggregate; WAYS]>() + size_of::<[u16; WAYS]>())
    }

    /// The candidate sets of a prefix, and its tag.
    fn candidates(&self, level: Level, prefix: u128) -> ([usize; 2], u16) {
        let mut hasher = self.hasher.hasher();
        hasher.write_u128(prefix);
        hasher.write_u8(level as u8);
        let hash = hasher.finish();
        let n = self.sets.len() as u64;
        let range = |h: u64| ((h & 0xffff_ffff).wrapping_mul(n) >> 32) as usize;
        // The sets come from the high bits of both halves, the tag from another mix of all bits.
        let tag = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16;
        ([range(hash), range(hash >> 32)], tag.max(1))
    }

    #[inline]
    fn position(&self, level: Level, prefix: u128) -> Option<(usize, usize)> {
        let (sets, tag) = self.candidates(level, prefix);
        let places = sets.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)));
        let mut tagged = places.filter(|&(set, way)| self.tags[set][way] == tag);
        tagged.find(|&(set, way)| self.sets[set][way].prefix == prefix && self.sets[set][way].level == level)
    }

    fn apply(&mut self, delta: &Delta) {
        let (set, way) = self.position(delta.level, delta.prefix).unwrap_or_else(|| self.make_room(delta));
        let aggregate = &mut self.sets[set][way];
        aggregate.advance(self.step);
        aggregate.add(delta);
    }

    /// The empty place of the candidate sets, or the one of the prefix that has sent least of late, made the delta's.
    fn make_room(&mut self, delta: &Delta) -> (usize, usize) {
        let (sets, tag) = self.candidates(delta.level, delta.prefix);
        let places = sets.into_iter().flat_map(|set| (0..WAYS).map(move |way| (set, way)));
        let (set, way) = places.min_by_key(|&(s, w)| self.sets[s][w].weight(self.step)).unwrap_or_default();
        let old = &mut self.sets[set][way];
        self.displaced += u64::from(old.step != 0 && self.step.saturating_sub(old.step) <= SKETCH_STEPS);
        *old = Aggregate { prefix: delta.prefix, level: delta.level, step: self.step, ..EMPTY };
        self.tags[set][way] = tag;
        (set, way)
    }
}

impl Aggregate {
    /// Lets the counters decay to `step`.
    fn advance(&mut self, step: u32) {
        for _ in 0..step.saturating_sub(self.step).min(DECAYED_STEPS) {
            self.packets = decayed(self.packets);
            self.wire_bytes = decayed(self.wire_bytes);
            for counter in [&mut self.flows, &mut self.odd, &mut self.openings, &mut self.unanswered] {
                #[expect(clippy::cast_possible_truncation, reason = "never more than the counter itself")]
                let less = decayed(u64::from(*counter)) as u32;
                *counter = less;
            }
        }
        self.step = self.step.max(step);
        self.targets.advance(step / SKETCH_STEPS);
        self.ports.advance(step / SKETCH_STEPS);
    }

    /// How much is lost with this prefix: about its packets once decayed to `step`, and of equals who was heard last.
    /// The least is an empty place.
    fn weight(&self, step: u32) -> (u64, u32) {
        let halvings = (step.saturating_sub(self.step) / HALVING_STEPS).min(u64::BITS - 1);
        (self.packets >> halvings, self.step)
    }

    fn add(&mut self, delta: &Delta) {
        self.packets = self.packets.saturating_add(delta.packets);
        self.wire_bytes = self.wire_bytes.saturating_add(delta.wire_bytes);
        self.flows = self.flows.saturating_add(delta.flows);
        self.odd = self.odd.saturating_add(delta.odd);
        self.openings = self.openings.saturating_add(delta.openings);
        self.unanswered = self.unanswered.saturating_add(delta.unanswered);
        self.targets.recent |= delta.targets;
        self.ports.recent |= delta.ports;
    }
}

/// Steps after which any 64-bit counter has decayed to 0: about ln(2^64 / 8) / ln(8/7) of them down to 8, one each from
/// there.
const DECAYED_STEPS: u32 = 322;

/// Steps in which a counter loses half: ln(2) / ln(8/7) = 5.2.
const HALVING_STEPS: u32 = 5;

/// One step of decay: an eighth, rounded up, so that a counter reaches 0.
const fn decayed(counter: u64) -> u64 {
    counter - counter.div_ceil(1 << DECAY_SHIFT)
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
