//! All rows of one issuer, with a digest that follows changes.
//!
//! Rows lie in pages by a hash of their prefix, some sixteen to a page, and the digest is one over the pages' digests. So the digest
//! of a shard of a million rows after ten thousand changes takes ten thousand pages to hash and not all rows.

mod page;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use credence_credit::{ActRef, RECORDS_MAX};
use credence_law::layout::in_order;
use sha2::{Digest, Sha256};

use self::page::{Page, Written};
use crate::reject::Reject;
use crate::row::{Key, Row, page};

/// Rows to a page, about.
const PAGE_ROWS: usize = 16;
/// The most pages of a shard, as a power of two: enough for all records that a gateway takes.
pub const BITS_MAX: u8 = 20;
/// How many changes are noted with what they lead to, whatever the size, and beyond that the part of all rows: until they are settled
/// they take three times the memory of rows.
const NOTED_ALWAYS: usize = 1 << 14;
const NOTED_SHARE: usize = 8;
/// What a digest begins with, so that it is the digest of nothing else.
const DOMAIN: &[u8; 16] = b"credence shard 1";

/// All rows of one issuer.
#[derive(Clone, Debug)]
pub struct Shard {
    bits: u8,
    count: u32,
    /// Shared with older states where nothing has changed.
    pages: Arc<Pages>,
}

/// All pages, shared as a whole with copies.
#[derive(Debug)]
struct Pages {
    pages: Vec<Page>,
    /// Of each page the SHA-256 of its rows: one behind the other, since all are read for one digest.
    digests: Vec<[u8; 32]>,
    /// Of each page the end of the row that ends first, in Unix seconds.
    soonest: Vec<u64>,
    /// Where these came from, until somebody has used it.
    since: Mutex<Option<Since>>,
}

/// From which pages others were made, and what is another in them.
#[derive(Debug)]
struct Since {
    before: Weak<Pages>,
    found: Arc<Vec<Differing>>,
}

/// What two shards say of a key of which they say different things: the one, and the other.
pub(crate) type Differing = (Option<Row>, Option<Row>);

/// What leads from one shard to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that are new, or say something else, in the order of their keys.
    pub put: Vec<Row>,
    /// Rows that are there no more, in order.
    pub gone: Vec<Key>,
}

impl Changes {
    fn of(differing: &[Differing]) -> Self {
        let mut changes = Self::default();
        for (before, after) in differing {
            match (before, after) {
                (_, Some(after)) => changes.put.push(after.clone()),
                (before, None) => changes.gone.extend(before.as_ref().map(Row::key)),
            }
        }
        changes.put.sort_unstable_by_key(Row::key);
        changes.gone.sort_unstable();
        changes
    }
}

/// One without rows.
impl Default for Shard {
    fn default() -> Self {
        Self::of(0, 0, vec![Page::empty()])
    }
}

impl Shard {
    /// The shard of these rows, in as many pages as suit their number.
    ///
    /// # Errors
    /// When they are not in the order of their keys, each once, or too many.
    pub fn new(rows: &[Row]) -> Result<Self, Reject> {
        let bits = suits(rows.len());
        Self::in_pages(rows, bits)
    }

    /// The shard of these rows in 2^`bits` pages.
    ///
    /// # Errors
    /// When they are not in the order of their keys, each once, or too many, or fewer than pages.
    pub fn in_pages(rows: &[Row], bits: u8) -> Result<Self, Reject> {
        in_order(rows, Row::key).map_err(|_| Reject::Order)?;
        let count = within(rows.len(), bits)?;
        // Where in the order of pages each page's rows begin, and then the rows by page: stable, so that each page is in order as well.
        let mut ends = vec![0_u32; (1 << bits) + 1];
        rows.iter().for_each(|row| ends[page(row.prefix, bits) + 1] += 1);
        for number in 1..ends.len() {
            ends[number] += ends[number - 1];
        }
        let mut by_page = vec![0_u32; rows.len()];
        for (place, row) in (0..).zip(rows) {
            let end = &mut ends[page(row.prefix, bits)];
            by_page[*end as usize] = place;
            *end += 1;
        }
        let begins = std::iter::once(0).chain(ends.iter().copied());
        let spans = begins.zip(&ends).take(1 << bits);
        let pages = spans.map(|(begin, &end)| {
            let places = &by_page[begin as usize..end as usize];
            Page::of(places.iter().map(|&place| &rows[place as usize]))
        });
        Ok(Self::of(bits, count, pages.collect()))
    }

    fn of(bits: u8, count: u32, pages: Vec<Page>) -> Self {
        let digests = pages.iter().map(Page::digest).collect();
        let soonest = pages.iter().map(Page::soonest).collect();
        Self { bits, count, pages: Arc::new(Pages { pages, digests, soonest, since: Mutex::default() }) }
    }

    /// How many rows there are.
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The number of pages, as a power of two.
    pub const fn bits(&self) -> u8 {
        self.bits
    }

    /// What an issuer signs for these rows: the SHA-256 of 16 bytes that name the format, the number of pages as a power of two in one
    /// byte, and the SHA-256 of each page's rows.
    pub fn digest(&self) -> [u8; 32] {
        let mut hash = Sha256::new_with_prefix(DOMAIN);
        hash.update([self.bits]);
        hash.update(self.pages.digests.as_flattened());
        hash.finalize().into()
    }

    /// The rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = Row> {
        self.pages.pages.iter().flat_map(Page::rows).map(Written::read)
    }

    /// The rows in the order of their keys.
    pub fn in_order(&self) -> Vec<Row> {
        let mut rows: Vec<_> = self.rows().collect();
        rows.sort_unstable_by_key(Row::key);
        rows
    }

    /// The rows that end after one moment and not after another, both in Unix seconds. Pages without one that ends so soon are not
    /// looked at.
    pub(crate) fn ending(&self, after: u64, until: u64) -> impl Iterator<Item = Row> {
        let Pages { pages, soonest, .. } = &*self.pages;
        let soon = pages.iter().zip(soonest).filter(move |(_, soonest)| **soonest <= until);
        let rows = soon.flat_map(|(page, _)| page.rows()).map(Written::read);
        rows.filter(move |row| after < row.expires && row.expires <= until)
    }

    /// The row of that key.
    pub fn row(&self, key: Key) -> Option<Row> {
        self.pages.pages[page(key.0, self.bits)].find(key).map(Written::read)
    }

    /// Whether the row of that key comes from this act.
    pub fn lists(&self, key: Key, act: ActRef) -> bool {
        self.row(key).is_some_and(|row| row.act == act)
    }

    /// The shard after some changes, in 2^`bits` pages. Pages without a change are shared with this one. A row that is not there need not
    /// go: who has missed a few steps is told what went in any of them.
    ///
    /// # Errors
    /// When the changes are out of order, or there would be too many rows or pages.
    pub fn changed(&self, changes: Changes, bits: u8) -> Result<Self, Reject> {
        let Changes { put, gone } = changes;
        in_order(&put, Row::key).and_then(|()| in_order(&gone, |key| *key)).map_err(|_| Reject::Order)?;
        if bits > BITS_MAX {
            return Err(Reject::TooLarge);
        }
        if bits != self.bits {
            return self.paged_anew(put, &gone, bits);
        }
        let mut by_page: Vec<(usize, Result<Row, Key>)> =
            gone.into_iter().map(|key| (page(key.0, bits), Err(key))).collect();
        by_page.extend(put.into_iter().map(|row| (page(row.prefix, bits), Ok(row))));
        // Stable: what goes from a page does so before what comes.
        by_page.sort_by_key(|(page, _)| *page);
        if by_page.is_empty() {
            return Ok(self.clone());
        }
        let own = &*self.pages;
        let (mut pages, mut digests, mut soonest) =
            (own.pages.clone(), own.digests.clone(), own.soonest.clone());
        let (mut count, mut found) = (self.count as usize, Vec::with_capacity(by_page.len()));
        let mut memory = [const { Vec::new() }; 2];
        for changes in by_page.chunk_by(|(one, _), (other, _)| one == other) {
            let number = changes[0].0;
            let before = &own.pages[number];
            let (page, more, fewer) = before.changed(changes.iter().map(|(_, change)| change), &mut memory);
            (digests[number], soonest[number]) = (page.digest(), page.soonest());
            // While both are at hand: whoever asks later would have to look for them in memory.
            differences(before.rows(), page.rows(), &mut found);
            (pages[number], count) = (page, count + more - fewer);
        }
        let count = within(count, bits)?;
        let is_little = found.len() <= NOTED_ALWAYS.max(count as usize / NOTED_SHARE);
        let noted = || Since { before: Arc::downgrade(&self.pages), found: Arc::new(found) };
        let since = Mutex::new(is_little.then(noted));
        Ok(Self { bits, count, pages: Arc::new(Pages { pages, digests, soonest, since }) })
    }

    fn paged_anew(&self, put: Vec<Row>, gone: &[Key], bits: u8) -> Result<Self, Reject> {
        let mut rows = self.in_order();
        rows.retain(|row| gone.binary_search(&row.key()).is_err());
        rows.retain(|row| put.binary_search_by_key(&row.key(), Row::key).is_err());
        rows.extend(put);
        rows.sort_unstable_by_key(Row::key);
        Self::in_pages(&rows, bits)
    }

    /// The shard of these rows, in order, with the pages of this one as long as their number suits roughly: a number that moves about a
    /// power of two does not page everything anew each time.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn followed_by(&self, rows: &[Row]) -> Result<Self, Reject> {
        let bits = self.bits_for(rows.len());
        in_order(rows, Row::key).map_err(|_| Reject::Order)?;
        let mut found = Vec::new();
        differences(self.in_order().into_iter(), rows.iter().cloned(), &mut found);
        self.changed(Changes::of(&found), bits)
    }

    /// The shard after some changes, in pages as [`followed_by`](Self::followed_by) has them.
    ///
    /// # Errors
    /// As [`changed`](Self::changed).
    pub fn after(&self, changes: Changes) -> Result<Self, Reject> {
        let new = changes.put.iter().filter(|row| self.row(row.key()).is_none()).count();
        let rows = (self.count as usize + new).saturating_sub(changes.gone.len());
        self.changed(changes, self.bits_for(rows))
    }

    /// The number of pages for so many rows, as a power of two: the one that there is, as long as that suits roughly.
    fn bits_for(&self, rows: usize) -> u8 {
        let (one, other) = (suits(rows / 2), suits(rows * 2));
        let fits = (one..=other).contains(&self.bits) && 1 << self.bits <= rows.max(1);
        if fits { self.bits } else { suits(rows) }
    }

    /// Whether it is one of which this is a copy, without looking at any row.
    pub fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.pages, &other.pages)
    }

    /// What leads from this shard to `next`. Pages that both share are not looked at.
    pub fn changes_to(&self, next: &Self) -> Changes {
        Changes::of(&self.differing(next))
    }

    /// What each of both says of the keys of which they say different things, in no order. Where `next` was made of this one by few
    /// changes that are not [settled](Self::settle), these are known; otherwise pages that both share are not looked at.
    pub(crate) fn differing(&self, next: &Self) -> Arc<Vec<Differing>> {
        match &*next.since() {
            Some(Since { before, found }) if before.as_ptr() == Arc::as_ptr(&self.pages) => Arc::clone(found),
            _ => Arc::new(self.compared(next)),
        }
    }

    /// Lets go of the changes that led here, which take memory. Whoever asks for them from now on looks for them.
    pub(crate) fn settle(&self) {
        *self.since() = None;
    }

    fn since(&self) -> MutexGuard<'_, Option<Since>> {
        self.pages.since.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same, found by looking.
    fn compared(&self, next: &Self) -> Vec<Differing> {
        let mut found = Vec::new();
        if self.bits == next.bits {
            let pairs = self.pages.pages.iter().zip(&next.pages.pages);
            for (old, new) in pairs.filter(|(old, new)| !old.is(new)) {
                differences(old.rows(), new.rows(), &mut found);
            }
        } else {
            differences(self.in_order().into_iter(), next.in_order().into_iter(), &mut found);
        }
        found
    }
}

/// The number of pages that suits so many rows, as a power of two.
fn suits(rows: usize) -> u8 {
    let pages = (rows / PAGE_ROWS).max(1);
    (pages.ilog2() as u8).min(BITS_MAX)
}

/// That so many rows are not too many, nor fewer than 2^`bits` pages.
fn within(rows: usize, bits: u8) -> Result<u32, Reject> {
    let is_fine = rows <= RECORDS_MAX && bits <= BITS_MAX && 1 << bits <= rows.max(1);
    if is_fine { Ok(rows as u32) } else { Err(Reject::TooLarge) }
}

/// Something that stands for a row: the row itself, or its bytes.
trait Stated: PartialEq {
    type Key: Ord;
    fn by(&self) -> Self::Key;
    fn row(self) -> Row;
}

impl Stated for Row {
    type Key = Key;

    fn by(&self) -> Key {
        self.key()
    }

    fn row(self) -> Row {
        self
    }
}

/// Adds what each of two lists says, both in order, where they say different things.
fn differences<S: Stated>(
    old: impl Iterator<Item = S>,
    new: impl Iterator<Item = S>,
    found: &mut Vec<Differing>,
) {
    let mut old = old.peekable();
    for after in new {
        while let Some(before) = old.next_if(|before| before.by() < after.by()) {
            found.push((Some(before.row()), None));
        }
        let before = old.next_if(|before| before.by() == after.by());
        if before.as_ref() != Some(&after) {
            found.push((before.map(Stated::row), Some(after.row())));
        }
    }
    found.extend(old.map(|before| (Some(before.row()), None)));
}

#[cfg(test)]
pub(crate) mod tests;
