//! The records in force, as the kernel's program reads them.
//!
//! There is room for two sets of records. The program reads one; the next is written beside it and swapped in by one
//! store, and the room of the last one is written to again only when every frame that was judged by it has left.
//!
//! The set that the program reads can also be changed in place, record by record, in step with the cache that the packet path
//! walks: see [`Records::follow`]. A frame is judged by what held before such a change or by what holds after it, some
//! microseconds later.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;

use credence_credit::{Cache, Entry as Known, Follower, Keeper, Measure, Record};
use credence_memory::{Lines, Words};
use credence_prefix::{Elsewhere, Mirror, Prefix};

use crate::abi::{BYTES, EXPIRES, Entry, HITS, LIMITER, MEASURE_WORDS, PARENT, REFUSED};
use crate::clock::Moment;
use crate::control::Control;
use crate::grace;
use crate::limiters::{Asker, Limiters};

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
    lines: Arc<Lines>,
    measures: Words,
    limiters: Limiters,
    /// The score from which credit is good enough for an incentive.
    good_from: u16,
    /// Which of the two sets the program reads.
    active: usize,
    /// When the ends of records were last reckoned.
    moment: Moment,
    /// Records of the active set that asked for a limiter and got none; those are observed only.
    refused: usize,
    /// The program as a reader of the cache that is followed, if one is.
    program: Option<Elsewhere>,
    /// Subjects whose records the program may still be reading, and which are limited by them no more.
    leaving: Vec<Prefix>,
    /// Records that nobody finds any more, for whoever wants to know what met them.
    left: Vec<u32>,
}

/// Traffic that met a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Met {
    /// Packets.
    pub packets: u64,
    /// Bytes of those on the wire.
    pub bytes: u64,
}

impl Records {
    pub(crate) fn new(
        control: Arc<Control>,
        lines: Lines,
        measures: Words,
        limiters: Limiters,
        good_from: u16,
    ) -> Self {
        Self {
            control,
            lines: Arc::new(lines),
            measures,
            limiters,
            good_from,
            active: 1,
            moment: Moment::now(),
            refused: 0,
            program: None,
            leaving: Vec::new(),
            left: Vec::new(),
        }
    }

    /// Puts the records of `cache` in force, in the place of all before, and returns how many asked for a limiter and got none,
    /// since all are taken; those are observed only. To be called again when the wall clock was set.
    ///
    /// # Errors
    /// When there is no room, or the kernel does not let the room of the set before be used again.
    pub fn publish(&mut self, cache: &Cache, now: Moment) -> Result<usize, PublishError> {
        self.put(cache, now, |mirror| mirror.lines.overwrite(mirror.from, cache.image()))
    }

    /// As [`publish`](Self::publish), and from then on in step with the cache: this is to be handed to
    /// [`Keeper::apply`] with each change.
    ///
    /// # Errors
    /// As [`publish`](Self::publish).
    pub fn follow(&mut self, keeper: &mut Keeper, now: Moment) -> Result<usize, PublishError> {
        let (cache, program) = (Arc::clone(keeper.cache()), keeper.elsewhere());
        let mut is_mirrored = false;
        let refused = self.put(&cache, now, |mirror| is_mirrored = keeper.reflect(mirror))?;
        self.program = is_mirrored.then_some(program);
        Ok(refused)
    }

    /// Whether the set in force is in step with the cache that was followed last.
    pub const fn is_following(&self) -> bool {
        self.program.is_some()
    }

    /// Waits until the program reads nothing any more that was changed before, so that it can be used again. Takes some
    /// milliseconds; to be called now and then where a cache is followed.
    ///
    /// # Errors
    /// When the kernel does not say. From then on the cache is not followed, since nothing could be used again.
    pub fn settle(&mut self) -> Result<(), PublishError> {
        let Some(program) = &mut self.program else { return Ok(()) };
        if let Err(error) = program.outwait(grace::wait) {
            self.program = None;
            return Err(PublishError::Grace(error));
        }
        for subject in self.leaving.drain(..) {
            self.limiters.release(subject);
        }
        Ok(())
    }

    /// Records in force that asked for a limiter and got none.
    pub const fn refused(&self) -> usize {
        self.refused
    }

    /// What met a record's measure since it was published, by its number in the cache that was. Of an incentive that is what it
    /// bought.
    pub fn met(&self, number: u32) -> Met {
        self.met_in(self.active, number)
    }

    /// What met a record's measure in the set that was in force before the one that is, by its number in that cache. No frame is
    /// judged by it any more, and it stays until the next set is published.
    pub fn met_before(&self, number: u32) -> Met {
        self.met_in(1 - self.active, number)
    }

    fn met_in(&self, set: usize, number: u32) -> Met {
        if number as usize >= self.room() {
            return Met::default();
        }
        let words = self.words(set, number);
        Met { packets: words[HITS].load(Relaxed), bytes: words[BYTES].load(Relaxed) }
    }

    /// The records that nobody finds any more since this was asked last: what met them stands by their numbers until the next
    /// change.
    pub fn take_left(&mut self) -> Vec<u32> {
        std::mem::take(&mut self.left)
    }

    /// Records of one set.
    fn room(&self) -> usize {
        self.measures.len() / MEASURE_WORDS / 2
    }

    fn words(&self, set: usize, number: u32) -> &[AtomicU64] {
        &self.measures[(set * self.room() + number as usize) * MEASURE_WORDS..][..MEASURE_WORDS]
    }

    /// Writes all records beside those in force, with their image by `write`, and lets the program read them.
    fn put(&mut self, cache: &Cache, now: Moment, write: impl FnOnce(Mirror)) -> Result<usize, PublishError> {
        let (lines, records) = (self.lines.len() / 2, self.room());
        let (image, numbers) = (cache.image().len(), cache.numbers() as usize);
        if image > lines {
            return Err(PublishError::Lines { needed: image, room: lines });
        }
        if numbers > records {
            return Err(PublishError::Records { needed: numbers, room: records });
        }
        let next = 1 - self.active;
        write(Mirror { lines: Arc::clone(&self.lines), from: next * lines, room: lines });
        self.moment = now;
        self.limiters.begin();
        let mut refused = 0;
        for (number, record) in cache.iter() {
            refused += usize::from(self.write(next, number, record.prefix, cache.entry(number)));
        }
        self.control.activate((next * lines) as u32, (next * records) as u32);
        (self.active, self.refused) = (next, refused);
        // Whatever was followed stands in the other set, and must not be written into this one.
        self.program = None;
        self.leaving.clear();
        self.left.clear();
        grace::wait().map_err(PublishError::Grace)?;
        self.limiters.settle();
        Ok(refused)
    }

    /// Writes what the program reads of a record into a set; whether it asked for a limiter and got none.
    fn write(&mut self, set: usize, number: u32, subject: Prefix, known: Known) -> bool {
        let asker = if set == self.active { Asker::InForce } else { Asker::Next };
        let is_limited = known.allowed() == Measure::RateLimit && known.is_enforceable();
        let slot = if is_limited { self.limiters.of(subject, asker) } else { None };
        let refused = is_limited && slot.is_none();
        let (bucket, generation) = slot.unwrap_or_default();
        let entry = Entry {
            expires_ns: self.moment.boot_ns_of(known.expires().into()),
            parent: known.parent(),
            rank: if known.is_enforceable() { known.precedence() as u8 } else { 0 },
            measure: if refused { Measure::Observe } else { known.allowed() },
            good: known.is_enforceable()
                && known.rating().score().is_some_and(|score| score.value() >= self.good_from),
            refused,
            bucket,
            generation,
        };
        for (cell, word) in self.words(set, number).iter().zip(entry.words()) {
            cell.store(word, Relaxed);
        }
        refused
    }
}

/// In step with the cache: what a number stands for is written before the image leads to it.
impl Follower for Records {
    fn wrote(&mut self, number: u32, record: &Record, entry: Known) -> bool {
        let follows = self.program.is_some() && (number as usize) < self.room();
        if follows {
            self.refused += usize::from(self.write(self.active, number, record.prefix, entry));
        }
        follows
    }

    fn changed(&mut self, number: u32, entry: Known) {
        if self.program.is_none() {
            return;
        }
        let (words, ends) = (self.words(self.active, number), self.moment.boot_ns_of(entry.expires().into()));
        let upper = words[PARENT].load(Relaxed) >> 32 << 32;
        words[EXPIRES].store(ends, Relaxed);
        words[PARENT].store(upper | u64::from(entry.parent()), Relaxed);
    }

    fn left(&mut self, number: u32, prefix: Prefix) {
        if self.program.is_none() {
            return;
        }
        self.left.push(number);
        let words = self.words(self.active, number);
        let is_limited = words[LIMITER].load(Relaxed) >> 32 != 0;
        let was_refused = words[PARENT].load(Relaxed) & REFUSED != 0;
        self.refused -= usize::from(was_refused);
        if is_limited {
            self.leaving.push(prefix);
        }
    }

    /// What stands there stays as it is.
    fn lost(&mut self) {
        self.program = None;
    }

    fn rest(&mut self) -> bool {
        self.settle().is_ok()
    }
}
