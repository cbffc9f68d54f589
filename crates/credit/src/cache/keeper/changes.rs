//! What is to change in a cache so that it says what another one does.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use credence_prefix::{NO_MATCH, Prefix, Publisher};

use super::Keeper;
use super::tally::Weight;
use crate::{Guarded, Header, Issuer, IssuerId, Record};

/// The most changes that are made one by one, whatever the size.
const ALWAYS: usize = 1_024;
/// The part of all prefixes beyond which a cache is better swapped than changed: a change takes some microseconds, a prefix
/// that is built anew a quarter of one.
const SHARE: usize = 8;
/// The most issuers, since an [`IssuerId`] has 16 bits.
const ISSUERS_MAX: usize = 1 << 16;

/// Changes to one cache, see [`Keeper::changes_to`]. They are good for as long as it says what it did when they were found.
#[derive(Debug)]
pub struct Changes {
    /// Stands for what the cache says, see [`Keeper`].
    pub(super) to: Arc<()>,
    /// In the order of prefixes, each once.
    pub(super) list: Vec<Change>,
    /// The cache's issuers, where there are more of them now.
    pub(super) issuers: Option<Arc<Vec<Issuer>>>,
    pub(super) sources: Arc<Vec<Header>>,
}

/// All that is to be said of a prefix.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) prefix: Prefix,
    pub(super) was: Told,
    /// Its records with what the guards say of them, from the one that is heard first.
    pub(super) records: Vec<(Record, Guarded)>,
    /// What they weigh.
    pub(super) weighs: Weight,
}

/// What there is about a prefix.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The number of the record that is heard first, or [`NO_MATCH`].
    pub(super) first: u32,
    /// That of the first record about the nearest prefix further out, or [`NO_MATCH`].
    pub(super) cover: u32,
    /// Whether there are records about prefixes inside.
    pub(super) is_outer: bool,
    /// The records with what the guards say of them, from the one that is heard first.
    pub(super) records: Vec<(Record, Guarded)>,
    /// What they weigh.
    pub(super) weighed: Weight,
}

impl Change {
    pub(super) fn new(prefix: Prefix, was: Told, records: Vec<(Record, Guarded)>) -> Self {
        let weighs = weight(&records);
        Self { prefix, was, records, weighs }
    }

    /// Whether anything else is said.
    pub(super) fn is_one(&self) -> bool {
        self.was.records != self.records
    }

    /// Whether a single record only lasts longer. One that lasts less long may hide less than it did, and those further out must be
    /// found before it ends.
    pub(super) fn lengthens(&self) -> bool {
        let ([(was, before)], [(record, now)]) = (&self.was.records[..], &self.records[..]) else {
            return false;
        };
        let is_longer = was.expires < record.expires && before == now;
        is_longer && Record { expires: record.expires, ..was.clone() } == *record
    }
}

fn weight(records: &[(Record, Guarded)]) -> Weight {
    Weight::of(records.iter().map(|(record, guarded)| (record, *guarded)))
}

impl Changes {
    /// The number of prefixes of which something else is said.
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing else is said of any.
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }
}

/// How many of so many prefixes are changed one by one at most.
pub(super) fn few(prefixes: usize) -> usize {
    ALWAYS.max(prefixes / SHARE)
}

impl Keeper {
    /// What is to change so that this cache says what the one of `other` does; none when that is so much that the other had better
    /// take its place.
    pub fn changes_to(&self, other: &Self) -> Option<Changes> {
        let (names, issuers) = self.adopt(&other.cache.issuers.load())?;
        let sources = other.cache.sources.load_full();
        let mut changes = Changes { to: Arc::clone(&self.said), list: Vec::new(), issuers, sources };
        let most = few(self.publisher.trie().len());
        let mut own = self.publisher.trie().iter().peekable();
        let mut others = other.publisher.trie().iter().peekable();
        loop {
            let prefix = match (own.peek(), others.peek()) {
                (Some((one, _)), Some((two, _))) => *one.min(two),
                (one, two) => match one.or(two) {
                    Some((prefix, _)) => *prefix,
                    None => return Some(changes),
                },
            };
            let is_this = |(next, _): &(Prefix, &u32)| *next == prefix;
            let (own, others) = (own.next_if(is_this), others.next_if(is_this));
            let records = others.map_or_else(Vec::new, |(_, &first)| other.records(first, &names));
            if own.is_some_and(|(_, &first)| self.says_all(first, &records)) {
                continue;
            }
            if changes.len() == most {
                return None;
            }
            let was = self.told(vec![prefix]).next().expect("of each prefix something is told");
            changes.list.push(Change::new(prefix, was, records));
        }
    }

    /// All about each of some prefixes, in their order.
    pub(super) fn told(&self, prefixes: Vec<Prefix>) -> impl Iterator<Item = Told> {
        let mut window = VecDeque::with_capacity(Publisher::WINDOW);
        let mut asked = 0;
        core::iter::from_fn(move || {
            if window.is_empty() {
                let next = &prefixes[asked..prefixes.len().min(asked + Publisher::WINDOW)];
                asked += next.len();
                self.publisher.trie().around(next, |around| {
                    let [first, cover] = [around.own, around.cover].map(|it| it.copied().unwrap_or(NO_MATCH));
                    self.ask(first);
                    window.push_back((first, cover, around.is_outer));
                });
            }
            let (first, cover, is_outer) = window.pop_front()?;
            let records: Vec<_> = self.records_from(first).collect();
            let weighed = weight(&records);
            Some(Told { first, cover, is_outer, records, weighed })
        })
    }

    /// A record and those about the same prefix that are heard later, with their issuers by the numbers of another cache.
    fn records(&self, first: u32, names: &[IssuerId]) -> Vec<(Record, Guarded)> {
        let named = |number| {
            let record = self.cache.record(number);
            let issuer = names[usize::from(record.issuer.0)];
            (Record { issuer, ..record }, self.cache.entry(number).guarded())
        };
        let mut records: Vec<(Record, Guarded)> = self.behind(first).map(named).collect();
        records.sort_by(|(one, _), (other, _)| one.contest(other));
        records
    }

    pub(super) fn says_all(&self, first: u32, records: &[(Record, Guarded)]) -> bool {
        let mut own = self.behind(first);
        let same = |(record, guarded): &(Record, Guarded)| {
            own.next().is_some_and(|number| self.says(number, record, *guarded))
        };
        records.iter().all(same) && own.next().is_none()
    }

    /// The numbers that another cache's issuers have here, and all issuers, if there are new ones among them; none when there would be
    /// too many.
    #[expect(clippy::type_complexity, reason = "a pair that is taken apart at once")]
    pub(super) fn adopt(&self, others: &[Issuer]) -> Option<(Vec<IssuerId>, Option<Arc<Vec<Issuer>>>)> {
        let own = self.cache.issuers.load_full();
        let mut all: Vec<Issuer> = Vec::clone(&own);
        let known: HashMap<&Issuer, usize> = own.iter().zip(0..).collect();
        let numbers = others.iter().map(|issuer| {
            let number = known.get(issuer).copied().unwrap_or_else(|| {
                all.push(issuer.clone());
                all.len() - 1
            });
            IssuerId(number as u16)
        });
        let numbers = numbers.collect();
        match all.len().cmp(&own.len()) {
            _ if all.len() > ISSUERS_MAX => None,
            Ordering::Equal => Some((numbers, None)),
            _ => Some((numbers, Some(Arc::new(all)))),
        }
    }
}
