//! The credit cache as ranges of addresses that do not overlap.
//!
//! Elements of a set in nftables stand beside each other: none may lie within another, and none outranks another. Which record
//! rules an address, by longest match and by rank, is therefore settled here, at one moment, for every address at once. One
//! pass over the records in the order of their prefixes does it, with a stack of those that cover the present one.
//!
//! A range ends when the record that rules it does. What a wider record says of the range from then on is not in the kernel
//! until the cache is flattened again; [`Flat::changes_at`] tells when that is due. Until then nothing is held up that the cache
//! would let pass.

use credence_credit::{Cache, Entry, Measure, Precedence};
use credence_prefix::Prefix;

/// What happens to the packets of a range of sources: each class is a chain of rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Class {
    /// What the ruling record asks for, [`Measure::None`] where there is none.
    pub(crate) measure: Measure,
    /// Whether the operator's own list rules, beside which no opinion of behaviour counts.
    pub(crate) is_operators: bool,
    /// Whether credit is good enough for an incentive while behaviour is limited.
    pub(crate) is_good: bool,
}

impl Class {
    /// Every class that differs in what happens, at the place of its number.
    pub(crate) const ALL: [Self; 13] = [
        Self::new(Measure::None, false, true),
        Self::new(Measure::None, true, false),
        Self::new(Measure::Incentive, false, false),
        Self::new(Measure::Incentive, false, true),
        Self::new(Measure::Incentive, true, false),
        Self::new(Measure::Observe, false, false),
        Self::new(Measure::Observe, false, true),
        Self::new(Measure::Observe, true, false),
        Self::new(Measure::Mark, false, false),
        Self::new(Measure::Mark, false, true),
        Self::new(Measure::Mark, true, false),
        Self::new(Measure::RateLimit, false, false),
        Self::new(Measure::Drop, false, false),
    ];

    const fn new(measure: Measure, is_operators: bool, is_good: bool) -> Self {
        Self { measure, is_operators, is_good }
    }

    /// The class of a measure, without what makes no difference to it: nothing that behaviour comes to is harder than a rate
    /// limit, and an operator's word is not measured against it. None where nothing is asked for.
    const fn of(measure: Measure, is_operators: bool, is_good: bool) -> Option<Self> {
        match (measure, is_operators, is_good) {
            (Measure::None, false, false) => None,
            (Measure::RateLimit | Measure::Drop, ..) => Some(Self::new(measure, false, false)),
            (_, true, _) => Some(Self::new(measure, true, false)),
            _ => Some(Self::new(measure, false, is_good)),
        }
    }

    /// The class's place among [`Class::ALL`].
    pub(crate) fn number(self) -> u8 {
        let place = Self::ALL.iter().position(|class| *class == self);
        place.expect("every class that is made is listed") as u8
    }

    /// The name of the class's chain.
    pub(crate) fn chain(self) -> String {
        let whose = if self.is_operators { "_operators" } else { "" };
        let good = if self.is_good { "_good" } else { "" };
        format!("listed_{}{whose}{good}", self.measure.name())
    }
}

/// What holds for a range, and for how long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) class: Class,
    /// Unix seconds.
    pub(crate) expires: u32,
    /// Whose rate is limited: the prefix of the ruling record.
    pub(crate) limited: Option<Prefix>,
}

/// A range of addresses of which the same holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Piece {
    pub(crate) first: u128,
    pub(crate) last: u128,
    pub(crate) word: Word,
}

/// A cache at one moment, flattened.
#[derive(Debug, Default)]
pub(crate) struct Flat {
    /// Ranges in the order of addresses, at most two for each record and one more.
    pub(crate) pieces: Vec<Piece>,
    /// The second from which a record may say something that the ranges do not.
    pub(crate) changes_at: Option<u64>,
}

/// The ranges of `cache` at `now` (Unix seconds); credit of `good_from` and above is good.
///
/// Linear in the records and in those that cover each of them, but for putting them in order.
pub(crate) fn flatten(cache: &Cache, now: u64, good_from: u16) -> Flat {
    let mut sweep = Sweep { covers: Vec::with_capacity(129), next: 0, flat: Flat::default() };
    for (prefix, number) in cache.firsts() {
        let (word, changes_at) = word(cache, number, now, good_from);
        sweep.enter(prefix, word);
        let earlier = [sweep.flat.changes_at, changes_at].into_iter().flatten().min();
        sweep.flat.changes_at = earlier;
    }
    sweep.leave_all();
    sweep.flat
}

/// What holds at `now` where the record of that number is the first of the longest prefix, and when that may change to something
/// else than nothing.
fn word(cache: &Cache, number: u32, now: u64, good_from: u16) -> (Option<Word>, Option<u64>) {
    let standing = cache.standing(number, now);
    let Some(credit) = standing.credit.map(|number| cache.entry(number)) else { return (None, None) };
    let ruling = standing.ruling.map(|number| cache.entry(number));
    let first_end = ruling.map_or(credit.expires(), |ruling| ruling.expires().min(credit.expires())).into();
    let changes_at = cache.standing(number, first_end).credit.map(|_| first_end);
    let is_good =
        credit.is_enforceable() && credit.rating().score().is_some_and(|score| score.value() >= good_from);
    let measure = ruling.map_or(Measure::None, Entry::allowed);
    let is_operators = ruling.is_some_and(|ruling| ruling.precedence() >= Precedence::OperatorDeny);
    let word = Class::of(measure, is_operators, is_good).map(|class| Word {
        class,
        expires: match ruling {
            Some(ruling) if measure != Measure::None || is_operators => ruling.expires(),
            _ => credit.expires(),
        },
        limited: standing
            .ruling
            .filter(|_| measure == Measure::RateLimit)
            .map(|number| cache.record(number).prefix),
    });
    (word, changes_at)
}

/// The pass over the prefixes.
struct Sweep {
    /// The last address and the word of each prefix that contains the present address, from the widest to the narrowest.
    covers: Vec<(u128, Option<Word>)>,
    /// The first address that is not settled yet.
    next: u128,
    flat: Flat,
}

impl Sweep {
    /// Goes on to the next prefix in order.
    fn enter(&mut self, prefix: Prefix, word: Option<Word>) {
        while self.covers.last().is_some_and(|(last, _)| *last < prefix.first()) {
            self.leave();
        }
        if prefix.first() > self.next {
            self.settle(prefix.first() - 1);
        }
        self.next = prefix.first();
        self.covers.push((prefix.last(), word));
    }

    /// Comes to the end of the narrowest prefix.
    fn leave(&mut self) {
        let Some((last, _)) = self.covers.last().copied() else { return };
        if self.next <= last {
            self.settle(last);
        }
        self.covers.pop();
        // An address behind the last of all is never asked for: whatever covers it ends there too.
        self.next = last.wrapping_add(1);
        if self.next == 0 {
            self.covers.clear();
        }
    }

    fn leave_all(&mut self) {
        while !self.covers.is_empty() {
            self.leave();
        }
    }

    /// Adds what holds up to `last`, to the range before where that is the same.
    fn settle(&mut self, last: u128) {
        let Some(word) = self.covers.last().and_then(|(_, word)| *word) else { return };
        match self.flat.pieces.last_mut() {
            Some(before) if before.word == word && before.last.checked_add(1) == Some(self.next) => {
                before.last = last;
            }
            _ => self.flat.pieces.push(Piece { first: self.next, last, word }),
        }
    }
}

#[cfg(test)]
#[path = "flatten_tests.rs"]
mod tests;
