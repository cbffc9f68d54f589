//! What an issuer is asked to state next, and how it finds out whether that is its own word.
//!
//! The platform knows at each moment what an issuer's acts come to; only the issuer can sign for it. So it is shown what has changed
//! since its last manifest, with the acts that the new rows come from, and signs when each of those rows follows from acts that
//! its own keys have signed, and none of all its rows is at odds with an act that travels by itself in the feed that it follows: what
//! was lifted, say, is stated no more. Rows that go are not argued about: what nobody states restricts nobody. What an issuer has taken
//! back elsewhere and the platform keeps from everybody is not seen here; it stands in the public log, and shows there.

use std::collections::{BTreeMap, BTreeSet};

use credence_credit::{ActId, Authority};
use credence_law::acts::{Manifest, Preamble, Purpose};
use credence_law::book::Issuers;
use credence_law::layout::{Layout, fields, in_order};
use credence_law::party::Party;
use credence_law::{Act, Book, Law};

use crate::files::Many;
use crate::pack::{pack, unpack};
use crate::publish::closed;
use crate::reject::Reject;
use crate::row::{Key, Row};
use crate::shard::{Changes, Shard};
use crate::state::{LOOSE_MAX, Loose, State, UNLISTED_LASTS};

/// The most rows that are new in one proposal. More of them come with the next, once this one is stated.
pub const NEW_ROWS_MAX: usize = 1 << 11;
/// What a proposal unpacks to at most, in bytes.
const PROPOSAL_MAX: usize = 1 << 26;
/// How far the moment of a proposal may be from the issuer's own clock, in seconds.
const APART_MAX: u64 = 120;

fields! {
    /// What an issuer's acts come to, as changes of what its last manifest states.
    pub struct Proposal {
        /// Whose acts.
        pub party: Party,
        /// The number of the manifest that states what is changed; 0 where none is in force.
        pub after: u64,
        /// The moment at which the acts come to this, in Unix seconds.
        pub at: u64,
        /// The number of pages then, as a power of two.
        pub bits: u8,
        /// Rows that are new, or say something else, in order.
        pub put: Many<Row>,
        /// Rows that are there no more, in order.
        pub gone: Many<Key>,
        /// The acts that the new rows come from, with all that those rest on and all that changes them, in the order of their places.
        pub acts: Many<Loose>,
    }
}

/// The public acts that new rows come from, with all that those rest on and all that changes them, at `at` in Unix seconds.
pub fn grounds(book: &Book, rows: &[Row], at: u64) -> BTreeSet<ActId> {
    let acts = rows.iter().flat_map(|row| book.named(row.expires, row.act));
    closed(book, acts.collect(), at)
}

impl Proposal {
    /// What leads from the rows of a manifest in force towards `next`, without the acts, and the rows that come of it: `next`, or on the
    /// way there where more is new than one proposal brings.
    ///
    /// # Errors
    /// When the rows that come of it are too many.
    pub fn towards(
        next: &Shard,
        (party, before): (Party, Option<(&Manifest, &Shard)>),
        at: u64,
    ) -> Result<(Self, Shard), Reject> {
        let none = Shard::default();
        let after = before.map_or(0, |(manifest, _)| manifest.preamble.number);
        let before = before.map_or(&none, |(_, shard)| shard);
        let mut changes = before.changes_to(next);
        let is_whole = changes.put.len() <= NEW_ROWS_MAX;
        changes.put.truncate(NEW_ROWS_MAX);
        let stated = if is_whole { next.clone() } else { before.after(changes.clone())? };
        let Changes { put, gone } = changes;
        let (bits, acts) = (stated.bits(), Many(Vec::new()));
        Ok((Self { party, after, at, bits, put: Many(put), gone: Many(gone), acts }, stated))
    }

    /// What is signed for the rows that come of it.
    pub fn manifest(&self, law: &Law, stated: &Shard) -> Manifest {
        let preamble = Preamble {
            issuer: self.party,
            number: self.at.saturating_mul(1_000).max(self.after.saturating_add(1)),
            issued: self.at,
            expires: self.at.saturating_add(UNLISTED_LASTS),
            registry: law.register().registry().version,
            purpose: Purpose::Governance,
        };
        Manifest { preamble, count: stated.len(), digest: stated.digest() }
    }

    /// Its bytes.
    pub fn encode(&self) -> Vec<u8> {
        pack(&self.to_bytes())
    }

    /// Reads what [`encode`](Self::encode) has written.
    ///
    /// # Errors
    /// When the bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, Reject> {
        let proposal = Self::from_bytes(&unpack(bytes, PROPOSAL_MAX)?)?;
        in_order(&proposal.acts.0, |act| act.place).map_err(|_| Reject::Order)?;
        Ok(proposal)
    }

    /// The rows that the issuer states if it signs, seen from its side at `now`, in Unix seconds. `state` is what is in force by the feed
    /// that it follows itself.
    ///
    /// # Errors
    /// [`Reject::Base`] when it is about another manifest than the last one, [`Reject::Expired`] and [`Reject::Future`] when it is
    /// of another time, and what does not stand, does not follow from acts that the issuer has signed, or is harder than what acts say
    /// that travel by themselves.
    pub fn agreed(&self, state: &State, party: Party, now: u64) -> Result<Shard, Reject> {
        let (law, before) = (state.rules().law()?, state.shard(party));
        let known = before.map_or(0, |(manifest, _)| manifest.preamble.number);
        if self.party != party || self.after != known {
            return Err(Reject::Base { from: self.after, known });
        }
        if self.at.saturating_add(APART_MAX) < now {
            return Err(Reject::Expired);
        }
        if now.saturating_add(APART_MAX) < self.at {
            return Err(Reject::Future);
        }
        if self.put.0.len() > NEW_ROWS_MAX || self.acts.0.len() > LOOSE_MAX {
            return Err(Reject::TooLarge);
        }
        let said = said(law, party, &self.acts.0, self.at)?;
        if self.put.0.iter().any(|row| said.get(&row.key()) != Some(row)) {
            return Err(Reject::Stated(party));
        }
        let none = Shard::default();
        let before = before.map_or(&none, |(_, shard)| shard);
        let rows =
            before.changed(Changes { put: self.put.0.clone(), gone: self.gone.0.clone() }, self.bits)?;
        self.is_borne_out(&rows, state, party)?;
        Ok(rows)
    }

    /// That no row asks for more than the acts come to that travel by themselves, together with those that it brings. A platform that
    /// does not tell an issuer what it has taken back has told it to gateways, or hidden it from everybody.
    fn is_borne_out(&self, rows: &Shard, state: &State, party: Party) -> Result<(), Reject> {
        let law = state.rules().law()?;
        let known = known(law, party, &state.book_with(&self.acts.0, self.at)?, self.at);
        let is_harder = |row: &Row| {
            // What ends by itself meanwhile is nothing that anybody has said.
            self.at < row.expires && known.get(&row.key()).is_none_or(|known| known.measure < row.measure)
        };
        let by_themselves = state.by_themselves().flat_map(|(prefix, act)| {
            let rows = Authority::ALL.map(|right| rows.row((prefix, right)));
            rows.into_iter().flatten().filter(move |row| row.act == act)
        });
        let mut rows = by_themselves.chain(self.put.0.iter().cloned());
        if rows.any(|row| is_harder(&row)) { Err(Reject::Stated(party)) } else { Ok(()) }
    }
}

/// What these acts alone come to on the word of one party.
fn said(law: &Law, party: Party, acts: &[Loose], at: u64) -> Result<BTreeMap<Key, Row>, Reject> {
    let mut book = Book::of_public_acts();
    acts.iter().try_for_each(|act| examine(law, act, &mut book, at))?;
    Ok(known(law, party, &book, at))
}

/// Enters an act that stands by those before it.
pub(crate) fn examine(law: &Law, act: &Loose, book: &mut Book, at: u64) -> Result<(), Reject> {
    let accepted = law.examine(&act.signed, book, at).map_err(|refusal| Reject::Act(act.place, refusal))?;
    if !matches!(accepted.act, Act::Manifest(_)) {
        book.enter(accepted);
    }
    Ok(())
}

/// The rows that a party can state by the acts of a book.
fn known(law: &Law, party: Party, book: &Book, at: u64) -> BTreeMap<Key, Row> {
    let id = Issuers::of(law.register()).id(party);
    let (_, records) = book.records(law, at);
    let own = records.iter().filter(|record| record.issuer == id).filter_map(Row::of);
    own.map(|row| (row.key(), row)).collect()
}
