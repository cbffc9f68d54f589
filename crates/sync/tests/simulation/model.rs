//! What was really said, kept as a plain list, apart from everything that is tested: who meant what, when it was taken in, and when
//! it was taken back.

use std::collections::{BTreeMap, HashMap};

use credence_credit::{ActId, Authority, Measure, Record};
use credence_law::acts::Ballot;
use credence_law::party::Party;
use credence_prefix::Prefix;

use crate::cast::{Change, MEMBERS, member};

/// What follows from an act if it is taken in.
#[derive(Clone, Debug)]
pub(crate) enum Intent {
    /// Something is to be done about addresses.
    Claim(Claim),
    /// An act is over, from a moment on, in Unix seconds.
    End(ActId, u64),
    /// An act that cuts off is milder, from a moment on.
    Relieve(ActId, u64),
    /// All members are asked to restrict what a decision is about.
    Propose(Claim, ActId),
    /// A member votes on that.
    Vote(ActId, u16, Ballot),
    /// Other rules.
    Rules(Change),
    /// Nothing, whatever its author hopes for.
    Nothing,
}

/// What is to be done about addresses, on whose word.
#[derive(Clone, Debug)]
pub(crate) struct Claim {
    pub(crate) issuer: Party,
    pub(crate) prefix: Prefix,
    pub(crate) authority: Authority,
    pub(crate) measure: Measure,
    /// In Unix seconds.
    pub(crate) expires: u64,
}

/// How much is known: so many entries of the log, at a moment, in Unix seconds.
pub(crate) type Known = (u64, u64);

/// A claim that was taken in, by places of the log, and by the moments from which on something is so.
#[derive(Debug)]
struct Stood {
    claim: Claim,
    from: u64,
    /// The claim that it rests on, without which it does not stand.
    on: Option<usize>,
    milder: Option<(u64, u64)>,
    until: Option<(u64, u64)>,
}

impl Stood {
    /// What it comes to where so much is known; none where it does not stand.
    fn measure(&self, (log_size, at): Known) -> Option<Measure> {
        let is_so = |(place, since): (u64, u64)| place < log_size && since <= at;
        if self.from >= log_size || self.until.is_some_and(is_so) {
            return None;
        }
        let is_milder = self.milder.is_some_and(is_so);
        Some(if is_milder { self.claim.measure.min(Measure::RateLimit) } else { self.claim.measure })
    }
}

/// Everything that was taken in.
#[derive(Debug, Default)]
pub(crate) struct Model {
    stood: Vec<Stood>,
    by_prefix: BTreeMap<Prefix, Vec<usize>>,
    by_act: HashMap<ActId, usize>,
    proposals: HashMap<ActId, Proposed>,
}

/// What members vote on.
#[derive(Debug)]
struct Proposed {
    claim: Claim,
    decision: ActId,
    votes: BTreeMap<u16, Ballot>,
}

impl Proposed {
    /// Whether all have voted, nobody against it, and two thirds for it.
    fn is_agreed(&self) -> bool {
        let count = |ballot| self.votes.values().filter(|cast| **cast == ballot).count();
        self.votes.len() == usize::from(MEMBERS)
            && count(Ballot::No) == 0
            && count(Ballot::Yes) * 3 >= usize::from(MEMBERS) * 2
    }
}

impl Model {
    /// An act was taken in at a place of the log. Whether all members have agreed on something by it.
    pub(crate) fn taken(&mut self, act: ActId, intent: Intent, place: u64) -> bool {
        match intent {
            Intent::Claim(claim) => self.stands(act, claim, (place, None)),
            Intent::Propose(claim, decision) => {
                self.proposals.insert(act, Proposed { claim, decision, votes: BTreeMap::new() });
            }
            Intent::Vote(about, by, ballot) => {
                let Some(proposed) = self.proposals.get_mut(&about) else { return false };
                proposed.votes.insert(by, ballot);
                if proposed.is_agreed() {
                    let (claim, on) = (proposed.claim.clone(), self.by_act.get(&proposed.decision).copied());
                    self.stands(about, claim, (place, on));
                    return true;
                }
            }
            Intent::End(about, since) => self.change(&about, |stood| {
                stood.until.get_or_insert((place, since));
            }),
            Intent::Relieve(about, since) => self.change(&about, |stood| {
                stood.milder.get_or_insert((place, since));
            }),
            // What the old key has signed counts no more, whenever that was.
            Intent::Rules(change) => {
                if let Change::Rekeyed(of, _) = change {
                    let own = self.stood.iter_mut().filter(|stood| stood.claim.issuer == member(of));
                    own.for_each(|stood| {
                        stood.until.get_or_insert((place, 0));
                    });
                }
            }
            Intent::Nothing => {}
        }
        false
    }

    /// A claim stands from a place of the log on, as long as the one that it rests on.
    fn stands(&mut self, act: ActId, claim: Claim, (from, on): (u64, Option<usize>)) {
        let number = self.stood.len();
        self.by_prefix.entry(claim.prefix).or_default().push(number);
        self.by_act.insert(act, number);
        self.stood.push(Stood { claim, from, on, milder: None, until: None });
    }

    /// What a claim comes to where so much is known; none where it does not stand, or what it rests on does not.
    fn measure(&self, stood: &Stood, known: Known) -> Option<Measure> {
        let rests = stood.on.map(|on| &self.stood[on]);
        let is_founded =
            rests.is_none_or(|rests| known.1 < rests.claim.expires && rests.measure(known).is_some());
        stood.measure(known).filter(|_| is_founded)
    }

    fn change(&mut self, act: &ActId, change: impl FnOnce(&mut Stood)) {
        if let Some(number) = self.by_act.get(act) {
            change(&mut self.stood[*number]);
        }
    }

    /// Whether somebody who may has said this, and not taken it back, as far as is known.
    pub(crate) fn supports(&self, record: &Record, known: Known) -> bool {
        let numbers = self.by_prefix.get(&record.prefix).map_or(&[][..], Vec::as_slice);
        numbers.iter().map(|number| &self.stood[*number]).any(|stood| {
            stood.claim.authority == record.authority
                && stood.claim.expires == record.expires
                && self.measure(stood, known).is_some_and(|measure| record.measure <= measure)
        })
    }

    /// What is in force of what was not over at a moment, in Unix seconds: of several claims of one issuer about one prefix the
    /// hardest, and of those the one that lasts longest.
    pub(crate) fn in_force(&self, known: Known, at: u64) -> BTreeMap<(Prefix, Authority), (Measure, u64)> {
        let mut force = BTreeMap::new();
        for stood in self.stood.iter().filter(|stood| at < stood.claim.expires) {
            if let Some(measure) = self.measure(stood, known) {
                let Claim { prefix, authority, expires, .. } = stood.claim;
                let known = force.entry((prefix, authority)).or_insert((measure, expires));
                *known = (measure, expires).max(*known);
            }
        }
        force
    }

    /// Decisions that stand at a moment, in Unix seconds, and what they are about.
    pub(crate) fn decided(&self, at: u64) -> Vec<(ActId, Prefix)> {
        let acts = self.standing(Party::Body, at).into_iter();
        let claims = acts.map(|act| (act, &self.stood[self.by_act[&act]].claim));
        let decided = claims.filter(|(_, claim)| claim.authority == Authority::Decision);
        decided.map(|(act, claim)| (act, claim.prefix)).collect()
    }

    /// The acts of an issuer that still stand at a moment, in Unix seconds.
    pub(crate) fn standing(&self, issuer: Party, at: u64) -> Vec<ActId> {
        let is_standing = |stood: &Stood| {
            stood.claim.issuer == issuer && at + 60 < stood.claim.expires && stood.until.is_none()
        };
        let mut acts: Vec<_> = self
            .by_act
            .iter()
            .filter(|(_, number)| is_standing(&self.stood[**number]))
            .map(|(act, number)| (*number, *act))
            .collect();
        acts.sort_unstable();
        acts.into_iter().map(|(_, act)| act).collect()
    }
}
