//! From the credit cache and the operator's lists to what scoring reads.

use credence_credit::{Cache, Entry, Rating};
use credence_score::{Ruling, Standing};

use crate::config::Lists;

/// The standing of a source at `now_s` (Unix seconds), from the record number that a look-up of its address gave.
#[inline]
pub fn standing(cache: &Cache, record: u32, lists: &Lists, source: u128, now_s: u64) -> Standing {
    let never_block = lists.is_never_blocked(source);
    let known = cache.standing(record, now_s);
    let rating = known.credit.map(|number| cache.entry(number)).filter(|entry| entry.is_enforceable());
    let ruling = known.ruling.map(|number| {
        let entry = cache.entry(number);
        Ruling { measure: entry.measure(), authority: entry.authority(), evidence: entry.evidence() }
    });
    Standing { never_block, rating: rating.map_or(Rating::Unrated, Entry::rating), ruling }
}
