//! The flow table: fixed memory, bounded probes, lazy expiry.
//!
//! An index of 64-byte buckets points into two arrays of flows. A key has two candidate buckets of twelve slots, so a
//! look-up probes at most 24 slots whatever an attacker sends. A flow and the one that answers it have the same candidates,
//! under tags that tell them apart: where a flow begins, whether it answers one that is there is known from lines that
//! are in the cache anyway. Pairs fill buckets less evenly than single flows do. A full table fills ten of fifteen slots, at
//! which, simulated, one flow of two million pairs' found no room; at ten of thirteen some 570 did, from seven eighths of
//! the capacity on. A flow is split in two: the 64-byte half that every packet touches, and the half that only events
//! touch. What few flows have to them lies apart from both.
//!
//! Bytes a flow: 64 + 24 + 64 · 1.5 / 12 = 96, and 28 more where a flow has anything rare to it. Places that were never used
//! lie behind all others and are not touched; those that became free again are chained through the flows themselves.
//!
//! In a table of millions each of these lines is a miss of all caches. So a caller that has a batch of keys first asks
//! for their buckets ([`FlowTable::prefetch_index`]), then for the flows that these point to ([`FlowTable::prefetch_flow`]), and
//! only then places them one after the other, as their packets came.

mod index;

use core::hash::Hasher;
use core::mem::size_of;

use credence_memory::{prefetch, room};

pub use self::index::Candidates;
use self::index::{Index, WAYS};
use crate::flow::{Cold, Finished, Flow, FlowRecord, Hot, Mark, Rares, State, Timeouts};
use crate::hash::KeyedHash;
use crate::key::FlowKey;
use crate::sighting::Sighting;

/// Slots probed at most for one key.
pub const PROBES_MAX: usize = 2 * WAYS;
/// Slots for ten flows.
const SLOTS_PER_TEN_FLOWS: usize = 15;
/// How late a packet may come, against the latest time seen, and still belong to its flow for certain.
pub const REORDER_NS: u64 = 10_000_000_000;
/// No flow: an empty slot, or the end of the free chain.
const NONE: u32 = u32::MAX;

/// What to do with a packet of a new flow when the table or both buckets of its key are full. Flows there that a sweep
/// would end make room first, whatever the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FullPolicy {
    /// Push out the flow of the two buckets that is worth least: unconfirmed and idle longest. Confirmed flows stay; when
    /// only those are left, the new flow is refused.
    #[default]
    EvictUnconfirmed,
    /// Keep what is there; the packet is scored without flow state.
    Refuse,
}

/// Sizes and policies of a table, fixed for its life.
#[derive(Clone, Copy, Debug)]
pub struct TableConfig {
    /// Flows held at most; address space is taken for all of them at the start.
    pub capacity: u32,
    /// What happens when it is full.
    pub full: FullPolicy,
    /// When a flow is idle.
    pub timeouts: Timeouts,
}

/// Where a flow lies in its table. Valid until the flow is finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slot(pub(crate) u32);

/// The answer to a packet's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placed {
    /// The flow was there and not idle.
    Known(Slot),
    /// The flow begins with this packet.
    New(Slot),
    /// There is no room, and policy keeps what is there.
    Refused,
}

/// What a table counts about itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TableCounters {
    /// Flows begun.
    pub created: u64,
    /// Flows that ended by idleness.
    pub expired: u64,
    /// Flows pushed out for a new one.
    pub evicted: u64,
    /// Packets whose flow found no room.
    pub refused: u64,
}

/// Unidirectional flows in memory that is taken once.
pub struct FlowTable {
    index: Index,
    /// The places used so far, in room for all. Never longer than the capacity, so that it never moves.
    hot: Vec<Hot>,
    /// The other half of each place.
    cold: Vec<Cold>,
    rares: Rares,
    capacity: u32,
    /// The first place that became free again.
    free: u32,
    live: u32,
    sweep: u32,
    full: FullPolicy,
    timeouts: Timeouts,
    /// A silence that cannot have made a flow idle, whatever its state.
    settled_ns: u64,
    hasher: KeyedHash,
    counters: TableCounters,
}

impl FlowTable {
    /// An empty table. `seed` must differ between processes: it keeps an attacker from choosing colliding keys.
    pub fn new(config: TableConfig, seed: u64) -> Self {
        let capacity = config.capacity.clamp(1, NONE - 1);
        let buckets = (capacity as usize * SLOTS_PER_TEN_FLOWS).div_ceil(10 * WAYS).max(2);
        Self {
            index: Index::new(buckets),
            hot: room(capacity as usize),
            cold: room(capacity as usize),
            rares: Rares::new(capacity as usize),
            capacity,
            free: NONE,
            live: 0,
            sweep: 0,
            full: config.full,
            timeouts: config.timeouts,
            settled_ns: config.timeouts.shortest(),
            hasher: KeyedHash::new(seed),
            counters: TableCounters::default(),
        }
    }

    /// Touches all memory that flows will ever lie in. Otherwise each page costs a fault when the first flow comes to lie
    /// there: half a second for a million flows where a virtual machine has yet to be given its memory. To be called
    /// before the first flow.
    pub fn prefault(&mut self) {
        let used = self.hot.len();
        self.hot.resize(self.capacity as usize, Hot::FREE);
        self.cold.resize(self.capacity as usize, Cold::default());
        self.hot.truncate(used);
        self.cold.truncate(used);
        self.rares.prefault();
    }

    /// Forgets all flows, whatever state the table is in. Its memory and what it has counted stay.
    pub fn clear(&mut self) {
        self.index.clear();
        self.hot.clear();
        self.cold.clear();
        self.rares.clear();
        (self.free, self.live, self.sweep) = (NONE, 0, 0);
    }

    /// Where the flow of `key` may lie, as [`place`](Self::place) wants it, so that a batch can be hashed whole.
    #[inline]
    pub fn candidates(&self, key: &FlowKey) -> Candidates {
        self.index.candidates(self.hash(key), [key.src < key.dst, key.dst < key.src])
    }

    /// A hash that a flow shares with the one that answers it: each end is hashed alone, and their sum knows no order.
    #[inline]
    fn hash(&self, key: &FlowKey) -> u64 {
        let [one, other] = key.ends().map(|(addr, port)| {
            let mut hasher = self.hasher.hasher();
            hasher.write_u128(addr);
            hasher.write_u16(port);
            hasher.finish()
        });
        let mut hasher = self.hasher.hasher();
        hasher.write_u64(one.wrapping_add(other));
        hasher.write_u8(key.proto);
        hasher.finish()
    }

    /// Asks for the lines of the index that list the flows of these candidates.
    #[inline]
    pub fn prefetch_index(&self, candidates: Candidates) {
        self.index.prefetch(candidates);
    }

    /// Asks for the first flow that the index lists there: nearly always the right one, if any is.
    #[inline]
    pub fn prefetch_flow(&self, candidates: Candidates) -> Option<Slot> {
        let flow = self.index.first(candidates)?;
        prefetch(&self.hot, flow as usize);
        Some(Slot(flow))
    }

    /// Asks for all of the flow that a new flow of these candidates seems to answer.
    #[inline]
    pub fn prefetch_peer(&self, candidates: Candidates) {
        if let Some(flow) = self.index.first(candidates.of_answer()) {
            self.prefetch_record(flow as usize);
        }
    }

    /// Counts a packet of the flow at `slot`, if that is all there is to do: the flow of `key` lies there, it was scored in
    /// this `epoch`, and the packet is neither late nor after a long silence, shows nothing odd, takes no part in an
    /// exchange and fills no counter. The flow's verdict; none when nothing was done, and [`place`](Self::place) is to be
    /// asked.
    #[inline]
    pub fn pass(&mut self, slot: Slot, key: &FlowKey, now: Now, seen: &Sighting, epoch: u32) -> Option<u8> {
        let hot = self.hot.get_mut(slot.0 as usize)?;
        let silence = now.ts_ns.checked_sub(hot.last_ns);
        (silence.is_some_and(|silence| silence <= self.settled_ns) && hot.is(key) && hot.passes(seen, epoch))
            .then(|| {
                hot.last_ns = now.ts_ns;
                hot.verdict()
            })
    }

    /// The flow of `key`, begun if need be, and paired when it begins while its reverse is there. A flow that has been
    /// idle longer than its time-out ends here and its key begins anew, so that the answer does not depend on when a
    /// sweep came by. `finished` receives what ended. To be called for packets in their order.
    #[inline]
    pub fn place(
        &mut self,
        key: &FlowKey,
        candidates: Candidates,
        now: Now,
        finished: &mut impl FnMut(Finished),
    ) -> Placed {
        match self.search(key, candidates) {
            Some(slot) => self.again(slot, now, finished),
            None => self.insert(key, candidates, now, finished),
        }
    }

    /// As [`place`](Self::place), for a packet of the flow that lies at `slot`.
    #[inline]
    pub fn again(&mut self, slot: Slot, now: Now, finished: &mut impl FnMut(Finished)) -> Placed {
        let hot = &mut self.hot[slot.0 as usize];
        if now.ts_ns.saturating_sub(hot.last_ns) > self.settled_ns && hot.is_idle(&self.timeouts, now.ts_ns) {
            return self.renew(slot.0, now, finished);
        }
        if now.ts_ns < hot.last_ns {
            self.cold[slot.0 as usize].came_late(now);
        }
        hot.touch(now);
        Placed::Known(slot)
    }

    /// The flow of `key`, if it is there.
    pub fn find(&self, key: &FlowKey) -> Option<Slot> {
        self.search(key, self.candidates(key))
    }

    /// Whether the flow of `key` lies at `slot`.
    #[inline]
    pub fn holds(&self, slot: Slot, key: &FlowKey) -> bool {
        self.hot.get(slot.0 as usize).is_some_and(|hot| hot.is(key))
    }

    /// Both halves of a flow.
    #[inline]
    pub fn flow(&mut self, slot: Slot) -> Flow<'_> {
        let place = slot.0 as usize;
        Flow { hot: &mut self.hot[place], cold: &mut self.cold[place], rares: &mut self.rares, place }
    }

    /// Walks at most `steps` flows onward from where the last call stopped and ends those that were idle already
    /// [`REORDER_NS`] before `now_ns`, so that a packet that comes late by less still finds its flow.
    pub fn expire(&mut self, steps: u32, now_ns: u64, finished: &mut impl FnMut(Finished)) {
        let late = now_ns.saturating_sub(REORDER_NS);
        for _ in 0..steps.min(self.capacity) {
            let flow = self.sweep;
            self.sweep = if flow + 1 == self.capacity { 0 } else { flow + 1 };
            let Some(hot) = self.hot.get(flow as usize) else { continue };
            if !hot.is_free() && hot.is_idle(&self.timeouts, late) {
                self.counters.expired += 1;
                let ended = self.finish(flow, u64::MAX);
                self.release(flow, &ended.record.key);
                finished(ended);
            }
        }
    }

    /// How many places were used so far. Flows lie in these alone, not in each of them.
    pub fn places(&self) -> usize {
        self.hot.len()
    }

    /// Time and frame of the first packet of the flow at this place, if one lies there.
    pub fn begun(&self, place: usize) -> Option<(u64, u32)> {
        self.hot.get(place).filter(|hot| !hot.is_free())?;
        self.cold.get(place).map(Cold::begun)
    }

    /// The flow at this place as it is now, if one lies there.
    pub fn record(&self, place: usize) -> Option<FlowRecord> {
        let hot = self.hot.get(place).filter(|hot| !hot.is_free())?;
        self.cold.get(place).map(|cold| FlowRecord::of(hot, cold, &self.rares.of(place, cold)))
    }

    /// Asks for what [`record`](Self::record) reads.
    #[inline]
    pub fn prefetch_record(&self, place: usize) {
        prefetch(&self.hot, place);
        prefetch(&self.cold, place);
        self.rares.prefetch(place);
    }

    /// Flows held at most.
    pub const fn capacity(&self) -> u32 {
        self.capacity
    }

    /// Flows held now.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Follows the values that prove receipt: notes what the packet puts before the peer, and confirms the flow when the
    /// packet returns what the peer has put before it. To be called for the first packet of each flow and for those of
    /// which [`Flow::wants_exchange`] says so, in their order.
    pub fn exchange(&mut self, slot: Slot, seen: &Sighting) {
        let own = slot.0 as usize;
        if let Some(value) = seen.offers() {
            self.cold[own].mark(Mark::OFFERS);
            self.rares.change(own, &mut self.cold[own], |rare| rare.offer = value);
            if self.hot[own].has(State::PAIRED)
                && let Some(Slot(peer)) = self.find(&self.hot[own].key().reverse())
            {
                self.expect(peer as usize, value);
            }
        }
        if self.hot[own].awaits_echo() && seen.echoes() == Some(self.rares.of(own, &self.cold[own]).expected)
        {
            self.hot[own].set(State::CONFIRMED);
        }
    }

    /// From now on `flow`, unless it is confirmed already, is confirmed by returning `value`.
    fn expect(&mut self, flow: usize, value: u32) {
        self.rares.change(flow, &mut self.cold[flow], |rare| rare.expected = value);
        self.hot[flow].set(State::EXPECTS);
    }

    /// What was counted so far.
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    /// Memory held once every place has been used, in bytes.
    pub fn bytes(&self) -> usize {
        let halves = self.capacity as usize * (size_of::<Hot>() + size_of::<Cold>());
        self.index.bytes() + halves + self.rares.bytes()
    }

    #[inline]
    fn search(&self, key: &FlowKey, candidates: Candidates) -> Option<Slot> {
        self.index.find(candidates, |flow| self.hot[flow as usize].is(key)).map(Slot)
    }

    /// Ends an idle flow and begins its key anew in the same place.
    #[inline(never)]
    fn renew(&mut self, flow: u32, now: Now, finished: &mut impl FnMut(Finished)) -> Placed {
        let key = &self.hot[flow as usize].key();
        let peer = self.peer(key, self.candidates(key), now);
        self.counters.expired += 1;
        finished(self.finish(flow, u64::MAX));
        self.begin(flow, key, peer, now);
        Placed::New(Slot(flow))
    }

    #[inline(never)]
    fn insert(
        &mut self,
        key: &FlowKey,
        candidates: Candidates,
        now: Now,
        finished: &mut impl FnMut(Finished),
    ) -> Placed {
        let peer = self.peer(key, candidates, now);
        let vacancy = self.index.vacancy(candidates);
        let Some((place, flow)) = vacancy
            .and_then(|place| Some((place, self.take_free()?)))
            .or_else(|| self.make_room(candidates, now, finished))
        else {
            self.counters.refused += 1;
            return Placed::Refused;
        };
        self.index.set(place, candidates.tag, flow);
        self.begin(flow, key, peer, now);
        Placed::New(Slot(flow))
    }

    /// A place for a flow: one that became free again, or else the next that was never used. The one behind it is asked for,
    /// since the next new flow will be written there.
    fn take_free(&mut self) -> Option<u32> {
        let (flow, next) = match self.free {
            NONE => {
                let flow = self.take_unused()?;
                (flow, flow + 1)
            }
            flow => {
                self.free = self.hot[flow as usize].next_free();
                (flow, self.free)
            }
        };
        prefetch(&self.hot, next as usize);
        prefetch(&self.cold, next as usize);
        self.live += 1;
        Some(flow)
    }

    /// The first place that was never used, if one is left.
    fn take_unused(&mut self) -> Option<u32> {
        let flow = u32::try_from(self.hot.len()).ok().filter(|&flow| flow < self.capacity)?;
        self.hot.push(Hot::FREE);
        self.cold.push(Cold::default());
        Some(flow)
    }

    /// Ends the flow of the candidate buckets that makes room, if one may.
    fn make_room(
        &mut self,
        candidates: Candidates,
        now: Now,
        finished: &mut impl FnMut(Finished),
    ) -> Option<((u32, usize), u32)> {
        let victim = self.victim(candidates.buckets, now)?;
        let ended = if victim.lives { &mut self.counters.evicted } else { &mut self.counters.expired };
        *ended += 1;
        // A flow that is pushed out young had no time to be answered: a flood must not be held against it.
        finished(self.finish(victim.flow, if victim.lives { now.ts_ns } else { u64::MAX }));
        Some((victim.place, victim.flow))
    }

    /// The flow of these buckets that makes room, and whether it is over: one that a sweep would end, or by policy the
    /// unconfirmed one that has been quiet longest.
    fn victim(&self, buckets: [u32; 2], now: Now) -> Option<Victim> {
        let late = now.ts_ns.saturating_sub(REORDER_NS);
        let held =
            buckets.into_iter().flat_map(|b| self.index.flows(b).map(move |(way, flow)| ((b, way), flow)));
        let candidates = held.filter_map(|(place, flow)| {
            let hot = &self.hot[flow as usize];
            let lives = !hot.is_idle(&self.timeouts, late);
            let may_go = !lives || (self.full == FullPolicy::EvictUnconfirmed && !hot.is_confirmed());
            may_go.then_some(Victim { lives, last_ns: hot.last_ns, place, flow })
        });
        candidates.min()
    }

    /// The flow that a flow of `key` beginning now would answer, if it is there and not idle.
    #[inline]
    fn peer(&self, key: &FlowKey, candidates: Candidates, now: Now) -> Option<u32> {
        let Slot(peer) = self.search(&key.reverse(), candidates.of_answer())?;
        (!self.hot[peer as usize].is_idle(&self.timeouts, now.ts_ns)).then_some(peer)
    }

    fn begin(&mut self, flow: u32, key: &FlowKey, peer: Option<u32>, now: Now) {
        self.counters.created += 1;
        self.hot[flow as usize] = Hot::new(key, now);
        self.cold[flow as usize] = Cold::new(now);
        // The peer may have made room for this very flow.
        if let Some(peer) = peer.filter(|&p| p != flow) {
            self.pair(flow as usize, peer as usize);
        }
    }

    fn pair(&mut self, own: usize, peer: usize) {
        self.hot[own].set(State::PAIRED);
        self.hot[peer].set(State::PAIRED);
        self.cold[own].mark(Mark::ANSWERS);
        if self.cold[peer].has(Mark::OFFERS) {
            self.expect(own, self.rares.of(peer, &self.cold[peer]).offer);
        }
    }

    fn finish(&mut self, flow: u32, clock_ns: u64) -> Finished {
        self.flow(Slot(flow)).finish(clock_ns)
    }

    /// Takes a finished flow out of the index and puts it on the free chain.
    fn release(&mut self, flow: u32, key: &FlowKey) {
        self.index.remove(self.candidates(key), flow);
        self.hot[flow as usize] = Hot::FREE;
        self.hot[flow as usize].link_free(self.free);
        self.free = flow;
        self.live -= 1;
    }
}

/// A flow that may make room; the least goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Victim {
    lives: bool,
    last_ns: u64,
    /// Bucket and slot.
    place: (u32, usize),
    flow: u32,
}

/// The time and place of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Packet time, Unix nanoseconds.
    pub ts_ns: u64,
    /// Number of the frame in its source, from 1; the low 32 bits break ties of time in outputs.
    pub frame: u64,
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
