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
    /// How often limiters were asked for by a set of records.
    round: u64,
}

/// One subject's slot.
#[derive(Clone, Copy, Debug)]
struct Slot {
    at: u32,
    generation: u32,
    /// The last round in which it was asked for.
    round: u64,
}

impl Limiters {
    pub(crate) fn new(buckets: Words, rate: Rate) -> Self {
        let slots = (buckets.len() / BUCKET_WORDS) as u32;
        Self { buckets, rate, held: HashMap::new(), free: (0..slots).rev().collect(), round: 0 }
    }

    /// Begins a new set of records.
    pub(crate) const fn begin(&mut self) {
        self.round += 1;
    }

    /// The slot and generation for a subject, the one it has already if it has one; none when all are taken.
    pub(crate) fn of(&mut self, subject: Prefix) -> Option<(u32, u32)> {
        if let Some(slot) = self.held.get_mut(&subject) {
            slot.round = self.round;
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
        self.held.insert(subject, Slot { at, generation, round: self.round });
        Some((at, generation))
    }

    /// Frees the slots that the present set did not ask for. To be called when the program reads no other.
    pub(crate) fn settle(&mut self) {
        let (round, free) = (self.round, &mut self.free);
        self.held.retain(|_, slot| {
            let stays = slot.round == round;
            if !stays {
                free.push(slot.at);
            }
            stays
        });
    }
}
