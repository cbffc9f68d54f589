//! What is waited for.

use std::collections::BTreeSet;

use credence_credit::ActId;

use super::Book;
use crate::acts::Act;
use crate::check::{Acts, Law, closed, is_erasable};
use crate::cycle::standing::{self, State};
use crate::cycle::{Cycle, Due, Matter, Turn, call, complaint, draft, proposal, repair, report};
use crate::procedure::days;

/// The numbers of the kinds that run clocks, or end what others have begun.
pub(super) const REPORT: u8 = 17;
pub(super) const DECISION: u8 = 19;
pub(super) const PROPOSAL: u8 = 20;
pub(super) const CORRECTION: u8 = 23;
pub(super) const COMPLAINT: u8 = 25;
pub(super) const OUTCOME: u8 = 27;
const REPAIR: u8 = 28;
const DRAFT: u8 = 32;
const CALL: u8 = 34;

/// How many acts one erasure names at most, so that it is no larger than an act may be. What more acts name goes after those.
pub const ERASED_MAX: usize = 1_500;

impl Book {
    /// The clocks that run at `now` (Unix seconds), what is due first standing first: whose turn it is, and until when.
    ///
    /// Linear in the number of reports, proposals, drafts, complaints, repairs and calls that there are.
    pub fn due(&self, law: &Law, now: u64) -> Vec<Due> {
        let mut due: Vec<_> = self.matters(law, now).chain(self.renewals(law, now)).collect();
        due.sort_unstable_by_key(|due| (due.until, due.act));
        due
    }

    /// The clocks that somebody can be late for, in no order: what only ends is over when its time has come.
    pub(super) fn matters(&self, law: &Law, now: u64) -> impl Iterator<Item = Due> {
        self.of_kind(REPORT)
            .filter_map(move |id| report::due(law, self, id, now))
            .chain(self.of_kind(PROPOSAL).filter_map(move |id| proposal::due(law, self, id, now)))
            .chain(self.of_kind(DRAFT).filter_map(move |id| draft::due(law, self, id, now)))
            .chain(self.of_kind(COMPLAINT).filter_map(move |id| complaint::due(law, self, id, now)))
            .chain(
                self.of_kind(REPAIR).filter_map(move |id| repair::due(law, self, id, &self.since(&id), now)),
            )
            .chain(self.of_kind(CALL).filter_map(move |id| call::due(law, self, id, now)))
    }

    /// How far a complaint has come at `now`, in Unix seconds.
    pub fn complaint(&self, law: &Law, id: &ActId, now: u64) -> Option<complaint::State> {
        complaint::at(law, self, id, now).map(|running| running.state)
    }

    /// How far a repair has come at `now`, in Unix seconds.
    pub fn repair(&self, law: &Law, id: &ActId, now: u64) -> Option<repair::State> {
        repair::at(law, self, id, &self.since(id), now).map(|running| running.state)
    }

    /// Complaints that are heard at `now` (Unix seconds), with the acts that they are about.
    pub fn complaints(&self, law: &Law, now: u64) -> Vec<(ActId, ActId)> {
        let heard = |id: ActId| {
            let is_open = self.complaint(law, &id, now)?.is_open();
            let Act::Complaint(complaint) = self.act(&id)? else { return None };
            is_open.then_some((id, complaint.against))
        };
        self.of_kind(COMPLAINT).filter_map(heard).collect()
    }

    /// The proposals in their order.
    pub(super) fn proposals(&self) -> impl Iterator<Item = ActId> {
        self.of_kind(PROPOSAL)
    }

    /// The acts about addresses of an act's subject.
    fn since(&self, id: &ActId) -> Vec<ActId> {
        self.act(id).and_then(Act::subject).map_or_else(Vec::new, |subject| self.touching(subject.prefix))
    }

    /// Alerts and decisions that end soon: their issuers renew them on new evidence, or let them go.
    fn renewals(&self, law: &Law, now: u64) -> Vec<Due> {
        let soon = now.saturating_add(days(law.procedure(now).renewal));
        let renewal = |(until, act): &(u64, ActId)| {
            let running = standing::at(self, act, now)?;
            // A proposal is not renewed: members agree on it anew.
            let acted = self.act(act).filter(|act| !matches!(act, Act::Proposal(_)))?;
            let turn = Turn::Party(acted.issuer());
            let since = until.saturating_sub(days(law.procedure(now).renewal));
            let state = running.state;
            let due =
                Due { until: *until, act: *act, matter: Matter::Renewal, state: state.name(), turn, since };
            state.is_in_force().then_some(due)
        };
        self.ending.range((now, ActId([0; 32]))..(soon, ActId([0; 32]))).filter_map(renewal).collect()
    }

    /// What can be erased at `now` (Unix seconds) by one erasure: acts that were kept as long as they may be, each with all that
    /// name it.
    pub fn erasable(&self, law: &Law, now: u64) -> BTreeSet<ActId> {
        let is_due = |act: &Act| is_erasable(act) && law.kept_until(act) <= now;
        let due = self.acts().filter(|accepted| is_due(&accepted.act)).map(|accepted| accepted.id);
        let closed = closed(due.collect(), self);
        let mut chosen = BTreeSet::new();
        for id in &closed {
            let with = self.resting_on(id);
            if chosen.len() + with.len() <= ERASED_MAX {
                chosen.extend(with);
            }
        }
        chosen
    }

    /// An act with all that name it, and all that name those.
    fn resting_on(&self, id: &ActId) -> BTreeSet<ActId> {
        let (mut found, mut left) = (BTreeSet::new(), vec![*id]);
        while let Some(id) = left.pop() {
            if found.len() <= ERASED_MAX && found.insert(id) {
                left.extend(self.citing(&id));
            }
        }
        found
    }

    /// The complaints that are to be published as a relief, with the acts that they make milder: gateways cannot read
    /// complaints.
    pub fn unpublished_reliefs(&self, law: &Law, now: u64) -> Vec<(ActId, ActId)> {
        let is_unpublished = |(complaint, about): &(ActId, ActId)| {
            let citing = self.citing(about);
            let is_published = citing.iter().any(|id| matches!(self.act(id), Some(Act::Relief(_))));
            let is_relieving = standing::relieving(self, about, &citing) == Some(*complaint);
            is_relieving && !is_published && self.state(about, now) == Some(State::Relieved)
        };
        self.complaints(law, now).into_iter().filter(is_unpublished).collect()
    }
}
