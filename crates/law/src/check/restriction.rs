//! Restrictions: what all members agree on.

use std::collections::BTreeMap;

use credence_credit::{ActId, Status};

use super::{Accepted, Acts, DAY, Law, expect};
use crate::acts::{Act, Ballot, Preamble, Proposal, Vote};
use crate::party::MemberId;
use crate::refusal::Refusal;

/// The shortest prefix that members may restrict together.
pub const RESTRICTION_LEN_MIN: u8 = 48;
/// How many restrictions are in force at most.
pub const RESTRICTIONS_MAX: usize = 1_000;
/// How long members can vote, in days, at least.
pub const VOTING_DAYS_MIN: u64 = 3;
/// The share of members that must be for it: two of three.
pub const MEMBERS_YES: (usize, usize) = (2, 3);

/// How members voted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Tally {
    /// For it.
    pub yes: usize,
    /// Against it.
    pub no: usize,
    /// Neither; whoever did not vote in time is among them.
    pub abstained: usize,
}

impl Law {
    pub(super) fn proposal(&self, proposal: &Proposal, acts: &impl Acts) -> Result<(), Refusal> {
        let Proposal { preamble, subject, rating, closes, .. } = proposal;
        self.subject(subject)?;
        if subject.prefix.len() < RESTRICTION_LEN_MIN {
            return Err(Refusal::TooWide);
        }
        let Some(Act::Decision(decision)) = acts.act(&proposal.decision) else {
            return Err(Refusal::UnknownAct);
        };
        if decision.claim.subject.prefix != subject.prefix {
            return Err(Refusal::OtherSubject);
        }
        if decision.rating != *rating || rating.status() != Some(Status::SeriouslyDishonest) {
            return Err(Refusal::NotWorst);
        }
        let earliest = preamble.issued.saturating_add(VOTING_DAYS_MIN * DAY);
        if earliest <= *closes && *closes < preamble.expires { Ok(()) } else { Err(Refusal::Voting) }
    }

    /// Whether a proposal, accepted before with this identity, has become a restriction at `now` (Unix seconds) by votes that were
    /// accepted before as well: none against, two thirds for, and everybody has had their time.
    ///
    /// Votes that came late and members' second ones never are among them: they were refused. The subject's holder votes like all
    /// others.
    ///
    /// # Errors
    /// What is missing.
    pub fn restriction<'a>(
        &self,
        id: &ActId,
        proposal: &Proposal,
        votes: impl IntoIterator<Item = &'a Accepted>,
        now: u64,
    ) -> Result<Tally, Refusal> {
        let ballots = self.ballots(id, proposal, votes)?;
        let members = self.register().registry().members.len();
        let count = |ballot| ballots.values().filter(|cast| **cast == ballot).count();
        let (yes, no) = (count(Ballot::Yes), count(Ballot::No));
        if no > 0 {
            return Err(Refusal::VoteAgainst);
        }
        if now < proposal.closes && ballots.len() < members {
            return Err(Refusal::Voting);
        }
        if yes * MEMBERS_YES.1 < members * MEMBERS_YES.0 {
            return Err(Refusal::TooFewYes);
        }
        Ok(Tally { yes, no, abstained: members - yes })
    }

    /// Each member's word.
    fn ballots<'a>(
        &self,
        id: &ActId,
        proposal: &Proposal,
        votes: impl IntoIterator<Item = &'a Accepted>,
    ) -> Result<BTreeMap<MemberId, Ballot>, Refusal> {
        let mut ballots = BTreeMap::new();
        for vote in votes {
            let (member, Act::Vote(Vote { proposal: about, ballot, preamble })) =
                (vote.act.member(), &vote.act)
            else {
                return Err(Refusal::StrayVote);
            };
            let member = member.filter(|member| self.register().member(*member).is_some());
            let member = member.ok_or(Refusal::UnknownIssuer)?;
            let is_late = preamble.issued >= proposal.closes;
            if about != id || is_late || ballots.insert(member, *ballot).is_some() {
                return Err(Refusal::StrayVote);
            }
        }
        Ok(ballots)
    }

    /// The act of this identity, if it is a vote that counts by the registry in force: its member is one still, and none of the keys
    /// that have signed it was revoked since, since somebody else may have cast it. No gateway takes any other vote, so that
    /// whoever counted one would state a restriction that nobody enforces.
    pub(crate) fn counted<'a>(&self, id: &ActId, acts: &'a impl Acts) -> Option<&'a Vote> {
        let Some(Act::Vote(vote)) = acts.act(id) else { return None };
        let Preamble { issuer, issued, .. } = vote.preamble;
        let is_revoked = acts.vote_keys(id).iter().any(|key| self.register().is_revoked(*key));
        (!is_revoked && self.mandate(issuer, issued).is_ok()).then_some(vote)
    }

    /// That a vote is a member's first on a proposal that counts, in its time. One that were taken late or twice would undo what all
    /// agreed on.
    pub(super) fn vote(&self, vote: &Vote, acts: &impl Acts) -> Result<(), Refusal> {
        let Act::Proposal(proposal) = expect(acts, &vote.proposal, |act| matches!(act, Act::Proposal(_)))?
        else {
            return Err(Refusal::UnknownAct);
        };
        let is_theirs = |id: &ActId| {
            self.counted(id, acts).is_some_and(|other| other.preamble.issuer == vote.preamble.issuer)
        };
        let is_late = vote.preamble.issued >= proposal.closes;
        if is_late || acts.citing(&vote.proposal).iter().any(is_theirs) {
            Err(Refusal::StrayVote)
        } else {
            Ok(())
        }
    }
}
