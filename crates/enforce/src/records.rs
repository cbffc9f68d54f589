//! The records in force, as the kernel's program reads them.
//!
//! There is room for two sets of records. The program reads one; the next is written beside it and swapped in by one
//! store, and the room of the last one is written to again only when every frame that was judged by it has left.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use credence_credit::{Cache, Measure};
use credence_memory::{Lines, Words};

use crate::abi::{Entry, HITS, MEASURE_WORDS};
use crate::clock::Moment;
use crate::control::Control;
use crate::grace;
use crate::limiters::Limiters;

/// Why records were not put in force. Those before stay.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The image is larger than the program was loaded for.
    #[error(
        "the records need {needed} lines of 64 bytes, and the program has room for {room}; raise `enforce.records`"
    )]
    Lines {
        /// Lines of the image.
        needed: usize,
        /// Lines of one set.
        room: usize,
    },
    /// There are more records than the program was loaded for.
    #[error("there are {needed} records, and the program has room for {room}; raise `enforce.records`")]
    Records {
        /// Records.
        needed: usize,
        /// Records of one set.
        room: usize,
    },
    /// The kernel does not say when its programs have left the records before.
    #[error("the kernel does not wait for its programs (membarrier): {0}; start it without `nohz_full`")]
    Grace(#[source] io::Error),
}

/// The records in force.
#[derive(Debug)]
pub struct Records {
    control: Arc<Control>,
    lines: Lines,
    measures: Words,
    limiters: Limiters,
    /// The score from which credit is good enough for an incentive.
    good_from: u16,
    /// Which of the two sets the program reads.
    active: usize,
}

impl Records {
    pub(crate) const fn new(
        control: Arc<Control>,
        lines: Lines,
        measures: Words,
        limiters: Limiters,
        good_from: u16,
    ) -> Self {
        Self { control, lines, measures, limiters, good_from, active: 1 }
    }

    /// Puts the records of `cache` in force, in the place of all before, and returns how many asked for a limiter and got none,
    /// since all are taken; those are observed only. To be called again when the wall clock was set.
    ///
    /// # Errors
    /// When there is no room, or the kernel does not let the room of the set before be used again.
    pub fn publish(&mut self, cache: &Cache, now: Moment) -> Result<usize, PublishError> {
        let image = cache.image();
        let (lines, records) = (self.lines.len() / 2, self.measures.len() / MEASURE_WORDS / 2);
        if image.len() > lines {
            return Err(PublishError::Lines { needed: image.len(), room: lines });
        }
        if cache.len() > records {
            return Err(PublishError::Records { needed: cache.len(), room: records });
        }
        let next = 1 - self.active;
        self.lines.overwrite(next * lines, image);
        let refused = self.write(cache, now, next * records);
        self.control.activate((next * lines) as u32, (next * records) as u32);
        self.active = next;
        grace::wait().map_err(PublishError::Grace)?;
        self.limiters.settle();
        Ok(refused)
    }
}

impl Records {
    /// Packets that a record ruled since it was published, by its number in the cache that was.
    pub fn hits(&self, number: u32) -> u64 {
        let first = self.active * (self.measures.len() / MEASURE_WORDS / 2);
        let word = (first + number as usize) * MEASURE_WORDS + HITS;
        self.measures.get(word).map_or(0, |word| word.load(Relaxed))
    }

    /// Writes the measures of all records from number `first` on, and returns how many got no limiter.
    fn write(&mut self, cache: &Cache, now: Moment, first: usize) -> usize {
        let mut refused = 0;
        self.limiters.begin();
        for (number, record) in cache.records().iter().enumerate() {
            let entry = cache.entry(number as u32);
            let mut measure = entry.allowed();
            let mut slot = None;
            if measure == Measure::RateLimit && entry.is_enforceable() {
                slot = self.limiters.of(record.prefix);
                if slot.is_none() {
                    measure = Measure::Observe;
                    refused += 1;
                }
            }
            let (bucket, generation) = slot.unwrap_or_default();
            let rank = if entry.is_enforceable() { entry.precedence() as u8 } else { 0 };
            let good = entry.is_enforceable()
                && entry.rating().score().is_some_and(|score| score.value() >= self.good_from);
            let expires_ns = now.boot_ns_of(entry.expires.into());
            let words =
                Entry { expires_ns, parent: entry.parent, rank, measure, good, bucket, generation }.words();
            let at = (first + number) * MEASURE_WORDS;
            for (cell, word) in self.measures[at..at + MEASURE_WORDS].iter().zip(words) {
                cell.store(word, Relaxed);
            }
        }
        refused
    }
}
