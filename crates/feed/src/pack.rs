//! Bytes that are packed with zstd, and rows in columns.
//!
//! A shard's file is the number of its rows in four bytes, the number of its pages as a power of two in one, and the packed columns:
//! of all rows in the order of their keys one field behind the other, each field's bytes apart, the most significant first. What
//! is equal in most rows packs to nothing so. Of the prefix's first address it is the difference to the row before.

use std::cell::RefCell;

use credence_credit::{ActRef, Authority, EvidenceClass, Measure, Rating, Reasons, Score, Status};
use credence_law::layout::Layout;
use credence_prefix::Prefix;
use zstd::bulk::{Compressor, Decompressor};

use crate::reject::Reject;
use crate::row::Row;
use crate::shard::Shard;

/// How hard is packed: beyond this time grows and size hardly falls.
const LEVEL: i32 = 6;
/// What unpacks to more, in bytes, is no part of a feed: the columns of all rows that a shard may have.
const UNPACKED_MAX: usize = 1 << 30;

thread_local! {
    /// What packs and unpacks, made once: for a file of a few rows that takes longer than the work itself.
    static PACKER: RefCell<Compressor<'static>> =
        RefCell::new(Compressor::new(LEVEL).expect("the level is one of zstd's"));
    static UNPACKER: RefCell<Decompressor<'static>> =
        RefCell::new(Decompressor::new().expect("without a dictionary nothing can be wrong with it"));
}

/// Packs bytes, which are preceded by their number in four bytes.
pub(crate) fn pack(bytes: &[u8]) -> Vec<u8> {
    let mut packed = (bytes.len() as u32).to_be_bytes().to_vec();
    packed.extend(
        PACKER
            .with_borrow_mut(|packer| packer.compress(bytes))
            .expect("packing in memory asks for nothing that could fail"),
    );
    packed
}

/// Unpacks what [`pack`] has made, of at most `most` bytes. Memory is taken for as many as it says, and no more.
///
/// # Errors
/// When it says more, or is not of as many bytes as it says.
pub(crate) fn unpack(packed: &[u8], most: usize) -> Result<Vec<u8>, Reject> {
    let (len, packed) = packed.split_first_chunk().ok_or(Reject::Packing)?;
    let len = u32::from_be_bytes(*len) as usize;
    if len > most.min(UNPACKED_MAX) {
        return Err(Reject::TooLarge);
    }
    let bytes = UNPACKER.with_borrow_mut(|unpacker| unpacker.decompress(packed, len));
    let bytes = bytes.map_err(|_| Reject::Packing)?;
    if bytes.len() == len { Ok(bytes) } else { Err(Reject::Packing) }
}

/// Where the columns of a row begin: what is said of each byte of a row, and behind it the end.
mod column {
    pub(super) const LEN: usize = 0;
    pub(super) const FIRST: usize = 1;
    pub(super) const AUTHORITY: usize = 17;
    pub(super) const SCORE: usize = 18;
    pub(super) const STATUS: usize = 20;
    pub(super) const MEASURE: usize = 21;
    pub(super) const REASONS: usize = 22;
    pub(super) const EVIDENCE: usize = 24;
    pub(super) const SIGNATURES: usize = 25;
    pub(super) const EXPIRES: usize = 27;
    pub(super) const ACT: usize = 35;
    pub(super) const ALL: usize = 43;
}

/// The file of a shard.
pub fn pack_shard(shard: &Shard) -> Vec<u8> {
    let rows = shard.in_order();
    let count = rows.len();
    let mut columns = vec![0; count * column::ALL];
    let mut put = |column: usize, row: usize, bytes: &[u8]| {
        for (at, byte) in bytes.iter().enumerate() {
            columns[(column + at) * count + row] = *byte;
        }
    };
    let mut before = 0;
    for (at, row) in rows.into_iter().enumerate() {
        let first = row.prefix.first();
        put(column::LEN, at, &[row.prefix.len()]);
        put(column::FIRST, at, &(first - before).to_be_bytes());
        put(column::AUTHORITY, at, &row.authority.to_bytes());
        let (score, status) = match row.rating {
            Rating::Unrated => (u16::MAX, 0),
            Rating::Rated { score, status } => (score.value(), status.to_bytes()[0]),
        };
        put(column::SCORE, at, &score.to_be_bytes());
        put(column::STATUS, at, &[status]);
        put(column::MEASURE, at, &row.measure.to_bytes());
        put(column::REASONS, at, &row.reasons.to_bytes());
        put(column::EVIDENCE, at, &row.evidence.to_bytes());
        put(column::SIGNATURES, at, &row.signatures.to_be_bytes());
        put(column::EXPIRES, at, &row.expires.to_be_bytes());
        put(column::ACT, at, &row.act.0);
        before = first;
    }
    let mut file = shard.len().to_be_bytes().to_vec();
    file.push(shard.bits());
    file.extend(pack(&columns));
    file
}

/// Reads the file of a shard that an issuer says has `count` rows.
///
/// # Errors
/// When it has another number of rows, or is no such file.
pub fn unpack_shard(file: &[u8], count: u32) -> Result<Shard, Reject> {
    let (head, packed) = file.split_first_chunk::<5>().ok_or(Reject::Packing)?;
    let [a, b, c, d, bits] = *head;
    let rows = count as usize;
    if u32::from_be_bytes([a, b, c, d]) != count || rows.checked_mul(column::ALL).is_none() {
        return Err(Reject::Packing);
    }
    let columns = unpack(packed, rows * column::ALL)?;
    if columns.len() != rows * column::ALL {
        return Err(Reject::Packing);
    }
    let mut before = 0_u128;
    let mut read = Vec::with_capacity(rows);
    for row in 0..rows {
        let columns = Columns { bytes: &columns, rows, row };
        before =
            before.checked_add(u128::from_be_bytes(columns.field(column::FIRST))).ok_or(Reject::Order)?;
        read.push(columns.read(before)?);
    }
    Shard::in_pages(&read, bits)
}

/// The columns of all rows, at one of them.
struct Columns<'a> {
    bytes: &'a [u8],
    rows: usize,
    row: usize,
}

impl Columns<'_> {
    fn field<const N: usize>(&self, column: usize) -> [u8; N] {
        core::array::from_fn(|at| self.bytes[(column + at) * self.rows + self.row])
    }

    fn read(&self, first: u128) -> Result<Row, Reject> {
        let [len] = self.field(column::LEN);
        let score = u16::from_be_bytes(self.field(column::SCORE));
        let status = self.field::<1>(column::STATUS);
        let rating = match (score, status) {
            (u16::MAX, [0]) => Rating::Unrated,
            (u16::MAX, _) => return Err(Reject::Packing),
            (score, status) => Rating::Rated {
                score: Score::new(score).map_err(|_| Reject::Packing)?,
                status: Status::from_bytes(&status)?,
            },
        };
        Ok(Row {
            prefix: Prefix::new(first, len).map_err(|_| Reject::Packing)?,
            authority: Authority::from_bytes(&self.field::<1>(column::AUTHORITY))?,
            rating,
            measure: Measure::from_bytes(&self.field::<1>(column::MEASURE))?,
            reasons: Reasons::from_bytes(&self.field::<2>(column::REASONS))?,
            evidence: EvidenceClass::from_bytes(&self.field::<1>(column::EVIDENCE))?,
            signatures: u16::from_be_bytes(self.field(column::SIGNATURES)),
            expires: u64::from_be_bytes(self.field(column::EXPIRES)),
            act: ActRef(self.field(column::ACT)),
        })
    }
}
