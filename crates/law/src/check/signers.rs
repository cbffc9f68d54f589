//! Who must have signed what.

use std::collections::BTreeSet;

use super::Law;
use super::subject::signatures_for;
use crate::acts::{Act, Control};
use crate::party::{Function, Party};
use crate::refusal::Refusal;
use crate::registry::Speaker;

impl Law {
    /// That all who signed could, and that their keys were valid then.
    pub(super) fn signers(&self, act: &Act, speakers: &[Speaker]) -> Result<(), Refusal> {
        let function = function(act)?;
        let issuer = act.issuer();
        let speaks = |speaker: &Speaker| speaker.function == function && speaks_for(speaker.party, issuer);
        if !speakers.iter().all(speaks) {
            return Err(Refusal::WrongSigner);
        }
        let in_time = speakers.iter().all(|speaker| speaker.is_valid(act.preamble().issued));
        if in_time { Ok(()) } else { Err(Refusal::KeyTime) }
    }

    /// That those who signed are enough.
    pub(super) fn enough(&self, act: &Act, speakers: &[Speaker]) -> Result<(), Refusal> {
        let enough = self.weight(act.issuer(), speakers) >= self.needed(act);
        if enough { Ok(()) } else { Err(Refusal::TooFewSignatures) }
    }

    /// How much signatures count: each organisation with a seat once, each adviser once, each key of any other once.
    fn weight(&self, issuer: Party, speakers: &[Speaker]) -> usize {
        match issuer {
            Party::Body => {
                self.register().organisations(speakers.iter().filter_map(|speaker| speaker.party.member()))
            }
            Party::Adviser(_) => speakers.iter().map(|speaker| speaker.party).collect::<BTreeSet<_>>().len(),
            _ => speakers.len(),
        }
    }

    /// How much they must.
    fn needed(&self, act: &Act) -> usize {
        let registry = self.register().registry();
        match act.issuer() {
            Party::Body => registry.quorum.into(),
            Party::Adviser(_) => registry.advice_quorum.into(),
            _ => signatures_for(act),
        }
    }
}

/// The function that an act's keys have.
fn function(act: &Act) -> Result<Function, Refusal> {
    let by_issuer = match act.issuer() {
        Party::Member(_) => Function::Alerts,
        Party::Body => Function::Decisions,
        Party::Adviser(_) => Function::Advice,
        Party::Executive => Function::Execution,
        Party::Operator => Function::Operation,
    };
    let (function, may) = match act {
        Act::OwnAlert(_)
        | Act::Report(_)
        | Act::Applied(_)
        | Act::Repair(_)
        | Act::SecurityAlert(_)
        | Act::Call(_)
        | Act::Answer(_) => (Function::Alerts, by_issuer == Function::Alerts),
        Act::Confirmation(_) => (by_issuer, matches!(by_issuer, Function::Alerts | Function::Advice)),
        // Who makes rules says what it thinks of them with the same key.
        Act::Draft(_) | Act::Comment(_) => (Function::Rules, by_issuer == Function::Alerts),
        Act::Proposal(_) | Act::Vote(_) => (Function::Votes, by_issuer == Function::Alerts),
        Act::Opinion(_) => (Function::Advice, by_issuer == Function::Advice),
        Act::Decision(_) => (Function::Decisions, by_issuer == Function::Decisions),
        Act::Relief(_) => (Function::Execution, by_issuer == Function::Execution),
        Act::Complaint(complaint) => match complaint.control {
            Control::Answered => (Function::Operation, by_issuer == Function::Operation),
            Control::Holder => (Function::Alerts, by_issuer == Function::Alerts),
        },
        Act::Correction(_) | Act::Outcome(_) => {
            (by_issuer, matches!(by_issuer, Function::Alerts | Function::Decisions))
        }
        // Each takes back its own; what the operator has brought in for somebody else as well.
        Act::Lifting(_) => {
            (by_issuer, matches!(by_issuer, Function::Alerts | Function::Decisions | Function::Operation))
        }
        Act::Erasure(_) => (by_issuer, matches!(by_issuer, Function::Operation | Function::Decisions)),
        Act::Manifest(_) => (by_issuer, true),
    };
    if may { Ok(function) } else { Err(Refusal::WrongSigner) }
}

/// Whether a party's key may stand under an act of `issuer`. The coordinating body acts by the seats of members, and advisers
/// sign together.
const fn speaks_for(party: Party, issuer: Party) -> bool {
    match (party, issuer) {
        (Party::Member(one), Party::Member(other)) => one.0 == other.0,
        (Party::Member(_), Party::Body)
        | (Party::Adviser(_), Party::Adviser(_))
        | (Party::Executive, Party::Executive)
        | (Party::Operator, Party::Operator) => true,
        _ => false,
    }
}
