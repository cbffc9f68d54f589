//! From prefixes in order to intervals in order, in one pass.

use core::fmt;

use super::hosts::Hosts;
use super::tree::Tree;
use super::{MAX_RECORD, NO_MATCH, SECOND_STAGE, Table, halves};
use crate::Prefix;

/// Why no table can be built from what was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableError {
    /// This prefix comes twice, or after one that sorts behind it.
    Order(Prefix),
    /// The record number of this prefix is over [`MAX_RECORD`].
    Record(Prefix),
    /// There are more prefixes than [`MAX_PREFIXES`](super::MAX_PREFIXES).
    TooMany,
}

impl fmt::Display for TableError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Order(prefix) => write!(f, "{prefix} comes twice or out of order; sort the prefixes first"),
            Self::Record(prefix) => write!(f, "the record number of {prefix} is over {MAX_RECORD}"),
            Self::TooMany => write!(f, "more prefixes than one table holds; split the set"),
        }
    }
}

impl core::error::Error for TableError {}

/// The table of `items`, of which at most `limit` are taken.
pub(super) fn build(
    items: impl IntoIterator<Item = (Prefix, u32)>,
    limit: usize,
) -> Result<Table, TableError> {
    let (mut sweep, mut len, mut previous) = (Sweep::default(), 0, None);
    for (prefix, record) in items {
        if previous >= Some(prefix) {
            return Err(TableError::Order(prefix));
        }
        if record > MAX_RECORD {
            return Err(TableError::Record(prefix));
        }
        if len == limit {
            return Err(TableError::TooMany);
        }
        sweep.open(prefix, record);
        previous = Some(prefix);
        len += 1;
    }
    let (upper, hosts) = sweep.finish();
    Ok(Table { upper, hosts, len })
}

/// Walks along the address space and tells where the longest match changes.
#[derive(Default)]
struct Sweep {
    /// The prefixes around the present place, the outermost first: last address and record. At most 129.
    open: Vec<(u128, u32)>,
    /// The last change, which another at the same address may still replace.
    pending: Option<(u128, u32)>,
    stages: Stages,
}

impl Sweep {
    fn open(&mut self, prefix: Prefix, record: u32) {
        self.close(|last| last < prefix.first());
        self.change(prefix.first(), record);
        self.open.push((prefix.last(), record));
    }

    /// Ends the innermost prefixes whose last address has `ended`; what is around them holds again behind it.
    fn close(&mut self, ended: impl Fn(u128) -> bool) {
        while let Some((last, _)) = self.open.pop_if(|&mut (last, _)| ended(last)) {
            let around = self.open.last().map_or(NO_MATCH, |&(_, record)| record);
            if let Some(behind) = last.checked_add(1) {
                self.change(behind, around);
            }
        }
    }

    fn change(&mut self, at: u128, answer: u32) {
        if let Some((before, settled)) = self.pending.replace((at, answer))
            && before != at
        {
            self.stages.change(before, settled);
        }
    }

    fn finish(mut self) -> (Tree, Hosts) {
        self.close(|_| true);
        if let Some((at, answer)) = self.pending {
            self.stages.change(at, answer);
        }
        self.stages.finish()
    }
}

/// Sorts changes into those between /64s and those within one.
struct Stages {
    /// The answer behind the last change.
    answer: u32,
    /// The /64 that changes may still fall into, by its upper half, and its intervals so far.
    open: u64,
    inside: Intervals,
    upper: Intervals,
    hosts: Hosts,
}

/// The answer from 0 on, then boundaries and the answer from each on.
struct Intervals {
    bounds: Vec<u64>,
    answers: Vec<u32>,
}

impl Intervals {
    fn starting(answer: u32) -> Self {
        Self { bounds: Vec::new(), answers: vec![answer] }
    }

    /// Sets the answer from `at` on; a change at 0 replaces the first.
    fn change(&mut self, at: u64, answer: u32) {
        if at == 0 {
            self.answers[0] = answer;
        } else {
            self.bounds.push(at);
            self.answers.push(answer);
        }
    }

    /// Makes this the one interval of `answer`, keeping the memory.
    fn restart(&mut self, answer: u32) {
        self.bounds.clear();
        self.answers.clear();
        self.answers.push(answer);
    }
}

impl Default for Stages {
    fn default() -> Self {
        Self {
            answer: NO_MATCH,
            open: 0,
            inside: Intervals::starting(NO_MATCH),
            upper: Intervals::starting(NO_MATCH),
            hosts: Hosts::default(),
        }
    }
}

impl Stages {
    /// The next change, behind all before it.
    fn change(&mut self, at: u128, answer: u32) {
        if answer == self.answer {
            return;
        }
        let (upper, lower) = halves(at);
        self.advance(upper);
        self.inside.change(lower, answer);
        self.answer = answer;
    }

    /// Leaves the open /64 for `upper`, if that is another. Takes at most two rounds: what holds at the end of a /64 of
    /// several answers has to be told for the one behind it.
    fn advance(&mut self, upper: u64) {
        while self.open < upper {
            let several = self.settle();
            self.open = if several { self.open + 1 } else { upper };
            self.inside.restart(self.answer);
        }
    }

    /// Writes the open /64 to the first stage, and to the second if it has several answers; returns whether it has.
    fn settle(&mut self) -> bool {
        let several = !self.inside.bounds.is_empty();
        let word = if several {
            SECOND_STAGE | self.hosts.push(&self.inside.bounds, &self.inside.answers)
        } else {
            self.inside.answers[0]
        };
        self.upper.change(self.open, word);
        several
    }

    fn finish(mut self) -> (Tree, Hosts) {
        if self.settle()
            && let Some(behind) = self.open.checked_add(1)
        {
            self.upper.change(behind, self.answer);
        }
        self.hosts.shrink();
        (Tree::new(&self.upper.bounds, self.upper.answers), self.hosts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    #[test]
    fn order_repetition_and_record_numbers_are_checked() {
        let (a, b) = (prefix("2001:db8::/32"), prefix("2001:db8::/48"));
        let check =
            |items: &[(Prefix, u32)], expected| assert_eq!(Table::build(items.to_vec()).err(), expected);
        check(&[(a, 1), (b, 2)], None);
        check(&[(b, 2), (a, 1)], Some(TableError::Order(a)));
        check(&[(a, 1), (a, 1)], Some(TableError::Order(a)));
        check(&[(a, MAX_RECORD), (b, 0)], None);
        check(&[(a, 1), (b, MAX_RECORD + 1)], Some(TableError::Record(b)));
        check(&[(a, NO_MATCH)], Some(TableError::Record(a)));
    }

    #[test]
    fn one_prefix_over_the_limit_is_refused() {
        let items = [prefix("2001:db8::/32"), prefix("2001:db8::/48")].map(|p| (p, 7));
        assert_eq!(build(items, 2).map(|table| table.len()), Ok(2));
        assert_eq!(build(items, 1).err(), Some(TableError::TooMany));
    }

    #[test]
    fn equal_neighbours_are_one_interval() {
        let halves = [(prefix("2001:db8::/33"), 1), (prefix("2001:db8:8000::/33"), 1)];
        let nested =
            [(prefix("2001:db8::/32"), 1), (prefix("2001:db8::1/128"), 1), (prefix("2001:db8:1::/48"), 1)];
        let whole = Table::build([(prefix("2001:db8::/32"), 1)]).unwrap().bytes();
        assert_eq!(Table::build(halves).unwrap().bytes(), whole);
        assert_eq!(Table::build(nested).unwrap().bytes(), whole);
    }
}
