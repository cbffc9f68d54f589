//! Which acts an act names.

use credence_credit::ActId;

use super::Act;

impl Act {
    /// The acts that it rests on or changes, in no order, some perhaps twice. What an erasure names is not among them, which is not
    /// to be found any more; nor what a network acted on, whose account stands by itself and comes from every gateway.
    pub fn cites(&self) -> Vec<ActId> {
        match self {
            Self::OwnAlert(act) => act.claim.repeats.into_iter().collect(),
            Self::Report(act) => act.claim.repeats.into_iter().collect(),
            Self::Opinion(act) => act.reports.clone(),
            Self::Decision(act) => {
                let reports = act.sources.iter().map(|source| source.report);
                reports.chain([act.opinion]).chain(act.claim.repeats).collect()
            }
            Self::Proposal(act) => vec![act.decision],
            Self::Vote(act) => vec![act.proposal],
            Self::Correction(act) => [act.corrects].into_iter().chain(act.replacement).collect(),
            Self::Lifting(act) => vec![act.lifts],
            Self::Complaint(act) => vec![act.against],
            Self::Relief(act) => vec![act.complaint, act.act],
            Self::Outcome(act) => vec![act.complaint, act.act],
            Self::Repair(act) => vec![act.act],
            Self::Confirmation(act) => vec![act.repair],
            Self::Comment(act) => vec![act.draft],
            Self::Answer(act) => vec![act.call],
            Self::Applied(_)
            | Self::SecurityAlert(_)
            | Self::Manifest(_)
            | Self::Draft(_)
            | Self::Call(_)
            | Self::Erasure(_) => Vec::new(),
        }
    }
}
