//! Some rows in the very bytes that are hashed.
//!
//! A gateway keeps every row that it believes, so that it can check what is new by what has changed. As values they would take half
//! as much again.

use std::sync::Arc;

use credence_law::layout::Layout;
use sha2::{Digest, Sha256};

use super::Stated;
use crate::row::{Key, Row};

/// The bytes of a row that tell it from others, which stand in the order of their keys: the prefix's first address, its length, and
/// the authority.
const KEY: usize = 18;
/// The bytes of a row without a rating, which says so in its first two bytes behind the key; a rating takes one more.
const UNRATED: usize = 42;
/// Where the end of a row begins, and what is behind it, in bytes from the row's last: the end and the act.
const EXPIRES: (usize, usize) = (16, 8);

/// Rows in the order of their keys.
#[derive(Clone, Debug)]
pub(super) struct Page(Arc<[u8]>);

/// A row in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Written<'a>(&'a [u8]);

impl Page {
    /// One without rows.
    pub(super) fn empty() -> Self {
        Self::of([])
    }

    /// The page of these rows, which are in order.
    pub(super) fn of<'r>(rows: impl IntoIterator<Item = &'r Row>) -> Self {
        let mut bytes = Vec::new();
        rows.into_iter().for_each(|row| row.put(&mut bytes));
        Self(bytes.into())
    }

    /// The SHA-256 of its rows' bytes.
    pub(super) fn digest(&self) -> [u8; 32] {
        Sha256::digest(&self.0).into()
    }

    /// The end of the row that ends first, in Unix seconds.
    pub(super) fn soonest(&self) -> u64 {
        self.rows().map(Written::expires).min().unwrap_or(u64::MAX)
    }

    /// Whether both are one.
    pub(super) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Its rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = Written<'_>> {
        Rows(&self.0)
    }

    /// The row of that key.
    pub(super) fn find(&self, key: Key) -> Option<Written<'_>> {
        let (place, is_there) = place(&self.0, &key_bytes(key));
        is_there.then(|| Rows(&self.0[place..]).next()).flatten()
    }

    /// The page after rows were put into it or taken out if they were there, with how many there are more, and how many fewer. The
    /// vectors are memory for use.
    pub(super) fn changed<'c>(
        &self,
        changes: impl Iterator<Item = &'c Result<Row, Key>>,
        [bytes, row]: &mut [Vec<u8>; 2],
    ) -> (Self, usize, usize) {
        bytes.clear();
        bytes.extend_from_slice(&self.0);
        let (mut more, mut fewer) = (0, 0);
        for change in changes {
            row.clear();
            let key = change.as_ref().map_or_else(|key| *key, Row::key);
            let (place, is_there) = place(bytes, &key_bytes(key));
            let end = if is_there { place + len(&bytes[place..]) } else { place };
            match change {
                Ok(change) => {
                    change.put(row);
                    more += usize::from(!is_there);
                }
                Err(_) => fewer += usize::from(is_there),
            }
            bytes.splice(place..end, row.iter().copied());
        }
        (Self(bytes.as_slice().into()), more, fewer)
    }
}

fn key_bytes((prefix, authority): Key) -> [u8; KEY] {
    let mut bytes = [0; KEY];
    let (first, rest) = bytes.split_at_mut(16);
    first.copy_from_slice(&prefix.first().to_be_bytes());
    rest.copy_from_slice(&[prefix.len(), authority as u8]);
    bytes
}

/// Where in a page's bytes the row of that key stands or would stand, and whether it does.
fn place(page: &[u8], key: &[u8; KEY]) -> (usize, bool) {
    let mut place = 0;
    while let Some(own) = page[place..].first_chunk::<KEY>() {
        if own >= key {
            return (place, own == key);
        }
        place += len(&page[place..]);
    }
    (place, false)
}

/// How many bytes the first of some rows has.
fn len(rows: &[u8]) -> usize {
    UNRATED + usize::from(rows[KEY..KEY + 2] != [0xff; 2])
}

/// Rows one behind the other.
struct Rows<'a>(&'a [u8]);

impl<'a> Iterator for Rows<'a> {
    type Item = Written<'a>;

    fn next(&mut self) -> Option<Written<'a>> {
        if self.0.is_empty() {
            return None;
        }
        let (row, rest) = self.0.split_at(len(self.0));
        self.0 = rest;
        Some(Written(row))
    }
}

impl Written<'_> {
    /// The row.
    pub(super) fn read(self) -> Row {
        Row::from_bytes(self.0).expect("a page holds the bytes of rows")
    }

    /// When the row ends, in Unix seconds, without a look at the rest of it.
    fn expires(self) -> u64 {
        let (from, until) = (self.0.len() - EXPIRES.0, self.0.len() - EXPIRES.1);
        u64::from_be_bytes(self.0[from..until].try_into().expect("an end has eight bytes"))
    }
}

impl<'a> Stated for Written<'a> {
    type Key = &'a [u8];

    fn by(&self) -> &'a [u8] {
        &self.0[..KEY]
    }

    fn row(self) -> Row {
        self.read()
    }
}
