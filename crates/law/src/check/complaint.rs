//! Who is heard, what mends a wrong, and who says how it ended.

use credence_credit::{ActId, Measure};

use super::{Acts, Law, expect, same_subject};
use crate::acts::{Act, Complaint, Confirmation, Control, Outcome, Relief, Repair, Ruling, Stage};
use crate::cycle::{complaint, standing};
use crate::party::Party;
use crate::procedure::days;
use crate::refusal::Refusal;

/// How many complaints about one act are heard at a time. The first makes it milder; more of them would only make the others
/// wait.
pub const COMPLAINTS_MAX: usize = 64;

impl Law {
    /// A complaint needs a say over addresses that the act covers, and none of theirs about it that is heard.
    pub(super) fn complaint(&self, complaint: &Complaint, acts: &impl Acts) -> Result<(), Refusal> {
        let against = expect(acts, &complaint.against, |act| act.subject().is_some())?;
        let about = against.subject().ok_or(Refusal::UnknownAct)?.prefix;
        if !about.covers(complaint.subject.prefix) {
            return Err(Refusal::OtherSubject);
        }
        if let Control::Holder = complaint.control {
            self.holds(complaint.preamble.issuer.member(), &complaint.subject)?;
        }
        let open = self.heard(&complaint.against, acts, complaint.preamble.issued);
        let is_theirs = |id: &ActId| match acts.act(id) {
            Some(Act::Complaint(other)) => other.subject.prefix == complaint.subject.prefix,
            _ => false,
        };
        if open.len() >= COMPLAINTS_MAX || open.iter().any(is_theirs) { Err(Refusal::Heard) } else { Ok(()) }
    }

    /// The complaints about an act that are heard at `at`, in Unix seconds.
    fn heard(&self, against: &ActId, acts: &impl Acts, at: u64) -> Vec<ActId> {
        let mut citing = acts.citing(against);
        let is_open = |running: complaint::State| running.is_open();
        citing.retain(|id| complaint::at(self, acts, id, at).is_some_and(|running| is_open(running.state)));
        citing
    }

    /// An outcome goes on from where the complaint is. The coordinating body rules; an issuer can only settle with the
    /// subject, and says nothing against it.
    pub(super) fn outcome(&self, outcome: &Outcome, acts: &impl Acts) -> Result<(), Refusal> {
        let Some(Act::Complaint(complaint)) = acts.act(&outcome.complaint) else {
            return if acts.are_reports_hidden() { Ok(()) } else { Err(Refusal::UnknownAct) };
        };
        if complaint.against != outcome.act {
            return Err(Refusal::OtherSubject);
        }
        let issuer = outcome.preamble.issuer;
        if issuer != Party::Body {
            let is_own = acts.act(&outcome.act).is_some_and(|act| act.issuer() == issuer);
            let settles = outcome.stage == Stage::Consultation
                && matches!(outcome.ruling, Some(Ruling::Upheld | Ruling::Settled));
            if !is_own || !settles {
                return Err(Refusal::NotTheirs);
            }
        }
        let running = complaint::at(self, acts, &outcome.complaint, outcome.preamble.issued);
        let state = running.ok_or(Refusal::UnknownAct)?.state;
        if complaint::can_follow(state, outcome) { Ok(()) } else { Err(Refusal::Stage) }
    }

    /// A holder repairs what an act about the subject speaks of, and is watched as long as the procedure says.
    pub(super) fn repair(&self, repair: &Repair, acts: &impl Acts) -> Result<(), Refusal> {
        self.holds(repair.preamble.issuer.member(), &repair.subject)?;
        let about = expect(acts, &repair.act, |act| act.subject().is_some())?;
        same_subject(&repair.subject, about)?;
        let probation = days(self.procedure(repair.preamble.issued).probation);
        let is_long_enough = repair.probation_until >= repair.preamble.issued.saturating_add(probation);
        if is_long_enough { Ok(()) } else { Err(Refusal::Probation) }
    }

    /// Nobody sees a repair of its own organisation.
    pub(super) fn confirmation(&self, confirmation: &Confirmation, acts: &impl Acts) -> Result<(), Refusal> {
        let repair = expect(acts, &confirmation.repair, |act| matches!(act, Act::Repair(_)))?;
        let Some(member) = confirmation.preamble.issuer.member() else { return Ok(()) };
        let both = [Some(member), repair.member()];
        let organisations = self.register().organisations(both.into_iter().flatten());
        if organisations == 2 { Ok(()) } else { Err(Refusal::OwnMatter) }
    }
}

/// That a complaint is heard about an act that cuts somebody off, that it is the first, and that this was not published before.
pub(super) fn relieves(relief: &Relief, acts: &impl Acts) -> Result<(), Refusal> {
    let act = expect(acts, &relief.act, |_| true)?;
    match acts.act(&relief.complaint) {
        Some(Act::Complaint(complaint)) if complaint.against == relief.act => {}
        None if acts.are_reports_hidden() => {}
        Some(Act::Complaint(_)) => return Err(Refusal::OtherSubject),
        _ => return Err(Refusal::UnknownAct),
    }
    let citing = acts.citing(&relief.act);
    let relieving = standing::relieving(acts, &relief.act, &citing);
    let is_published = citing.iter().any(|id| matches!(acts.act(id), Some(Act::Relief(_))));
    let is_first = relieving.is_none_or(|first| first == relief.complaint);
    let relieves = act.measure() == Some(Measure::Drop) && is_first && !is_published;
    if relieves { Ok(()) } else { Err(Refusal::NoRelief) }
}
