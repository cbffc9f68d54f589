//! Nested aggregates in fixed memory.

use core::hash::Hasher;
use core::ops::Range;

use credence_memory::{filled, prefetch};

use super::Level;
use super::aggregate::{Aggregate, Behaviour, Sketches};
use super::busy::Busy;
use super::delta::Delta;
use super::nesting::Nesting;
use super::notable::Notable;
use crate::hash::KeyedHash;

/// Aggregates of one set; a prefix has two candidate sets.
pub(super) const WAYS: usize = 4;
/// Prefixes whose lines of memory are on their way at a time.
pub(super) const BATCH: usize = 64;

/// Nested aggregates in fixed memory; of a full set the prefix that has sent least of late makes room, so that a flood of
/// new prefixes displaces itself and not what is known of busy ones.
pub struct Aggregates {
    /// The counters of each place; a set is as many places as it has ways.
    places: Box<[Aggregate]>,
    sketches: Box<[Sketches]>,
    /// Sixteen bits of the hash for each place of a set, 0 for an empty place. A look-up that does not find a prefix where
    /// it would lie best reads these eight bytes of each candidate set and then, nearly always, only an aggregate that
    /// is the right one.
    tags: Box<[[u16; WAYS]]>,
    busy: Busy,
    notable: Notable,
    hasher: KeyedHash,
    step: u32,
    displaced: u64,
}

/// Where a prefix may lie.
#[derive(Clone, Copy, Default)]
struct Candidates {
    sets: [u32; 2],
    tag: u16,
}

impl Candidates {
    /// Where the prefix lies if that place was free when it came: nearly always, in a table that is not full, so that one
    /// line is read and not three.
    #[inline]
    const fn first(self) -> usize {
        self.sets[0] as usize * WAYS + self.tag as usize % WAYS
    }

    /// The places of the set that the first place is in; they lie together.
    #[inline]
    fn first_set(self) -> Range<usize> {
        let set = self.sets[0] as usize * WAYS;
        set..set + WAYS
    }
}

/// Some of the candidate places.
struct Places {
    bits: u8,
    sets: [u32; 2],
}

impl Iterator for Places {
    type Item = usize;

    #[inline]
    fn next(&mut self) -> Option<usize> {
        let at = self.bits.trailing_zeros() as usize;
        let set = *self.sets.get(at / WAYS)?;
        self.bits &= self.bits - 1;
        Some(set as usize * WAYS + at % WAYS)
    }
}

/// Deltas on their way into the aggregates.
struct Batch {
    deltas: [(Delta, Candidates); BATCH],
    len: usize,
}

impl Aggregates {
    /// Room for at least `prefixes`, over all levels.
    pub fn new(prefixes: u32, seed: u64) -> Self {
        let sets = (prefixes as usize).div_ceil(WAYS).max(2);
        Self {
            places: filled(Aggregate::EMPTY, sets * WAYS),
            sketches: filled(Sketches::default(), sets * WAYS),
            tags: filled([0; WAYS], sets),
            busy: Busy::new(sets * WAYS),
            notable: Notable::new(),
            hasher: KeyedHash::new(seed),
            step: 0,
            displaced: 0,
        }
    }

    /// Forgets all prefixes and steps, whatever state they are in. Memory and what was counted stay.
    pub fn clear(&mut self) {
        self.places.fill(Aggregate::EMPTY);
        self.sketches.fill(Sketches::default());
        self.tags.fill([0; WAYS]);
        self.busy.restart(core::iter::empty());
        self.notable = Notable::new();
        self.step = 0;
    }

    /// Applies the merged deltas of a step and makes it the last closed one. `step` counts from 1 and never falls.
    ///
    /// `quiet` tells of what behaviour nothing is held against a source. It is remembered until the next step closes, and
    /// must not be taken back by decay: what is quiet stays so without traffic.
    pub fn close_step(&mut self, step: u32, merged: &[Delta], quiet: &impl Fn(Level, &Behaviour) -> bool) {
        self.step = step.max(self.step).max(1);
        let mut batch =
            Batch { deltas: [(Delta::none(Level::Host, 0), Candidates::default()); BATCH], len: 0 };
        let mut nesting = Nesting::default();
        for delta in merged {
            nesting.leave(Some(delta.prefix), |done| self.enter(done, &mut batch, quiet));
            if delta.level == Level::Host && self.concerns(delta) {
                self.enter(delta, &mut batch, quiet);
            }
            nesting.add(delta);
        }
        nesting.leave(None, |done| self.enter(done, &mut batch, quiet));
        self.apply(&mut batch, quiet);
        self.review(quiet);
        self.renew();
    }

    /// What the prefix of `addr` at `level` did up to the last closed step, if it is known.
    #[inline]
    pub fn behaviour(&self, level: Level, addr: u128) -> Option<Behaviour> {
        let prefix = level.prefix(addr);
        let place = self.find(level, prefix, self.candidates(level, prefix))?;
        Some(self.places[place].behaviour(&self.sketches[place], self.step))
    }

    /// Whether [`behaviour`](Self::behaviour) of this address is quiet or unknown at every level, as the last closed step
    /// was told what is quiet. False may be wrong, for about one address in a thousand; true never is.
    #[inline]
    pub fn is_quiet(&self, addr: u128) -> bool {
        !Level::ALL.into_iter().any(|level| {
            self.notable.has_any(level) && self.notable.may_hold(self.hash(level, level.prefix(addr)))
        })
    }

    /// Tells of each address whether packets from its site have crossed this gateway of late: if not, that it does not
    /// answer proves nothing, since the way back may lie elsewhere.
    pub(super) fn send(&self, addrs: &[u128], sends: &mut [bool]) {
        let mut sites = [(0, Candidates::default()); BATCH];
        for (addrs, sends) in addrs.chunks(BATCH).zip(sends.chunks_mut(BATCH)) {
            let sites = &mut sites[..addrs.len()];
            for (site, &addr) in sites.iter_mut().zip(addrs) {
                let prefix = Level::Site.prefix(addr);
                *site = (prefix, self.called(Level::Site, prefix));
            }
            sites.iter().for_each(|&(prefix, at)| self.call_tags(Level::Site, prefix, at));
            sites.iter().for_each(|&(prefix, at)| _ = self.call_tagged(Level::Site, prefix, at));
            for (&(prefix, at), sends) in sites.iter().zip(sends) {
                let known = self.find(Level::Site, prefix, at);
                *sends = known.is_some_and(|place| self.places[place].is_recent(self.step));
            }
        }
    }

    /// Prefixes that were forgotten while still active, for want of room.
    pub fn displaced(&self) -> u64 {
        self.displaced
    }

    /// Memory held, in bytes, the same from start to end.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.places)
            + size_of_val(&*self.sketches)
            + size_of_val(&*self.tags)
            + self.busy.bytes()
            + self.notable.bytes()
    }

    /// Finds out which prefixes are notable now: the others are quiet.
    fn review(&mut self, quiet: &impl Fn(Level, &Behaviour) -> bool) {
        let Self { places, sketches, notable, hasher, step, .. } = self;
        notable.review(places.len(), |place| {
            let (level, prefix) = places[place as usize].name()?;
            let did = places[place as usize].behaviour(&sketches[place as usize], *step);
            (!quiet(level, &did)).then(|| (level, hash_of(hasher, level, prefix)))
        });
    }

    /// Begins the filter of busy addresses anew when it is worth it.
    fn renew(&mut self) {
        let Self { places, busy, hasher, .. } = self;
        if busy.is_stale() {
            let hosts = places.iter().filter_map(Aggregate::name).filter(|name| name.0 == Level::Host);
            busy.restart(hosts.map(|(level, prefix)| hash_of(hasher, level, prefix)));
        }
    }

    /// Whether an address earns an aggregate of its own or may have one.
    #[inline]
    fn concerns(&self, delta: &Delta) -> bool {
        delta.is_busy() || self.busy.may_hold(self.hash(delta.level, delta.prefix))
    }

    #[inline]
    fn hash(&self, level: Level, prefix: u128) -> u64 {
        hash_of(&self.hasher, level, prefix)
    }

    #[inline]
    fn candidates(&self, level: Level, prefix: u128) -> Candidates {
        let hash = self.hash(level, prefix);
        let n = self.tags.len() as u64;
        let range = |h: u64| (((h & 0xffff_ffff) * n) >> 32) as u32;
        // The sets come from the high bits of both halves, the tag from another mix of all bits.
        let tag = (hash.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 48) as u16;
        Candidates { sets: [range(hash), range(hash >> 32)], tag: tag.max(1) }
    }

    /// The candidates, the first place called into the cache.
    #[inline]
    fn called(&self, level: Level, prefix: u128) -> Candidates {
        let at = self.candidates(level, prefix);
        prefetch(&self.places, at.first());
        at
    }

    /// Calls the tags of a prefix that is not in its first place, unless that is empty: then it is nowhere, since no
    /// place becomes empty again.
    #[inline]
    fn call_tags(&self, level: Level, prefix: u128, at: Candidates) {
        let first = &self.places[at.first()];
        if !first.is(level, prefix) && !first.is_empty() {
            at.sets.iter().for_each(|&set| prefetch(&self.tags, set as usize));
        }
    }

    /// Calls what lies in another place under the tag of this prefix. False when it is nowhere.
    #[inline]
    fn call_tagged(&self, level: Level, prefix: u128, at: Candidates) -> bool {
        let first = &self.places[at.first()];
        if first.is(level, prefix) || first.is_empty() {
            return !first.is_empty();
        }
        let other = self.with_tag(at, at.tag).next();
        other.inspect(|&place| prefetch(&self.places, place)).is_some()
    }

    /// The candidate places that hold this tag: a bit each, those of the first set first.
    #[inline]
    fn with_tag(&self, at: Candidates, tag: u16) -> Places {
        let of_set = |set: u32| {
            let ways = self.tags[set as usize].into_iter().enumerate();
            ways.fold(0, |bits, (way, held)| bits | u8::from(held == tag) << way)
        };
        let [first, second] = at.sets.map(of_set);
        Places { bits: first | second << WAYS, sets: at.sets }
    }

    #[inline]
    fn find(&self, level: Level, prefix: u128, at: Candidates) -> Option<usize> {
        let first = &self.places[at.first()];
        match () {
            () if first.is(level, prefix) => Some(at.first()),
            () if first.is_empty() => None,
            () => self.with_tag(at, at.tag).find(|&place| self.places[place].is(level, prefix)),
        }
    }

    /// Lets a delta into the batch, and applies the batch when it is full.
    #[inline]
    fn enter(&mut self, delta: &Delta, batch: &mut Batch, quiet: &impl Fn(Level, &Behaviour) -> bool) {
        batch.deltas[batch.len] = (*delta, self.called(delta.level, delta.prefix));
        batch.len += 1;
        if batch.len == BATCH {
            self.apply(batch, quiet);
        }
    }

    /// Calls all lines that the batch needs, then adds each delta to its aggregate.
    fn apply(&mut self, batch: &mut Batch, quiet: &impl Fn(Level, &Behaviour) -> bool) {
        let deltas = &batch.deltas[..core::mem::take(&mut batch.len)];
        deltas.iter().for_each(|(delta, at)| self.call_tags(delta.level, delta.prefix, *at));
        for (delta, at) in deltas {
            if !self.call_tagged(delta.level, delta.prefix, *at) && earns_one(delta) {
                self.call_room(*at);
            }
        }
        for (delta, at) in deltas {
            self.update(delta, *at, quiet);
        }
    }

    /// Calls the place that a newcomer will take: an empty one, or else the set of which one makes room.
    #[inline]
    fn call_room(&self, at: Candidates) {
        match self.with_tag(at, 0).next() {
            _ if self.places[at.first()].is_empty() => {}
            Some(empty) => prefetch(&self.places, empty),
            None => at.first_set().for_each(|place| prefetch(&self.places, place)),
        }
    }

    #[inline]
    fn update(&mut self, delta: &Delta, at: Candidates, quiet: &impl Fn(Level, &Behaviour) -> bool) {
        let place = match self.find(delta.level, delta.prefix, at) {
            Some(place) => place,
            None if earns_one(delta) => self.make_room(delta, at),
            None => return,
        };
        let (aggregate, sketches) = (&mut self.places[place], &mut self.sketches[place]);
        aggregate.add(delta, sketches, self.step);
        if !quiet(delta.level, &aggregate.latest(sketches)) {
            self.notable.note(place);
        }
    }

    /// Makes the first place the delta's if it is empty, or else another empty one, or else that of the prefix of the first
    /// set that has sent least of late. Looking for it in both sets as well cost an overfull table a quarter more time.
    fn make_room(&mut self, delta: &Delta, at: Candidates) -> usize {
        let first = Some(at.first()).filter(|&place| self.places[place].is_empty());
        let lightest = || at.first_set().min_by_key(|&place| self.places[place].weight(self.step));
        let place = first.or_else(|| self.with_tag(at, 0).next()).or_else(lightest).unwrap_or_default();
        let old = &mut self.places[place];
        self.displaced += u64::from(!old.is_empty() && old.is_recent(self.step));
        if old.name().is_some_and(|name| name.0 == Level::Host) {
            self.busy.leave();
        }
        *old = Aggregate::new(delta.level, delta.prefix, self.step);
        self.tags[place / WAYS][place % WAYS] = at.tag;
        if delta.level == Level::Host {
            self.busy.insert(self.hash(delta.level, delta.prefix));
        }
        place
    }
}

/// Whether what a prefix does is enough for an aggregate of its own.
#[inline]
const fn earns_one(delta: &Delta) -> bool {
    !matches!(delta.level, Level::Host) || delta.is_busy()
}

#[inline]
fn hash_of(hasher: &KeyedHash, level: Level, prefix: u128) -> u64 {
    let mut hasher = hasher.hasher();
    hasher.write_u128(prefix);
    hasher.write_u8(level as u8);
    hasher.finish()
}

#[cfg(test)]
#[path = "../source_tests/aggregates.rs"]
mod tests;
