//! What is in force, kept in step with a book act by act.
//!
//! [`Book::records`] finds what is in force from all acts there are. Whoever asks each second needs what has changed since the last
//! time, and that follows from the acts that were entered since and from the clock: an act changes what it says itself, what it
//! names, and what is named by that, since a complaint that is taken back stood for an act; a proposal changes with the
//! decision that it rests on. Time ends acts, and brings about what was dated ahead. Another registry, an erasure, or a clock that was
//! set back changes everything, and everything is found anew.

use core::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use credence_credit::{ActId, Authority, Measure, Record};
use credence_prefix::Prefix;

use super::records::Strength;
use super::{Book, Issuers};
use crate::acts::Act;
use crate::check::{Acts, Law, RESTRICTIONS_MAX};
use crate::party::Party;

/// Who says something of a prefix, and by what right: of all acts that do, one speaks.
pub type Voice = (Party, Prefix, Authority);

/// An act in force that makes a record: of one voice the act that speaks is the first.
type Standing = (Voice, Reverse<Strength>);

/// What voices said before, as far as something may have changed of it.
type Before = BTreeMap<Voice, Option<Standing>>;

/// What has changed since the last time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// Perhaps everything.
    All,
    /// What these say, and nothing else.
    Voices(BTreeSet<Voice>),
}

/// What is in force at a moment.
#[derive(Debug, Default)]
pub struct InForce {
    /// The moment, in Unix seconds.
    at: u64,
    /// How many acts of the book's order were looked at, and how many were erased then.
    seen: (usize, usize),
    /// The version of the registry.
    registry: u32,
    /// Acts that its revoked keys have signed. There come no more as long as it is the same.
    disowned: BTreeSet<ActId>,
    standing: BTreeSet<Standing>,
    /// The proposals, numbered in their order.
    proposals: HashMap<ActId, usize>,
    /// Those that all members agreed on and whose decision stands.
    agreed: BTreeSet<(usize, ActId)>,
    /// The first of them, which are restrictions.
    restricting: BTreeSet<(usize, ActId)>,
    /// Acts with moments to come, in Unix seconds, at which something about them comes to pass that was dated ahead.
    ahead: BTreeSet<(u64, ActId)>,
}

impl InForce {
    /// Follows the book to `now`, in Unix seconds. Returns what has changed since it was followed last.
    pub fn follow(&mut self, book: &Book, law: &Law, now: u64) -> Changed {
        let registry = law.register().registry().version;
        let is_same = (self.seen.1, self.registry) == (book.erased.len(), registry);
        if !is_same || self.seen.0 == 0 || now < self.at {
            let disowned = book.disowned(law.register());
            *self = Self { at: now, registry, disowned, ..Self::default() };
            self.begin(book, law);
            return Changed::All;
        }
        let touched = self.touched(book, now);
        (self.at, self.seen.0) = (now, book.order.len());
        let mut before = Before::new();
        touched.iter().for_each(|id| self.look(book, law, id, &mut before));
        self.restrict(book, &mut before);
        let voices = before.into_iter().filter(|(voice, was)| self.first(voice) != *was);
        Changed::Voices(voices.map(|(voice, _)| voice).collect())
    }

    /// The acts about which something may have changed between the last time and `now`.
    fn touched(&mut self, book: &Book, now: u64) -> BTreeSet<ActId> {
        let mut touched = BTreeSet::new();
        for id in book.order.iter().skip(self.seen.0) {
            touched.extend(self.meet(book, id, now));
        }
        let [since, until] = [self.at, now].map(|at| (at.saturating_add(1), ActId([0; 32])));
        let behind = self.ahead.split_off(&until);
        touched.extend(std::mem::replace(&mut self.ahead, behind).into_iter().map(|(_, id)| id));
        touched.extend(book.ending.range(since..until).map(|(_, id)| *id));
        let resting: Vec<_> = touched.iter().flat_map(|id| resting(book, id)).collect();
        touched.extend(resting);
        touched
    }

    /// Meets an act for the first time. Returns the acts about which it may change something, now or when its date has come.
    fn meet(&mut self, book: &Book, id: &ActId, now: u64) -> Vec<ActId> {
        let Some(act) = book.act(id) else { return Vec::new() };
        if let Act::Proposal(proposal) = act {
            let moments = [proposal.closes, proposal.closes.saturating_add(1)];
            self.ahead.extend(moments.into_iter().filter(|at| now < *at).map(|at| (at, *id)));
            let number = self.proposals.len();
            self.proposals.insert(*id, number);
        }
        let named = act.cites();
        let further = named.iter().filter_map(|id| book.act(id)).flat_map(Act::cites);
        let concerned: Vec<_> = further.chain(named.iter().copied()).chain([*id]).collect();
        let issued = act.preamble().issued;
        if now < issued {
            self.ahead.extend(concerned.iter().map(|id| (issued, *id)));
        }
        concerned
    }

    /// Finds everything anew.
    fn begin(&mut self, book: &Book, law: &Law) {
        self.seen = (book.order.len(), book.erased.len());
        for id in &book.order {
            self.meet(book, id, self.at);
            self.look(book, law, id, &mut Before::new());
        }
        self.restrict(book, &mut Before::new());
    }

    /// Looks at an act again.
    fn look(&mut self, book: &Book, law: &Law, id: &ActId, before: &mut Before) {
        let Some(act) = book.act(id) else { return };
        let Some((party, ..)) = voice(act) else { return };
        if !book.is_owned(id, &self.disowned) {
            return;
        }
        if let Some(&number) = self.proposals.get(id) {
            let is_agreed = book.is_agreed(law, id, self.at);
            if is_agreed {
                self.agreed.insert((number, *id))
            } else {
                self.agreed.remove(&(number, *id))
            };
            if !self.restricting.contains(&(number, *id)) {
                return;
            }
        }
        if Issuers::is_one(law.register(), party) {
            self.stand(book, id, before);
        }
    }

    /// Lets the first proposals that are agreed on speak, and no others.
    fn restrict(&mut self, book: &Book, before: &mut Before) {
        let first = self.agreed.iter().take(RESTRICTIONS_MAX).copied().collect();
        let last = std::mem::replace(&mut self.restricting, first);
        for (_, id) in last.difference(&self.restricting.clone()) {
            self.take_out(book, id, before);
        }
        for (_, id) in self.restricting.clone().difference(&last) {
            self.stand(book, id, before);
        }
    }

    /// Lets an act stand as it does now.
    fn stand(&mut self, book: &Book, id: &ActId, before: &mut Before) {
        self.take_out(book, id, before);
        let most = book.state(id, self.at).and_then(super::records::most);
        self.standing.extend(most.zip(book.act(id)).and_then(|(most, act)| standing(act, id, most)));
    }

    /// Takes an act out as it may have stood: as it was made, or relieved. What its voice said is noted in `before`, unless it is
    /// noted there already.
    fn take_out(&mut self, book: &Book, id: &ActId, before: &mut Before) {
        let Some((act, voice)) = book.act(id).and_then(|act| Some((act, voice(act)?))) else { return };
        before.entry(voice).or_insert_with(|| first(&self.standing, &voice));
        for most in [Measure::Drop, Measure::RateLimit] {
            standing(act, id, most).map(|standing| self.standing.remove(&standing));
        }
    }

    fn first(&self, voice: &Voice) -> Option<Standing> {
        first(&self.standing, voice)
    }

    /// The voices that say something, in order.
    pub fn voices(&self) -> impl Iterator<Item = Voice> {
        let mut last = None;
        self.standing
            .iter()
            .map(|(voice, _)| *voice)
            .filter(move |voice| last.replace(*voice) != Some(*voice))
    }

    /// The act that speaks for a voice, if one does.
    pub fn speaks(&self, voice: &Voice) -> Option<ActId> {
        self.first(voice).map(|(_, Reverse((.., act)))| act)
    }

    /// The restrictions that speak.
    pub fn restrictions(&self, book: &Book) -> impl Iterator<Item = ActId> {
        let voice = |id: &ActId| book.act(id).and_then(voice);
        let speaks = move |id: &ActId| voice(id).is_some_and(|voice| self.speaks(&voice) == Some(*id));
        self.restricting.iter().map(|(_, id)| *id).filter(speaks)
    }

    /// What gateways are told by a voice; none where it says nothing.
    pub fn record(&self, book: &Book, issuers: &Issuers, voice: &Voice) -> Option<Record> {
        let (_, Reverse((measure, _, act))) = self.first(voice)?;
        book.told(book.accepted(&act)?, measure, issuers)
    }
}

fn first(standing: &BTreeSet<Standing>, voice: &Voice) -> Option<Standing> {
    let strongest = (*voice, Reverse((Measure::Drop, u64::MAX, ActId([0xff; 32]))));
    standing.range(strongest..).next().filter(|(other, _)| other == voice).copied()
}

/// Whose word an act is that makes a record.
fn voice(act: &Act) -> Option<Voice> {
    let (party, authority) = match act {
        Act::OwnAlert(_) => (act.issuer(), Authority::OwnAlert),
        Act::Decision(_) => (act.issuer(), Authority::Decision),
        // All members stand behind it, whoever proposed it.
        Act::Proposal(_) => (Party::Body, Authority::Restriction),
        _ => return None,
    };
    Some((party, act.subject()?.prefix, authority))
}

/// How an act stands that asks for `most` at most.
fn standing(act: &Act, id: &ActId, most: Measure) -> Option<Standing> {
    Some((voice(act)?, Reverse((act.measure()?.min(most), act.preamble().expires, *id))))
}

/// The proposals that rest on an act.
fn resting(book: &Book, id: &ActId) -> Vec<ActId> {
    let is_proposal = |id: &ActId| matches!(book.act(id), Some(Act::Proposal(_)));
    match book.act(id) {
        Some(Act::Decision(_)) => book.citing(id).into_iter().filter(is_proposal).collect(),
        _ => Vec::new(),
    }
}
