//! All rows of one issuer, with a digest that follows changes.
//!
//! Rows lie in pages by a hash of their prefix, some sixteen to a page, and the digest is one over the pages' digests. So the digest
//! of a shard of a million rows after ten thousand changes takes ten thousand pages to hash and not all rows.

use std::sync::Arc;

use credence_credit::{ActRef, RECORDS_MAX};
use credence_law::layout::{Layout, in_order};
use sha2::{Digest, Sha256};

use crate::reject::Reject;
use crate::row::{Key, Row, page};

/// Rows to a page, about.
const PAGE_ROWS: usize = 16;
/// The most pages of a shard, as a power of two: enough for all records that a gateway takes.
pub const BITS_MAX: u8 = 20;
/// What a digest begins with, so that it is the digest of nothing else.
const DOMAIN: &[u8; 16] = b"credence shard 1";

/// All rows of one issuer.
#[derive(Clone, Debug)]
pub struct Shard {
    bits: u8,
    count: u32,
    /// Shared with older states where nothing has changed.
    pages: Arc<Vec<Arc<Page>>>,
}

#[derive(Debug)]
struct Page {
    /// In the order of their keys.
    rows: Vec<Row>,
    digest: [u8; 32],
}

impl Page {
    fn new(rows: Vec<Row>) -> Arc<Self> {
        let mut bytes = Vec::with_capacity(rows.len() * 48);
        rows.iter().for_each(|row| row.put(&mut bytes));
        Arc::new(Self { rows, digest: Sha256::digest(&bytes).into() })
    }
}

/// What leads from one shard to another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Rows that are new, or say something else, in the order of their keys.
    pub put: Vec<Row>,
    /// Rows that are there no more, in order.
    pub gone: Vec<Key>,
}

/// One without rows.
impl Default for Shard {
    fn default() -> Self {
        Self { bits: 0, count: 0, pages: Arc::new(vec![Page::new(Vec::new())]) }
    }
}

impl Shard {
    /// The shard of these rows, in as many pages as suit their number.
    ///
    /// # Errors
    /// When they are not in the order of their keys, each once, or too many.
    pub fn new(rows: Vec<Row>) -> Result<Self, Reject> {
        let bits = suits(rows.len());
        Self::in_pages(rows, bits)
    }

    /// The shard of these rows in 2^`bits` pages.
    ///
    /// # Errors
    /// When they are not in the order of their keys, each once, or too many, or fewer than pages.
    pub fn in_pages(rows: Vec<Row>, bits: u8) -> Result<Self, Reject> {
        in_order(&rows, Row::key).map_err(|_| Reject::Order)?;
        let count = within(rows.len(), bits)?;
        let mut pages = vec![Vec::new(); 1 << bits];
        // In their order, so that each page is in order as well.
        rows.into_iter().for_each(|row| pages[page(row.prefix, bits)].push(row));
        Ok(Self { bits, count, pages: Arc::new(pages.into_iter().map(Page::new).collect()) })
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
        self.pages.iter().for_each(|page| hash.update(page.digest));
        hash.finalize().into()
    }

    /// The rows, in no order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        self.pages.iter().flat_map(|page| &page.rows)
    }

    /// The rows in the order of their keys.
    pub fn in_order(&self) -> Vec<&Row> {
        let mut rows: Vec<_> = self.rows().collect();
        rows.sort_unstable_by_key(|row| row.key());
        rows
    }

    /// The row of that key.
    pub fn row(&self, key: Key) -> Option<&Row> {
        let rows = &self.pages[page(key.0, self.bits)].rows;
        rows.binary_search_by_key(&key, Row::key).ok().map(|place| &rows[place])
    }

    /// Whether the row of that key comes from this act.
    pub fn lists(&self, key: Key, act: ActRef) -> bool {
        self.row(key).is_some_and(|row| row.act == act)
    }

    /// The shard after some changes, in 2^`bits` pages. Pages without a change are shared with this one.
    ///
    /// # Errors
    /// When the changes are out of order, a row goes that is not there, or there would be too many rows or pages.
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
        let mut next = self.clone();
        let mut count = self.count as usize;
        let mut rest = by_page.into_iter().peekable();
        while let Some((number, first)) = rest.next() {
            let mut rows = self.pages[number].rows.clone();
            count -= rows.len();
            change(&mut rows, first)?;
            while let Some((_, one)) = rest.next_if(|(page, _)| *page == number) {
                change(&mut rows, one)?;
            }
            count += rows.len();
            Arc::make_mut(&mut next.pages)[number] = Page::new(rows);
        }
        next.count = within(count, bits)?;
        Ok(next)
    }

    fn paged_anew(&self, put: Vec<Row>, gone: &[Key], bits: u8) -> Result<Self, Reject> {
        let mut rows: Vec<Row> = self.in_order().into_iter().cloned().collect();
        let before = rows.len();
        rows.retain(|row| gone.binary_search(&row.key()).is_err());
        if before - rows.len() != gone.len() {
            return Err(Reject::Order);
        }
        rows.retain(|row| put.binary_search_by_key(&row.key(), Row::key).is_err());
        rows.extend(put);
        rows.sort_unstable_by_key(Row::key);
        Self::in_pages(rows, bits)
    }

    /// The shard of these rows, in order, with the pages of this one as long as their number suits roughly: a number that moves about a
    /// power of two does not page everything anew each time.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn followed_by(&self, rows: &[Row]) -> Result<Self, Reject> {
        let bits = self.bits_for(rows.len());
        in_order(rows, Row::key).map_err(|_| Reject::Order)?;
        let mut changes = Changes::default();
        differences(self.in_order().into_iter(), rows.iter(), &mut changes);
        self.changed(changes, bits)
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
        let mut changes = Changes::default();
        if self.bits == next.bits {
            let pairs = self.pages.iter().zip(next.pages.iter());
            for (old, new) in pairs.filter(|(old, new)| !Arc::ptr_eq(old, new)) {
                differences(old.rows.iter(), new.rows.iter(), &mut changes);
            }
        } else {
            differences(self.in_order().into_iter(), next.in_order().into_iter(), &mut changes);
        }
        changes.put.sort_unstable_by_key(Row::key);
        changes.gone.sort_unstable();
        changes
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

/// Puts a row into a page, or takes one out.
fn change(rows: &mut Vec<Row>, change: Result<Row, Key>) -> Result<(), Reject> {
    let key = change.as_ref().map_or_else(|key| *key, Row::key);
    match (rows.binary_search_by_key(&key, Row::key), change) {
        (Ok(place), Ok(row)) => rows[place] = row,
        (Err(place), Ok(row)) => rows.insert(place, row),
        (Ok(place), Err(_)) => drop(rows.remove(place)),
        (Err(_), Err(_)) => return Err(Reject::Order),
    }
    Ok(())
}

/// Adds what leads from some rows to others, both in order.
fn differences<'a>(
    old: impl Iterator<Item = &'a Row>,
    new: impl Iterator<Item = &'a Row>,
    changes: &mut Changes,
) {
    let (mut old, mut new) = (old.peekable(), new.peekable());
    loop {
        match (old.peek(), new.peek()) {
            (None, None) => return,
            (Some(before), after) if after.is_none_or(|after| before.key() < after.key()) => {
                changes.gone.push(before.key());
                old.next();
            }
            (before, Some(after)) => {
                let is_there = before.is_some_and(|before| before.key() == after.key());
                if before != Some(after) {
                    changes.put.push((*after).clone());
                }
                if is_there {
                    old.next();
                }
                new.next();
            }
            (Some(_), None) => unreachable!("the arm before takes it"),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
