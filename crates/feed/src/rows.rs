//! What issuers could state, kept in step with a book: the rows of what is in force, and which acts have to travel beside what
//! issuers have stated.

use std::collections::{BTreeMap, BTreeSet};

use credence_credit::{ActId, Authority};
use credence_law::book::{Changed, InForce, Issuers, Voice};
use credence_law::party::Party;
use credence_law::{Acts, Book, Law};

use crate::publish::{bounded, closed};
use crate::reject::Reject;
use crate::row::{Key, Row};
use crate::shard::{Changes, Shard};
use crate::state::UNLISTED_LASTS;

/// What each issuer states, by its newest manifest that is to be published.
pub type Stated<'s> = BTreeMap<Party, &'s Shard>;

/// The rows of all issuers, as they are and as they are stated.
#[derive(Debug, Default)]
pub struct Rows {
    in_force: InForce,
    issuers: BTreeMap<Party, Issuer>,
}

/// The rows of one issuer.
#[derive(Debug, Default)]
pub struct Issuer {
    now: Shard,
    stated: Shard,
    /// Of how many keys the two say different things, and of how many of those there is a row now.
    differing: (usize, usize),
    /// Those of these keys of which it is told act by act what is in force.
    open: BTreeSet<Key>,
    /// Whether something is in force that nobody is told.
    is_unheard: bool,
}

impl Issuer {
    /// The rows that it could state now.
    pub const fn now(&self) -> &Shard {
        &self.now
    }

    /// Whether it states what is in force.
    pub const fn is_stated(&self) -> bool {
        self.differing.0 == 0
    }

    /// Whether something is in force that no gateway counts before it is stated: an act that another one hid for longer than acts count
    /// that nobody's manifest lists.
    pub const fn is_unheard(&self) -> bool {
        self.is_unheard
    }

    /// How many rows are new, or say something else than is stated.
    pub const fn new_rows(&self) -> usize {
        self.differing.1
    }

    /// Whether it states nothing and has nothing to state.
    pub const fn is_silent(&self) -> bool {
        self.now.is_empty() && self.stated.is_empty()
    }

    /// Takes changes of what is in force.
    fn change(&mut self, changes: Changes) -> Result<(), Reject> {
        let keys: Vec<_> = changes.put.iter().map(Row::key).chain(changes.gone.iter().copied()).collect();
        let (differed, were_new) = self.differ(&keys);
        self.now = self.now.after(changes)?;
        self.open.extend(&keys);
        let (differ, are_new) = self.differ(&keys);
        self.differing.0 = self.differing.0 + differ - differed;
        self.differing.1 = self.differing.1 + are_new - were_new;
        Ok(())
    }

    /// Of how many of these keys what is stated is not what is in force, and of how many of those there is a row now.
    fn differ(&self, keys: &[Key]) -> (usize, usize) {
        let differ = keys.iter().filter(|key| self.now.row(**key) != self.stated.row(**key));
        differ.fold((0, 0), |(all, new), key| (all + 1, new + usize::from(self.now.row(*key).is_some())))
    }

    /// The acts by which a key says something else than is stated, as far as a gateway would count them. `speaks` is the act in
    /// force.
    fn contested(&self, book: &Book, key: Key, speaks: Option<ActId>, at: u64) -> Vec<ActId> {
        if self.now.row(key) == self.stated.row(key) {
            return Vec::new();
        }
        let listed = self.stated.row(key).filter(|row| speaks.is_some() || at < row.expires);
        // Members vote for weeks; whether their last word is new is seen by whoever follows.
        let is_new = |id: &ActId| {
            let issued = book.act(id).map(|act| act.preamble().issued);
            key.1 == Authority::Restriction
                || issued.is_some_and(|issued| at < issued.saturating_add(UNLISTED_LASTS))
        };
        let is_listed = |id: &ActId| listed.as_ref().is_some_and(|row| row.act == id.short());
        let by_row = listed.iter().flat_map(|row| book.named(row.expires, row.act));
        speaks.filter(|id| is_listed(id) || is_new(id)).into_iter().chain(by_row).collect()
    }

    /// Compares what is stated with what is in force.
    fn compare(&mut self) {
        let Changes { put, gone } = self.stated.changes_to(&self.now);
        self.differing = (put.len() + gone.len(), put.len());
        self.open = put.iter().map(Row::key).chain(gone).collect();
        self.is_unheard = false;
    }
}

impl Rows {
    /// Follows a book to `at`, in Unix seconds, and what issuers state.
    ///
    /// # Errors
    /// When an issuer has more rows than a shard holds.
    pub fn follow(&mut self, book: &Book, law: &Law, stated: &Stated<'_>, at: u64) -> Result<(), Reject> {
        let issuers = Issuers::of(law.register());
        let followed = match self.in_force.follow(book, law, at) {
            Changed::All => self.begin(book, &issuers),
            Changed::Voices(voices) => self.change(book, &issuers, &voices),
        };
        if followed.is_err() {
            // What was followed and is not in the rows would be missing for good.
            *self = Self::default();
        }
        followed?;
        let silent = Shard::default();
        let parties: BTreeSet<_> = self.issuers.keys().chain(stated.keys()).copied().collect();
        for party in parties {
            let issuer = self.issuers.entry(party).or_default();
            let stated = stated.get(&party).copied().unwrap_or(&silent);
            if !issuer.stated.is(stated) {
                issuer.stated = stated.clone();
                issuer.compare();
            }
        }
        Ok(())
    }

    /// Finds all rows anew. Pages of those before are kept where nothing has changed.
    fn begin(&mut self, book: &Book, issuers: &Issuers) -> Result<(), Reject> {
        let mut rows: BTreeMap<Party, Vec<Row>> =
            self.issuers.keys().map(|party| (*party, Vec::new())).collect();
        for voice in self.in_force.voices() {
            rows.entry(voice.0).or_default().extend(self.row(book, issuers, &voice));
        }
        for (party, rows) in rows {
            let issuer = self.issuers.entry(party).or_default();
            issuer.now = issuer.now.followed_by(&rows)?;
            issuer.compare();
        }
        Ok(())
    }

    fn change(&mut self, book: &Book, issuers: &Issuers, voices: &BTreeSet<Voice>) -> Result<(), Reject> {
        let mut changes: BTreeMap<Party, Changes> = BTreeMap::new();
        for voice in voices {
            let of_party = changes.entry(voice.0).or_default();
            match self.row(book, issuers, voice) {
                Some(row) => of_party.put.push(row),
                None => of_party.gone.push(key(voice)),
            }
        }
        let mut changes = changes.into_iter();
        changes.try_for_each(|(party, changes)| self.issuers.entry(party).or_default().change(changes))
    }

    fn row(&self, book: &Book, issuers: &Issuers, voice: &Voice) -> Option<Row> {
        Row::of(&self.in_force.record(book, issuers, voice)?)
    }

    /// The issuers with their rows.
    pub fn issuers(&self) -> impl Iterator<Item = (Party, &Issuer)> {
        self.issuers.iter().map(|(party, issuer)| (*party, issuer))
    }

    /// The public acts that have to travel by themselves at `at`, in Unix seconds, beside the rows that issuers state: those of
    /// which the rows say something else, and all that they rest on and that was said of them.
    pub fn loose(&mut self, book: &Book, at: u64) -> BTreeSet<ActId> {
        let mut wanted: BTreeSet<_> = self.in_force.restrictions(book).collect();
        for (party, issuer) in &mut self.issuers {
            // What is of no use any more is of none later: a new act of an issuer that states nothing counts for a while.
            let mut is_unheard = issuer.is_unheard;
            let open = std::mem::take(&mut issuer.open).into_iter().filter(|key| {
                let speaks = self.in_force.speaks(&(*party, key.0, key.1));
                let acts = issuer.contested(book, *key, speaks, at);
                let differs = issuer.now.row(*key) != issuer.stated.row(*key);
                is_unheard |= differs && speaks.is_some_and(|id| !acts.contains(&id));
                wanted.extend(&acts);
                !acts.is_empty()
            });
            issuer.open = open.collect();
            issuer.is_unheard = is_unheard;
        }
        let stated = self.issuers().map(|(party, issuer)| (party, &issuer.stated)).collect();
        closed(book, bounded(book, &stated, wanted), at)
    }
}

const fn key(voice: &Voice) -> Key {
    (voice.1, voice.2)
}
