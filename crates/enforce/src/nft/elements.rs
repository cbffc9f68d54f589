//! Elements of sets and maps: who is listed and for how long, and what the engine thinks of sources.

use std::io;

use credence_credit::Measure;

use super::flatten::Class;
use super::netlink::{self, Attributes, BATCH_BYTES_MAX, Batch, Kind};

/// A range of sources as the kernel gets it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) first: u128,
    pub(crate) last: u128,
    /// Seconds, at least 1.
    pub(crate) lasts_s: u32,
    /// Number of its class.
    pub(crate) class: u8,
    /// Number of the subject whose rate is limited, or 0.
    pub(crate) subject: u32,
}

/// Bytes from which a list of elements takes no more: the length of an attribute has 16 bits, and an element some 200 bytes.
const LIST_BYTES_MAX: usize = 60_000;

// Attributes of lists of elements, of elements, of data, of verdicts.
const LIST_TABLE: u16 = 1;
const LIST_SET: u16 = 2;
const LIST_ELEMENTS: u16 = 3;
const ELEMENT: u16 = 1;
const ELEMENT_KEY: u16 = 1;
const ELEMENT_DATA: u16 = 2;
const ELEMENT_FLAGS: u16 = 3;
const ELEMENT_TIMEOUT: u16 = 4;
const DATA_VALUE: u16 = 1;
const DATA_VERDICT: u16 = 2;
const VERDICT_CODE: u16 = 1;
const VERDICT_CHAIN: u16 = 2;

/// `NFT_SET_ELEM_INTERVAL_END`: the address is the first that the range before does not hold.
const INTERVAL_END: u32 = 1;
/// `NFT_GOTO`.
const GOTO: i32 = -4;

/// What a map holds of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// The chain of its class.
    Chain,
    /// The number of its subject.
    Subject,
}

/// Fills a map of `table` that no rule asks yet.
///
/// # Errors
/// What the kernel says, such as that it has no memory; the map may then hold a part.
pub(crate) fn fill(table: &str, map: &str, holds: Holds, ranges: &[Listed]) -> io::Result<()> {
    let chains = Class::ALL.map(Class::chain);
    let mut rest = ranges.iter().filter(|range| holds == Holds::Chain || range.subject != 0).peekable();
    while rest.peek().is_some() {
        let mut batch = Batch::new();
        while rest.peek().is_some() && batch.len() + LIST_BYTES_MAX <= BATCH_BYTES_MAX {
            list(&mut batch, Kind::AddElements, table, map, |elements| {
                while elements.len() < LIST_BYTES_MAX
                    && let Some(range) = rest.next()
                {
                    element(elements, range.first, range.lasts_s, |element| match holds {
                        Holds::Chain => goto(element, &chains[usize::from(range.class)]),
                        Holds::Subject => number(element, range.subject),
                    });
                    end(elements, range.last);
                }
            });
        }
        netlink::commit(batch)?;
    }
    Ok(())
}

/// Opinions that one transaction takes.
const OPINIONS_A_BATCH: usize = 2_048;

/// Tells the sets of `table` what the engine thinks of sources, for `lasts_s` seconds from now. An opinion of before is
/// forgotten, and one that is milder than a mark leaves none.
///
/// # Errors
/// What the kernel says; those of some thousand sources at a time take effect together or not at all.
pub(crate) fn tell(table: &str, opinions: &[(u128, Measure)], lasts_s: u32) -> io::Result<()> {
    for opinions in opinions.chunks(OPINIONS_A_BATCH) {
        let mut batch = Batch::new();
        for (set, measure) in TOLD {
            // The kernel gives no new time to an element that is there, and cannot take off one that is not: it is added to be
            // sure, taken off, and added anew.
            let all = opinions.iter().map(|(source, _)| *source);
            let wanted = opinions.iter().filter(|(_, wanted)| *wanted == measure).map(|(source, _)| *source);
            sources(&mut batch, Kind::AddElements, table, set, all.clone(), lasts_s);
            sources(&mut batch, Kind::DeleteElements, table, set, all, lasts_s);
            sources(&mut batch, Kind::AddElements, table, set, wanted, lasts_s);
        }
        netlink::commit(batch)?;
    }
    Ok(())
}

/// The sets of sources that the engine has an opinion of, and the opinions.
pub(crate) const TOLD: [(&str, Measure); 2] =
    [("told_rate_limit", Measure::RateLimit), ("told_mark", Measure::Mark)];

fn sources(
    batch: &mut Batch,
    kind: Kind,
    table: &str,
    set: &str,
    sources: impl Iterator<Item = u128>,
    lasts_s: u32,
) {
    let mut rest = sources.peekable();
    while rest.peek().is_some() {
        list(batch, kind, table, set, |elements| {
            while elements.len() < LIST_BYTES_MAX
                && let Some(source) = rest.next()
            {
                element(elements, source, lasts_s, |_| {});
            }
        });
    }
}

/// Adds a list of elements to a batch.
fn list(batch: &mut Batch, kind: Kind, table: &str, set: &str, fill: impl FnOnce(&mut Attributes<'_>)) {
    batch.message(kind, |list| {
        list.text(LIST_TABLE, table);
        list.text(LIST_SET, set);
        list.nested(LIST_ELEMENTS, fill);
    });
}

/// An element of that key and what `data` adds.
fn element(elements: &mut Attributes<'_>, key: u128, lasts_s: u32, data: impl FnOnce(&mut Attributes<'_>)) {
    elements.nested(ELEMENT, |element| {
        element.nested(ELEMENT_KEY, |key_data| key_data.bytes(DATA_VALUE, &key.to_be_bytes()));
        element.bytes(ELEMENT_TIMEOUT, &(u64::from(lasts_s) * 1_000).to_be_bytes());
        data(element);
    });
}

/// The element that ends a range: the address behind its last one. Behind the last of all there is none.
fn end(elements: &mut Attributes<'_>, last: u128) {
    let Some(behind) = last.checked_add(1) else { return };
    elements.nested(ELEMENT, |element| {
        element.nested(ELEMENT_KEY, |key| key.bytes(DATA_VALUE, &behind.to_be_bytes()));
        element.bytes(ELEMENT_FLAGS, &INTERVAL_END.to_be_bytes());
    });
}

fn goto(element: &mut Attributes<'_>, chain: &str) {
    element.nested(ELEMENT_DATA, |data| {
        data.nested(DATA_VERDICT, |verdict| {
            verdict.bytes(VERDICT_CODE, &GOTO.to_be_bytes());
            verdict.text(VERDICT_CHAIN, chain);
        });
    });
}

/// The number that the packet's priority becomes, in the order of this machine as the kernel keeps it.
fn number(element: &mut Attributes<'_>, subject: u32) {
    element.nested(ELEMENT_DATA, |data| data.bytes(DATA_VALUE, &subject.to_ne_bytes()));
}
