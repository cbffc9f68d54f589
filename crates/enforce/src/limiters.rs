//! Limiters: a slot of the program's buckets for each subject whose rate is limited.
//!
//! A slot that is given to another subject gets another generation, and a record that still names the old one is not
//! limited by it: the budgets of two subjects never mix.

use std::collections::HashMap;
use std::sync::atomic::Ordering::Relaxed;

use credence_memory::Words;
use credence_prefix::Prefix;

/// Words of the structure `bucket`.
pub(crate) const BUCKET_WORDS: usize = 4;

const DUE: usize = 0;
const RATE: usize = 1;
const GENERATION: usize = 3;

/// What a limiter lets through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Bytes a second, at least 1.
    pub bytes_per_s: u64,
    /// Bytes that may come at once after a pause.
    pub burst_bytes: u64,
}

/// One mebibit a second, in bytes: enough for a mail or a complaint, and no flood. A burst of 64 KiB.
impl Default for Rate {
    fn default() -> Self {
        Self { bytes_per_s: 1 << 17, burst_bytes: 1 << 16 }
    }
}

impl Rate {
    /// The words of the structure `rate`.
    pub(crate) fn words(&self) -> [u64; 2] {
        [self.ns_of(1 << 20), self.ns_of(self.burst_bytes)]
    }

    /// Nanoseconds that so many bytes take.
    fn ns_of(&self, bytes: u64) -> u64 {
        let ns = u128::from(bytes) * 1_000_000_000 / u128::from(self.bytes_per_s.max(1));
        u64::try_from(ns).unwrap_or(u64::MAX)
    }
}

/// Whose slot is which.
#[derive(Debug)]
pub(crate) struct Limiters {
    buckets: Words,
    rate: Rate,
    held: HashMap<Prefix, Slot>,
    free: Vec<u32>,
}

/// One subject's slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: u32,
    generation: u32,
    /// Records that are limited by it, in the set that is in force and in the one that is being written.
    users: [u32; 2],
}

/// Which set of records a limiter is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asker {
    /// That in force.
    InForce,
    /// The one that is being written.
    Next,
}

impl Limiters {
    pub(crate) fn new(buckets: Words, rate: Rate) -> Self {
        let slots = (buckets.len() / BUCKET_WORDS) as u32;
        Self { buckets, rate, held: HashMap::new(), free: (0..slots).rev().collect() }
    }

    /// Begins a new set of records.
    pub(crate) fn begin(&mut self) {
        self.held.values_mut().for_each(|slot| slot.users[Asker::Next as usize] = 0);
    }

    /// The slot and generation for a subject, the one it has already if it has one, for one more record; none when all are
    /// taken.
    pub(crate) fn of(&mut self, subject: Prefix, asker: Asker) -> Option<(u32, u32)> {
        if let Some(slot) = self.held.get_mut(&subject) {
            slot.users[asker as usize] += 1;
            return Some((slot.at, slot.generation));
        }
        let at = self.free.pop()?;
        let words = &self.buckets[at as usize * BUCKET_WORDS..][..BUCKET_WORDS];
        let generation = (words[GENERATION].load(Relaxed) as u32).wrapping_add(1);
        words[DUE].store(0, Relaxed);
        for (cell, word) in words[RATE..].iter().zip(self.rate.words()) {
            cell.store(word, Relaxed);
        }
        words[GENERATION].store(generation.into(), Relaxed);
        let mut slot = Slot { at, generation, users: [0; 2] };
        slot.users[asker as usize] = 1;
        self.held.insert(subject, slot);
        Some((at, generation))
    }

    /// Says that one record less in force is limited by a subject's slot, and frees it after the last. To be called when the
    /// program reads that record no more.
    pub(crate) fn release(&mut self, subject: Prefix) {
        let Some(slot) = self.held.get_mut(&subject) else { return };
        let users = &mut slot.users[Asker::InForce as usize];
        *users = users.saturating_sub(1);
        if slot.users == [0; 2] {
            self.free.push(slot.at);
            self.held.remove(&subject);
        }
    }

    /// Takes the set that was written for the one in force, and frees the slots that it did not ask for. To be called when the
    /// program reads no other.
    pub(crate) fn settle(&mut self) {
        let free = &mut self.free;
        self.held.retain(|_, slot| {
            let users = slot.users[Asker::Next as usize];
            slot.users = [users, 0];
            if users == 0 {
                free.push(slot.at);
            }
            users > 0
        });
    }
}
