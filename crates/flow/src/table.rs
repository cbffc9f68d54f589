//! The flow table: fixed memory, bounded probes, lazy expiry.
//!
//! An index of 64-byte buckets points into two arrays of flows. A key has two candidate buckets of twelve slots, so a
//! look-up probes at most 24 slots whatever an attacker sends. A full table fills ten of thirteen slots, at which two
//! choices of twelve ways practically never fail to place a key; at ten of eleven, simulated, one key in some seventy did
//! from seven eighths of the capacity on. A flow is split in two: the 64-byte half that every packet touches, and the half
//! that only events touch.
//!
//! Bytes a flow: 64 + 56 + 64 · 1.3 / 12 = 127. Free flows are chained through the flows themselves.
//!
//! A caller may place a whole batch before it counts any of it. So whatever `place` decides rests on times and on what
//! `place` itself did, and where it would need what the batch has not counted yet it answers [`Placed::NextBatch`].

use core::hash::Hasher;
use core::mem::size_of;

use credence_wire::Header;

use crate::flow::{Cold, Finished, Flow, Hot, State, Timeouts};
use crate::hash::KeyedHash;
use crate::key::FlowKey;

/// Slots of a bucket.
const WAYS: usize = 12;
/// Slots probed at most for one key.
pub const PROBES_MAX: usize = 2 * WAYS;
/// Slots for ten flows.
const SLOTS_PER_TEN_FLOWS: usize = 13;
/// How late a packet may come, against the latest time seen, and still belong to its flow for certain.
pub const REORDER_NS: u64 = 10_000_000_000;
/// No flow: an empty slot, or the end of the free chain.
const NONE: u32 = u32::MAX;

/// One cache line of the index. A tag of 0 is an empty slot; tags 12 to 15 are never used.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
struct Bucket {
    tags: [u8; 16],
    flows: [u32; WAYS],
}

impl Bucket {
    const EMPTY: Self = Self { tags: [0; 16], flows: [NONE; WAYS] };

    /// A bit for each slot whose tag is `tag`.
    #[inline]
    fn matches(&self, tag: u8) -> u32 {
        let mut mask = 0;
        for (i, &t) in self.tags.iter().enumerate() {
            mask |= u32::from(t == tag) << i;
        }
        mask & ((1 << WAYS) - 1)
    }
}

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
    /// Flows held at most; memory is taken for all of them at the start.
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
    /// The answer rests on a flow that had a packet in this very batch, whose state is not settled before that packet
    /// is counted. The caller finishes the batch so far and asks again under the next batch number, so that the answer
    /// does not depend on where batches are cut. Since batch numbers wrap, this can come a second time in a row, also
    /// for the first packet of a batch.
    NextBatch,
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
    buckets: Box<[Bucket]>,
    hot: Box<[Hot]>,
    cold: Box<[Cold]>,
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
        let mut hot = vec![Hot::FREE; capacity as usize].into_boxed_slice();
        for (i, flow) in (0..capacity).zip(hot.iter_mut()) {
            flow.link_free(if i + 1 == capacity { NONE } else { i + 1 });
        }
        Self {
            buckets: vec![Bucket::EMPTY; buckets].into_boxed_slice(),
            hot,
            cold: vec![Cold::default(); capacity as usize].into_boxed_slice(),
            free: 0,
            live: 0,
            sweep: 0,
            full: config.full,
            timeouts: config.timeouts,
            settled_ns: config.timeouts.shortest(),
            hasher: KeyedHash::new(seed),
            counters: TableCounters::default(),
        }
    }

    /// The hash that [`place`](Self::place) and [`find`](Self::find) want, so that a batch can be hashed whole.
    #[inline]
    pub fn hash(&self, key: &FlowKey) -> u64 {
        let mut hasher = self.hasher.hasher();
        hasher.write_u128(key.src);
        hasher.write_u128(key.dst);
        hasher.write_u64(u64::from(key.proto) << 32 | u64::from(key.sport) << 16 | u64::from(key.dport));
        hasher.finish()
    }

    /// The flow of `key`, begun if need be, and paired when it begins while its reverse is there. A flow that has been
    /// idle longer than its time-out ends here and its key begins anew, so that the answer does not depend on when a
    /// sweep came by. `finished` receives what ended. To be called for packets in their order.
    #[inline]
    pub fn place(
        &mut self,
        key: &FlowKey,
        hash: u64,
        now: Now,
        finished: &mut impl FnMut(Finished),
    ) -> Placed {
        let Some(flow) = self.search(key, hash) else {
            return self.insert(key, hash, now, finished);
        };
        match self.idleness(flow, now.ts_ns, now.batch) {
            Idleness::Unsettled => Placed::NextBatch,
            Idleness::Idle => self.renew(flow, key, now, finished),
            Idleness::Active => {
                let hot = &mut self.hot[flow as usize];
                if now.ts_ns < hot.last_ns {
                    self.cold[flow as usize].came_late(now);
                }
                hot.touch(now);
                Placed::Known(Slot(flow))
            }
        }
    }

    /// The flow of `key`, if it is there.
    pub fn find(&self, key: &FlowKey) -> Option<Slot> {
        self.search(key, self.hash(key)).map(Slot)
    }

    /// Both halves of a flow.
    #[inline]
    pub fn flow(&mut self, slot: Slot) -> Flow<'_> {
        Flow { hot: &mut self.hot[slot.0 as usize], cold: &mut self.cold[slot.0 as usize] }
    }

    /// Walks at most `steps` flows onward from where the last call stopped and ends those that were idle already
    /// [`REORDER_NS`] before `now`, so that a packet that comes late by less still finds its flow.
    pub fn expire(&mut self, steps: u32, now: Now, finished: &mut impl FnMut(Finished)) {
        let late = now.ts_ns.saturating_sub(REORDER_NS);
        for _ in 0..steps.min(self.capacity()) {
            let flow = self.sweep;
            self.sweep = if flow + 1 == self.capacity() { 0 } else { flow + 1 };
            let is_idle = || self.idleness(flow, late, now.batch) == Idleness::Idle;
            if !self.hot[flow as usize].is_free() && is_idle() {
                self.counters.expired += 1;
                let ended = self.finish(flow, u64::MAX);
                self.release(flow, &ended.record.key);
                finished(ended);
            }
        }
    }

    /// Ends every flow, in the order of the table.
    pub fn drain(&mut self, finished: &mut impl FnMut(Finished)) {
        for flow in 0..self.capacity() {
            if !self.hot[flow as usize].is_free() {
                let ended = self.finish(flow, u64::MAX);
                self.release(flow, &ended.record.key);
                finished(ended);
            }
        }
    }

    /// Flows held at most.
    pub fn capacity(&self) -> u32 {
        // The length came from a u32.
        u32::try_from(self.hot.len()).unwrap_or(NONE)
    }

    /// Flows held now.
    pub fn live(&self) -> u32 {
        self.live
    }

    /// Follows the values that prove receipt: notes what the packet puts before the peer, and confirms the flow when the
    /// packet returns what the peer has put before it. To be called for the packets of which [`wants_exchange`] says so,
    /// in their order.
    ///
    /// [`wants_exchange`]: crate::wants_exchange
    pub fn exchange(&mut self, slot: Slot, header: &Header) {
        let own = slot.0 as usize;
        if let Some(value) = header.offers() {
            self.cold[own].offer = value;
            self.cold[own].offers = true;
            if self.hot[own].has(State::PAIRED)
                && let Some(Slot(peer)) = self.find(&self.hot[own].key().reverse())
            {
                self.expect(peer as usize, value);
            }
        }
        if self.hot[own].awaits_echo() && header.echoes() == Some(self.cold[own].expected) {
            self.hot[own].set(State::CONFIRMED);
        }
    }

    /// From now on `flow`, unless it is confirmed already, is confirmed by returning `value`.
    fn expect(&mut self, flow: usize, value: u32) {
        self.cold[flow].expected = value;
        self.hot[flow].set(State::EXPECTS);
    }

    /// What was counted so far.
    pub fn counters(&self) -> TableCounters {
        self.counters
    }

    /// Memory held, in bytes, the same from start to end.
    pub fn bytes(&self) -> usize {
        self.buckets.len() * size_of::<Bucket>() + self.hot.len() * (size_of::<Hot>() + size_of::<Cold>())
    }

    /// The two candidate buckets and the tag of a hash.
    #[inline]
    fn candidates(&self, hash: u64) -> ([usize; 2], u8) {
        let n = self.buckets.len() as u64;
        let range = |h: u64| (((h & 0xffff_ffff) * n) >> 32) as usize;
        let tag = ((hash >> 56) as u8).max(1);
        // The second choice must not follow from the first: another mix of all 64 bits.
        let second = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
        ([range(hash), range(second)], tag)
    }

    #[inline]
    fn search(&self, key: &FlowKey, hash: u64) -> Option<u32> {
        let (buckets, tag) = self.candidates(hash);
        for b in buckets {
            let bucket = &self.buckets[b];
            let mut mask = bucket.matches(tag);
            while mask != 0 {
                let flow = bucket.flows[mask.trailing_zeros() as usize];
                if self.hot[flow as usize].is(key) {
                    return Some(flow);
                }
                mask &= mask - 1;
            }
        }
        None
    }

    /// Ends an idle flow and begins its key anew in the same place.
    fn renew(&mut self, flow: u32, key: &FlowKey, now: Now, finished: &mut impl FnMut(Finished)) -> Placed {
        let Ok(peer) = self.peer(key, now) else { return Placed::NextBatch };
        self.counters.expired += 1;
        finished(self.finish(flow, u64::MAX));
        self.begin(flow, key, peer, now);
        Placed::New(Slot(flow))
    }

    fn insert(&mut self, key: &FlowKey, hash: u64, now: Now, finished: &mut impl FnMut(Finished)) -> Placed {
        let Ok(peer) = self.peer(key, now) else { return Placed::NextBatch };
        let (buckets, tag) = self.candidates(hash);
        let empty = buckets.map(|b| self.buckets[b].matches(0));
        let roomier = usize::from(empty[1].count_ones() > empty[0].count_ones());
        let (bucket, way, flow) = if self.free != NONE && empty[roomier] != 0 {
            let flow = self.free;
            self.free = self.hot[flow as usize].next_free();
            self.live += 1;
            (buckets[roomier], empty[roomier].trailing_zeros() as usize, flow)
        } else {
            let Some(victim) = self.victim(buckets, now) else {
                self.counters.refused += 1;
                return Placed::Refused;
            };
            let flow = self.buckets[victim.bucket].flows[victim.way];
            if self.hot[flow as usize].batch == now.batch {
                return Placed::NextBatch;
            }
            let ended = if victim.lives { &mut self.counters.evicted } else { &mut self.counters.expired };
            *ended += 1;
            // A flow that is pushed out young had no time to be answered: a flood must not be held against it.
            finished(self.finish(flow, if victim.lives { now.ts_ns } else { u64::MAX }));
            (victim.bucket, victim.way, flow)
        };
        self.buckets[bucket].tags[way] = tag;
        self.buckets[bucket].flows[way] = flow;
        self.begin(flow, key, peer, now);
        Placed::New(Slot(flow))
    }

    /// The flow of these buckets that makes room, and whether it is over: one that a sweep would end, or by policy the
    /// unconfirmed one that has been quiet longest.
    fn victim(&self, buckets: [usize; 2], now: Now) -> Option<Victim> {
        let late = now.ts_ns.saturating_sub(REORDER_NS);
        let mut victim: Option<Victim> = None;
        for bucket in buckets {
            for (way, &flow) in self.buckets[bucket].flows.iter().enumerate() {
                let Some(hot) = self.hot.get(flow as usize) else { continue };
                let idle = self.idleness(flow, late, now.batch);
                let lives = idle == Idleness::Active;
                let candidate = Victim { lives, last_ns: hot.last_ns, bucket, way };
                let may_go = !lives || (self.full == FullPolicy::EvictUnconfirmed && !hot.is_confirmed());
                if may_go && victim.is_none_or(|v| candidate < v) {
                    victim = Some(candidate);
                }
            }
        }
        victim
    }

    /// Whether a flow is idle at `ts_ns`, for a packet of this batch.
    #[inline]
    fn idleness(&self, flow: u32, ts_ns: u64, batch: u8) -> Idleness {
        let hot = &self.hot[flow as usize];
        if ts_ns.saturating_sub(hot.last_ns) <= self.settled_ns {
            Idleness::Active
        } else if hot.batch == batch {
            Idleness::Unsettled
        } else if hot.is_idle(&self.timeouts, ts_ns) {
            Idleness::Idle
        } else {
            Idleness::Active
        }
    }

    /// The flow that a flow of `key` beginning now would answer, if it is there and not idle; an error when that is not
    /// settled before this batch is counted.
    fn peer(&self, key: &FlowKey, now: Now) -> Result<Option<u32>, Unsettled> {
        let Some(Slot(peer)) = self.find(&key.reverse()) else { return Ok(None) };
        match self.idleness(peer, now.ts_ns, now.batch) {
            Idleness::Active => Ok(Some(peer)),
            Idleness::Idle => Ok(None),
            Idleness::Unsettled => Err(Unsettled),
        }
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
        self.cold[own].answers();
        if self.cold[peer].offers {
            self.expect(own, self.cold[peer].offer);
        }
    }

    fn finish(&mut self, flow: u32, clock_ns: u64) -> Finished {
        Flow { hot: &mut self.hot[flow as usize], cold: &mut self.cold[flow as usize] }.finish(clock_ns)
    }

    /// Takes a finished flow out of the index and puts it on the free chain.
    fn release(&mut self, flow: u32, key: &FlowKey) {
        let (buckets, _) = self.candidates(self.hash(key));
        for b in buckets {
            let bucket = &mut self.buckets[b];
            if let Some(way) = bucket.flows.iter().position(|&f| f == flow) {
                bucket.tags[way] = 0;
                bucket.flows[way] = NONE;
                break;
            }
        }
        self.hot[flow as usize] = Hot::FREE;
        self.hot[flow as usize].link_free(self.free);
        self.free = flow;
        self.live -= 1;
    }
}

/// Whether a flow is still going on at some time.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Idleness {
    Active,
    Idle,
    /// It depends on what packets of the open batch, not counted yet, do to the flow's state.
    Unsettled,
}

/// An answer that must wait for the next batch.
struct Unsettled;

/// A flow that may make room; the least goes first.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Victim {
    lives: bool,
    last_ns: u64,
    bucket: usize,
    way: usize,
}

/// The time and place of a packet.
#[derive(Clone, Copy, Debug, Default)]
pub struct Now {
    /// Packet time, Unix nanoseconds.
    pub ts_ns: u64,
    /// Number of the frame in its source, from 1; the low 32 bits break ties of time in outputs.
    pub frame: u64,
    /// Number of the batch; wraps.
    pub batch: u8,
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
