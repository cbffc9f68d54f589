//! What all members do together: they restrict what the worst decisions are about, and change the rules.

use credence_credit::{ActId, Authority, Measure};
use credence_law::acts::Ballot;
use credence_law::party::{Function, Party};
use ed25519_dalek::SigningKey;

use crate::cast::{Change, MEMBERS, member};
use crate::model::{Claim, Intent};
use crate::platform::unix;
use crate::world::{Event, MINUTE, Simulation};

impl Simulation {
    /// A member proposes to restrict what a decision is about, and all vote, each at its own time. Hostile ones as they like.
    pub(crate) fn restrict(&mut self, by: u16) {
        let decided = self.model.decided(unix(self.now_ms));
        if decided.is_empty() {
            return;
        }
        let (decision, about) = self.dice.one(&decided);
        let measure = self.dice.one(&[Measure::Drop, Measure::RateLimit]);
        let (now, lasts) = (self.clock(by), 5 * 86_400);
        let proposal = self.cast.proposal(by, decision, (about, measure), (now, lasts));
        let signed = self.cast.sign(proposal, &[(member(by), Function::Votes)]);
        let (issuer, authority, expires) = (Party::Body, Authority::Restriction, now + lasts);
        let claim = Claim { issuer, prefix: about, authority, measure, expires };
        let proposal = self.send(by, &signed, Intent::Propose(claim, decision));
        self.after(20 * MINUTE, Event::Vote(proposal));
    }

    /// Members vote on what is known to the platform by then.
    pub(crate) fn vote(&mut self, proposal: ActId) {
        let is_here = self.platform.desk().is_some_and(|desk| desk.receipt(&proposal).is_some());
        if !is_here {
            return self.note("unproposed", format_args!(""));
        }
        for by in 1..=MEMBERS {
            let ballot = match self.hostile.contains(&by) {
                true => self.dice.one(&[Some(Ballot::Yes), Some(Ballot::Yes), Some(Ballot::No), None]),
                false => Some(self.dice.one(&[Ballot::Yes, Ballot::Yes, Ballot::Yes, Ballot::Abstain])),
            };
            let Some(ballot) = ballot else { continue };
            let vote = self.cast.vote(by, proposal, ballot, self.clock(by));
            let signed = self.cast.sign(vote, &[(member(by), Function::Votes)]);
            self.send(by, &signed, Intent::Vote(proposal, by, ballot));
        }
    }

    /// The keepers of the root change the rules: a member's key was stolen, or clocks are to go otherwise.
    pub(crate) fn change_rules(&mut self) {
        let change = match self.dice.happens(600) {
            true => {
                let of = self.honest();
                Change::Rekeyed(of, Box::new(SigningKey::from_bytes(&self.dice.bytes())))
            }
            false => Change::Procedure,
        };
        let Some(desk) = self.platform.desk() else { return };
        let signed = self.cast.rules(desk.law().unwrap(), &change);
        self.send(0, &signed, Intent::Rules(change));
    }

    /// Whoever has stolen a key that was revoked since says something with it.
    pub(crate) fn steal(&mut self) {
        if self.cast.stolen.is_empty() {
            return;
        }
        let (of, key) = self.dice.one(&self.cast.stolen.clone());
        let about = self.place(of);
        let alert = self.cast.alert(of, about, Measure::RateLimit, (self.clock(of), 7_200));
        let signed = self.cast.signed_with(alert, &key);
        self.send(of, &signed, Intent::Nothing);
    }
}
