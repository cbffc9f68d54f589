//! What may be said of a subject, on what evidence, and what may follow.

use std::collections::BTreeSet;

use credence_credit::{Authority, EvidenceClass, Measure, Rating};

use super::{Acts, DAY, Law, SKEW, expect, same_subject};
use crate::acts::{Act, Applied, Claim, Decision, Finding, Opinion, OwnAlert, Report};
use crate::catalogue::{Item, SUPPLEMENT_FROM};
use crate::party::MemberId;
use crate::refusal::Refusal;

/// Nothing is said on evidence that is older, in days, and no decision rests on a report that is.
pub const EVIDENCE_DAYS_MAX: u64 = 60;
/// From how many authors the reports of a decision come at least.
pub const SOURCES_MIN: usize = 2;

impl Law {
    /// An account is of what was done to the very subject of an act from which measures follow. One that was erased since is not
    /// looked at: the account says that it was there.
    pub(super) fn applied(&self, applied: &Applied, acts: &impl Acts) -> Result<(), Refusal> {
        self.subject(&applied.subject)?;
        if acts.is_erased(&applied.because) {
            return Ok(());
        }
        let asks = |act: &Act| matches!(act, Act::OwnAlert(_) | Act::Decision(_) | Act::Proposal(_));
        same_subject(&applied.subject, expect(acts, &applied.because, asks)?)
    }

    pub(super) fn own_alert(&self, alert: &OwnAlert) -> Result<(), Refusal> {
        let OwnAlert { preamble, claim, rating, measure } = alert;
        let issuer = preamble.issuer.member();
        self.holds(issuer, &claim.subject)?;
        let item = self.claim(claim, issuer, preamble.issued)?;
        if !item.is_technical {
            return Err(Refusal::NotAbuse);
        }
        self.rating(claim, *rating)?;
        // What is recorded for one network alone has no effect in others.
        let most = if claim.item < SUPPLEMENT_FROM { Authority::OwnAlert } else { return local(*measure) };
        within(*measure, most.most(claim.evidence))?;
        unforged(claim, *measure)
    }

    pub(super) fn report(&self, report: &Report) -> Result<(), Refusal> {
        let Report { preamble, claim } = report;
        let (_, holder) = self.subject(&claim.subject)?;
        if Some(holder) == preamble.issuer.member() {
            return Err(Refusal::OwnSubject);
        }
        self.claim(claim, None, preamble.issued)?;
        if claim.repeats.is_some() {
            return Err(Refusal::Circular);
        }
        // A report asks others to act.
        unforged(claim, Measure::Drop)
    }

    pub(super) fn opinion(&self, opinion: &Opinion, acts: &impl Acts) -> Result<(), Refusal> {
        if opinion.reports.is_empty() {
            return Err(Refusal::UnknownAct);
        }
        if acts.are_reports_hidden() {
            return Ok(());
        }
        let is_report = |act: &Act| matches!(act, Act::Report(_));
        opinion.reports.iter().try_for_each(|report| expect(acts, report, is_report).map(drop))
    }

    pub(super) fn decision(&self, decision: &Decision, acts: &impl Acts) -> Result<(), Refusal> {
        let Decision { preamble, claim, rating, measure, .. } = decision;
        self.subject(&claim.subject)?;
        self.claim(claim, None, preamble.issued)?;
        self.rating(claim, *rating)?;
        if claim.repeats.is_some() {
            return Err(Refusal::Circular);
        }
        within(*measure, Authority::Decision.most(claim.evidence))?;
        unforged(claim, *measure)?;
        sources(decision, acts)?;
        opinion_supports(decision, acts)
    }

    /// What is said must be in the catalogue, and have been seen lately. Only of its own subjects a member may say what is in its
    /// supplement.
    fn claim(&self, claim: &Claim, own: Option<MemberId>, issued: u64) -> Result<&Item, Refusal> {
        let catalogue = self.catalogues.get(&claim.catalogue).ok_or(Refusal::Rules)?;
        let standard = self.standards.get(&claim.standard).ok_or(Refusal::Rules)?;
        if standard.catalogue != claim.catalogue {
            return Err(Refusal::Rules);
        }
        let supplement = || own.and_then(|member| self.supplements.get(&member)?.item(claim.item));
        let item = catalogue.item(claim.item).or_else(supplement).ok_or(Refusal::OutsideCatalogue)?;
        if !item.evidence.contains(&claim.evidence) {
            return Err(Refusal::EvidenceClass);
        }
        let oldest = issued.saturating_sub(EVIDENCE_DAYS_MAX * DAY);
        let in_time = claim.seen_from <= claim.seen_until
            && oldest <= claim.seen_until
            && claim.seen_until <= issued.saturating_add(SKEW);
        if in_time { Ok(item) } else { Err(Refusal::EvidenceAge) }
    }

    /// A status is the one that the standard gives the score.
    fn rating(&self, claim: &Claim, rating: Rating) -> Result<(), Refusal> {
        let standard = self.standards.get(&claim.standard).ok_or(Refusal::Rules)?;
        let agrees = rating.score().is_none_or(|score| standard.rating(score) == rating);
        if agrees { Ok(()) } else { Err(Refusal::Rating) }
    }
}

fn within(measure: Measure, most: Measure) -> Result<(), Refusal> {
    if measure <= most { Ok(()) } else { Err(Refusal::MeasureTooHard) }
}

/// That nothing is done to anybody's traffic.
fn local(measure: Measure) -> Result<(), Refusal> {
    if measure.constrains() { Err(Refusal::MeasureTooHard) } else { Ok(()) }
}

/// That what constrains traffic elsewhere rests on evidence that nobody can have forged, or that its author answers for.
fn unforged(claim: &Claim, measure: Measure) -> Result<(), Refusal> {
    if claim.repeats.is_some() && measure.constrains() {
        return Err(Refusal::Circular);
    }
    let is_forgeable = claim.evidence == EvidenceClass::Unconfirmed;
    if is_forgeable && measure.constrains() { Err(Refusal::Forgeable) } else { Ok(()) }
}

/// That reports come from more than one author and are not too old. Where they can be read, by what they say; and everywhere by
/// the commitments to their authors.
fn sources(decision: &Decision, acts: &impl Acts) -> Result<(), Refusal> {
    let authors: BTreeSet<_> = decision.sources.iter().map(|source| source.author).collect();
    if authors.len() < SOURCES_MIN {
        return Err(Refusal::OnlySource);
    }
    if acts.are_reports_hidden() {
        return Ok(());
    }
    let mut members = BTreeSet::new();
    for source in &decision.sources {
        let report = expect(acts, &source.report, |act| matches!(act, Act::Report(_)))?;
        let oldest = decision.preamble.issued.saturating_sub(EVIDENCE_DAYS_MAX * DAY);
        if report.preamble().issued < oldest {
            return Err(Refusal::EvidenceAge);
        }
        if report.subject().map(|subject| subject.prefix) != Some(decision.claim.subject.prefix) {
            return Err(Refusal::OtherSubject);
        }
        members.insert(report.issuer());
    }
    if members.len() < SOURCES_MIN { Err(Refusal::OnlySource) } else { Ok(()) }
}

/// That a cited opinion is on these reports, and not against it. Where nothing is to be done to traffic, the body may think
/// otherwise than its advisers.
fn opinion_supports(decision: &Decision, acts: &impl Acts) -> Result<(), Refusal> {
    let Some(Act::Opinion(opinion)) = acts.act(&decision.opinion) else { return Err(Refusal::NoOpinion) };
    let covers = decision.sources.iter().all(|source| opinion.reports.binary_search(&source.report).is_ok());
    if !covers {
        return Err(Refusal::NoOpinion);
    }
    let supports = opinion.finding == Finding::Supports || !decision.measure.constrains();
    if supports { Ok(()) } else { Err(Refusal::OpinionAgainst) }
}
