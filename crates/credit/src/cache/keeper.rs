//! Changing a cache while it is read.
//!
//! The control plane holds the trie of all prefixes and knows which records there are about each. A change writes the new
//! records into slots that nobody reads, lets the table lead to them with one word, gives those further in their new parents,
//! and takes what is gone out of reach; its slots are used again when all who were reading have ended. So a packet is judged by
//! what held before a change or by what holds after it, each of many changes is seen within microseconds of being made,
//! and nobody waits.

mod amend;
mod changes;
mod foresee;
mod tally;

use core::mem;
use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering::{Relaxed, Release};

pub use amend::{Amended, Amendment};
pub use changes::Changes;
use credence_memory::prefetch;
use credence_prefix::{Elsewhere, Mirror, NO_MATCH, Prefix, Publisher};

use self::changes::Change;
use self::tally::Tally;
use super::build::Merged;
use super::published::Shared;
use super::{Cache, CacheError, Entry, Published, link};
use crate::{Guarded, Guards, RECORDS_MAX, Record, Snapshot, both};

/// How much of the table may wait while changes are made: some thousands of them, half of what there is room for beside a small
/// table.
const WAITING_MAX: usize = 1 << 20;

/// Numbers beyond a quarter more than there are records at first. Only what is written to is memory.
const ROOM: usize = 1 << 16;

/// The control plane's end of a cache: its trie, and which of its numbers are in use.
#[derive(Debug)]
pub struct Keeper {
    published: Published,
    publisher: Publisher,
    cache: Shared<Cache>,
    /// By number: the record about the same prefix that is heard next, or [`NO_MATCH`].
    next: Vec<u32>,
    /// Numbers that nobody can be reading by.
    free: Vec<u32>,
    /// Numbers that somebody may still be reading by, with the epoch in which they went out of reach.
    leaving: VecDeque<(u64, u32)>,
    tally: Tally,
    /// Stands for what the cache says: another one once it says something else.
    said: Arc<()>,
    scratch: Scratch,
}

/// Memory that changes use one after the other.
#[derive(Debug, Default)]
struct Scratch {
    /// The numbers of the records that there are about a prefix, until they are found to stay.
    before: Vec<u32>,
    /// Those of the records that there are to be.
    numbers: Vec<u32>,
    /// Which of those are new, by their places.
    fresh: Vec<usize>,
}

/// Somebody who keeps what the entries say once more, by the same numbers: for the kernel's program. Told in an order in which each
/// step can be seen by those who read there.
pub trait Follower {
    /// A record is about to be found by a number by which nobody could find one. Returns whether that can be followed; where it
    /// cannot, the table is not mirrored any more.
    fn wrote(&mut self, number: u32, record: &Record, entry: Entry) -> bool;

    /// A record has another end or another parent.
    fn changed(&mut self, number: u32, entry: Entry);

    /// Nobody who begins to read from now on finds the record about `prefix` of that number.
    fn left(&mut self, number: u32, prefix: Prefix);

    /// The table is not mirrored any more, and what comes is not to be followed.
    fn lost(&mut self);

    /// Much is out of reach and waits to be used again: a good moment to find out whether those who read elsewhere have moved
    /// on. Returns whether that can be found out; where it cannot, the table is not mirrored any more.
    fn rest(&mut self) -> bool;
}

/// Nobody follows.
impl Follower for () {
    fn wrote(&mut self, _: u32, _: &Record, _: Entry) -> bool {
        true
    }

    fn changed(&mut self, _: u32, _: Entry) {}
    fn left(&mut self, _: u32, _: Prefix) {}
    fn lost(&mut self) {}

    fn rest(&mut self) -> bool {
        true
    }
}

/// Why changes could not be made. A cache that is built anew can say what was to be said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotChanged {
    /// There is no room. Some of the changes may have been made.
    #[error("the cache has no room left for so many changes")]
    Crowded,
    /// They were found for another cache, or before this one was changed otherwise. None was made.
    #[error("the cache has changed since it was found what is to change in it")]
    Outdated,
}

impl Keeper {
    /// The keeper of a cache of these snapshots, as [`Cache::build`] makes it, with room to grow by a quarter. It is not yet
    /// published.
    ///
    /// # Errors
    /// As [`Cache::build`].
    pub fn build(
        published: &Published,
        snapshots: Vec<Snapshot>,
        guards: &Guards,
    ) -> Result<Self, CacheError> {
        let merged = Merged::of(snapshots, guards, |records| records + records / 4 + ROOM)?;
        let ((next, tally), publisher) = both(
            || {
                merged.link();
                (merged.next(), Tally::of(&merged))
            },
            || Publisher::sharing(published.epochs(), merged.firsts()),
        );
        let publisher = publisher?;
        let cache = Shared::new(merged.into_cache(Arc::clone(publisher.shared())));
        let (free, leaving) = (Vec::new(), VecDeque::new());
        let (published, said, scratch) = (published.clone(), Arc::default(), Scratch::default());
        Ok(Self { published, publisher, cache, next, free, leaving, tally, said, scratch })
    }

    /// Publishes the cache in the place of the one before, whole, and returns its generation.
    pub fn publish(&self) -> u32 {
        self.published.put(Shared::clone(&self.cache))
    }

    /// The cache.
    pub const fn cache(&self) -> &Shared<Cache> {
        &self.cache
    }

    /// Keeps the image of the look-up in step in `mirror` from now on; see [`Publisher::reflect`].
    pub fn reflect(&mut self, mirror: Mirror) -> bool {
        self.publisher.reflect(mirror)
    }

    /// Whoever walks a mirror, as a reader of the cache. To be asked for before [`reflect`](Self::reflect).
    pub fn elsewhere(&self) -> Elsewhere {
        self.published.epochs().elsewhere()
    }

    /// Whether a mirror is in step.
    pub const fn is_mirrored(&self) -> bool {
        self.publisher.is_mirrored()
    }

    /// Whether anything waits until nobody can be reading it any more.
    pub fn waits(&self) -> bool {
        !self.leaving.is_empty() || self.publisher.waiting_bytes() > 0
    }

    /// The memory held, in bytes: the cache's, and what the control plane keeps beside it.
    pub fn bytes(&self) -> usize {
        self.cache.bytes() + self.publisher.trie().bytes() + self.next.len() * size_of::<u32>()
    }

    /// Frees what nobody can be reading any more; returns how many records still wait for that. To be called now and then.
    pub fn reclaim(&mut self) -> usize {
        self.publisher.reclaim();
        // All that was retired before is out of reach: a later epoch begins here.
        let oldest = self.published.epochs().advance();
        while let Some((_, number)) = self.leaving.pop_front_if(|(epoch, _)| *epoch < oldest) {
            self.free.push(number);
        }
        self.leaving.len()
    }

    /// Makes changes, each of which is seen whole or not at all; `follower` is told of every step. All flows look their sources up
    /// again afterwards, if there were changes. Takes a microsecond or two for each record that comes or goes, and some
    /// nanoseconds for each that lies inside a changed prefix.
    ///
    /// # Errors
    /// When there is no room, or the cache has changed since the changes were found.
    pub fn apply(&mut self, changes: Changes, follower: &mut dyn Follower) -> Result<(), NotChanged> {
        if !Arc::ptr_eq(&changes.to, &self.said) {
            return Err(NotChanged::Outdated);
        }
        self.said = Arc::default();
        self.reclaim();
        // Before a record names one of them.
        if let Some(issuers) = changes.issuers {
            self.cache.issuers.store(issuers);
        }
        let (mut around, mut waiting_max) = (Vec::new(), WAITING_MAX);
        let mut gone = Vec::with_capacity(changes.list.len());
        // Those made that cover the next, from the widest on.
        let mut covers: Vec<Prefix> = Vec::with_capacity(129);
        let made = changes.list.iter().enumerate().try_for_each(|(at, change)| {
            if at % Publisher::WINDOW == 0 {
                self.look_ahead(&changes.list[at..]);
            }
            while covers.pop_if(|cover| !cover.covers(change.prefix)).is_some() {}
            // What was the nearest cover when the changes were found is it still, unless one of them was further out.
            let cover = if covers.is_empty() { change.was.cover } else { self.cover(change.prefix) };
            covers.push(change.prefix);
            if change.was.is_outer {
                around.push(change.prefix);
            }
            self.change(change, cover, &mut gone, follower)?;
            if self.publisher.waiting_bytes() > waiting_max {
                if !follower.rest() {
                    self.publisher.part();
                    follower.lost();
                }
                self.publisher.reclaim();
                // A reader that stands still is not asked again after each change.
                waiting_max = WAITING_MAX + self.publisher.waiting_bytes();
            }
            Ok(())
        });
        // Also after a change that could not be made: those before it stand.
        self.relink(&around, follower);
        self.cache.sources.store(changes.sources);
        if !changes.list.is_empty() {
            self.settle(&gone, follower);
        }
        made
    }

    /// Asks for what the next changes need, so that they wait for it together.
    fn look_ahead(&self, changes: &[Change]) {
        let next = &changes[..changes.len().min(Publisher::WINDOW)];
        self.publisher
            .look_ahead(next.iter().filter(|change| !change.lengthens()).map(|change| change.prefix));
        for Change { was, .. } in next {
            [was.first, was.cover].into_iter().for_each(|number| self.ask(number));
        }
        self.free.iter().rev().take(next.len()).for_each(|&number| self.ask(number));
    }

    /// Asks for all that there is about the record of a number; for nothing with [`NO_MATCH`].
    fn ask(&self, number: u32) {
        if number != NO_MATCH {
            self.cache.slots.ask(number);
            prefetch(&self.next, number as usize);
        }
    }

    /// Makes one change to a prefix whose nearest cover has `cover` for its first record, and notes what is gone.
    fn change(
        &mut self,
        change: &Change,
        cover: u32,
        gone: &mut Vec<(u32, Prefix)>,
        follower: &mut dyn Follower,
    ) -> Result<(), NotChanged> {
        let Change { prefix, was, records, weighs } = change;
        let prefix = *prefix;
        if let ([(record, _)], true) = (&records[..], change.lengthens()) {
            let number = was.first;
            self.cache.slots.extend(number, record.expires);
            self.tally.weigh(prefix, was.weighed, *weighs);
            // What is further out and ends before it means nothing any more.
            link::link(&self.cache.slots, [number].into_iter(), cover, |_| {});
            follower.changed(number, self.cache.entry(number));
            return Ok(());
        }
        let mut scratch = mem::take(&mut self.scratch);
        let made = self.exchange(change, cover, &mut scratch, follower);
        if made.is_ok() {
            self.tally.weigh(prefix, was.weighed, *weighs);
            let before = scratch.before.iter().zip(&was.records);
            for (&number, (_, guarded)) in before.filter(|(number, _)| **number != NO_MATCH) {
                self.count(*guarded, false);
                self.cache.slots.leave(number);
                gone.push((number, prefix));
            }
        }
        self.scratch = scratch;
        made
    }

    /// Lets look-ups find these records about a prefix and not those before. What has gone is left in `scratch.before`, in the places
    /// that it had, where [`NO_MATCH`] stands for what stays.
    fn exchange(
        &mut self,
        Change { prefix, was, records, .. }: &Change,
        cover: u32,
        scratch: &mut Scratch,
        follower: &mut dyn Follower,
    ) -> Result<(), NotChanged> {
        let Scratch { before, numbers, fresh } = scratch;
        before.clear();
        before.extend(self.behind(was.first));
        numbers.clear();
        fresh.clear();
        for (place, told) in records.iter().enumerate() {
            let stays =
                was.records.iter().zip(&*before).position(|(own, number)| *number != NO_MATCH && own == told);
            numbers.push(match stays {
                Some(at) => mem::replace(&mut before[at], NO_MATCH),
                None => {
                    let number = self.number().ok_or(NotChanged::Crowded)?;
                    let (record, guarded) = told;
                    self.cache.slots.write(number, record, *guarded);
                    self.count(*guarded, true);
                    fresh.push(place);
                    number
                }
            });
        }
        let fresh = fresh.iter().map(|&place| (numbers[place], &records[place].0));
        self.lead_to(*prefix, cover, numbers, fresh, follower)
    }

    /// Lets look-ups find these records about a prefix, of which the fresh ones are new.
    fn lead_to<'r>(
        &mut self,
        prefix: Prefix,
        cover: u32,
        numbers: &[u32],
        mut fresh: impl Iterator<Item = (u32, &'r Record)>,
        follower: &mut dyn Follower,
    ) -> Result<(), NotChanged> {
        for (at, &number) in numbers.iter().enumerate() {
            self.next[number as usize] = numbers.get(at + 1).copied().unwrap_or(NO_MATCH);
        }
        let slots = &self.cache.slots;
        // Those that stay lead on to the new ones as soon as these are linked, so the new ones are told first.
        let is_room = fresh.all(|(number, record)| follower.wrote(number, record, slots.entry(number)));
        if !numbers.is_empty() {
            link::link(slots, numbers.iter().rev().copied(), cover, |number| {
                follower.changed(number, slots.entry(number));
            });
        }
        let was_mirrored = self.publisher.is_mirrored();
        if !is_room {
            self.publisher.part();
        }
        match numbers.first() {
            Some(&first) => drop(self.publisher.insert_near(prefix, first).map_err(|_| NotChanged::Crowded)?),
            None => drop(self.publisher.remove_near(prefix)),
        }
        if was_mirrored && !self.publisher.is_mirrored() {
            follower.lost();
        }
        Ok(())
    }

    /// Gives all records inside of these prefixes, which are in order, their parents.
    fn relink(&self, prefixes: &[Prefix], follower: &mut dyn Follower) {
        let mut outermost: Option<Prefix> = None;
        for &prefix in prefixes {
            if outermost.is_some_and(|outermost| outermost.covers(prefix)) {
                continue;
            }
            outermost = Some(prefix);
            // Those about the prefix itself have theirs: what covers it was changed before it.
            let mut own = self.publisher.trie().covered_by(prefix).peekable();
            let itself = own.next_if(|(own, _)| *own == prefix).map(|(_, &first)| first);
            if own.peek().is_none() {
                continue;
            }
            let outer = itself.unwrap_or_else(|| self.cover(prefix));
            let mut covers: Vec<(Prefix, u32)> = Vec::with_capacity(129);
            for (inside, &first) in own {
                while covers.last().is_some_and(|(cover, _)| !cover.covers(inside)) {
                    covers.pop();
                }
                let outer = covers.last().map_or(outer, |&(_, first)| first);
                let numbers: Vec<u32> = self.behind(first).collect();
                link::link(&self.cache.slots, numbers.into_iter().rev(), outer, |number| {
                    follower.changed(number, self.cache.entry(number));
                });
                covers.push((inside, first));
            }
        }
    }

    /// Tells all who read that something has changed, and lets what is gone wait until they have seen it.
    fn settle(&mut self, gone: &[(u32, Prefix)], follower: &mut dyn Follower) {
        if Arc::ptr_eq(self.publisher.shared(), &self.cache.table) {
            self.cache.generation.store(self.cache.generation().wrapping_add(1), Release);
        } else {
            // The table has outgrown its address space: the same records, by another one.
            self.cache = Shared::new(self.cache.with_table(Arc::clone(self.publisher.shared())));
            self.publish();
        }
        let epoch = self.published.epochs().now();
        for &(number, prefix) in gone {
            follower.left(number, prefix);
            self.leaving.push_back((epoch, number));
        }
    }

    /// The first record about the nearest prefix further out, or [`NO_MATCH`].
    fn cover(&self, prefix: Prefix) -> u32 {
        let covering = self.publisher.trie().covering_prefix(prefix);
        let further_out = covering.take_while(|(cover, _)| *cover != prefix);
        further_out.last().map_or(NO_MATCH, |(_, &first)| first)
    }

    /// The number of the record about exactly this prefix that is heard first, or [`NO_MATCH`].
    fn first(&self, prefix: Prefix) -> u32 {
        self.publisher.trie().get(prefix).copied().unwrap_or(NO_MATCH)
    }

    /// A record and those about the same prefix that are heard later; none for [`NO_MATCH`].
    fn behind(&self, first: u32) -> impl Iterator<Item = u32> + use<'_> {
        let is_one = |number: &u32| *number != NO_MATCH;
        core::iter::successors(Some(first).filter(is_one), move |&number| {
            Some(self.next[number as usize]).filter(is_one)
        })
    }

    /// A record and those about the same prefix that are heard later, with what the guards say of them; none for [`NO_MATCH`].
    fn records_from(&self, first: u32) -> impl Iterator<Item = (Record, Guarded)> + use<'_> {
        self.behind(first).map(|number| (self.cache.record(number), self.cache.entry(number).guarded()))
    }

    /// The records about exactly this prefix with what the guards say of them, from the one that is heard first.
    fn about(&self, prefix: Prefix) -> impl Iterator<Item = (Record, Guarded)> + use<'_> {
        self.records_from(self.first(prefix))
    }

    /// Whether a record says that, and the guards the same of it.
    fn says(&self, number: u32, record: &Record, guarded: Guarded) -> bool {
        self.cache.entry(number).guarded() == guarded && self.cache.record(number) == *record
    }

    /// A number for another record, if there is one.
    fn number(&mut self) -> Option<u32> {
        if let Some(number) = self.free.pop() {
            return Some(number);
        }
        let number = self.cache.numbers();
        let is_room = (number as usize) < self.cache.slots.room().min(RECORDS_MAX);
        is_room.then(|| {
            self.next.push(NO_MATCH);
            number
        })
    }

    /// Counts a record that has come or gone.
    fn count(&self, guarded: Guarded, has_come: bool) {
        let kept = match guarded {
            Guarded::Enforce => None,
            Guarded::Keep(reason) => Some(&self.cache.kept[reason as usize]),
        };
        let (len, by) = (self.cache.len(), usize::from(has_come));
        self.cache.len.store(len + by - usize::from(!has_come), Relaxed);
        if let Some(kept) = kept {
            kept.store(kept.load(Relaxed) + by as u64 - u64::from(!has_come), Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;
