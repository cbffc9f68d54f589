//! What is written from a form.

use credence_credit::{ActId, Learned, Rating};
use credence_law::acts::{
    Block, Claim, Correction, Decision, Lifting, Opinion, Outcome, OwnAlert, Preamble, Proposal, Purpose,
    Report, Source, Vote,
};
use credence_law::check::VOTING_DAYS_MIN;
use credence_law::party::Party;
use credence_law::{Act, Acts, Law};
use sha2::{Digest, Sha256};

use super::{BALLOTS, CLASSES, FINDINGS, GROUNDS, Kind, MEASURES, RULINGS, STAGES};
use crate::desk::Desk;
use crate::portal::desk::form::Typed;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// Whoever writes an act, and when.
#[derive(Debug)]
pub(in crate::portal) struct Writing<'d> {
    pub(in crate::portal) desk: &'d Desk,
    pub(in crate::portal) law: &'d Law,
    /// In whose name.
    pub(in crate::portal) issuer: Party,
    /// In Unix seconds.
    pub(in crate::portal) now: u64,
    /// 32 random bytes, which hide the authors of reports.
    pub(in crate::portal) salt: [u8; 32],
}

impl Writing<'_> {
    /// The act that was asked for. None where something was wrong, which is noted.
    pub(in crate::portal) fn act(&self, kind: Kind, typed: &mut Typed<'_>) -> Option<Act> {
        match kind {
            Kind::Alert => self.alert(typed),
            Kind::Report => self.report(typed),
            Kind::Opinion => self.opinion(typed),
            Kind::Decision => self.decision(typed),
            Kind::Proposal => self.proposal(typed),
            Kind::Vote => self.vote(typed),
            Kind::Outcome => self.outcome(typed),
            Kind::Correction => self.correction(typed),
            Kind::Lifting => self.lifting(typed),
        }
    }

    fn preamble(&self, purpose: Purpose, days: u64) -> Preamble {
        // Numbers only have to rise, and the next second's begins above all of this one's. What several sign needs none that
        // rises, but another act made in the same second needs another.
        let begin = self.now.saturating_mul(1_000);
        let last = match self.issuer {
            Party::Body | Party::Adviser(_) => begin + u64::from(Sha256::digest(self.salt)[0]),
            _ => self.desk.book().last_number(self.issuer).max(begin),
        };
        Preamble {
            issuer: self.issuer,
            number: last.saturating_add(1),
            issued: self.now,
            expires: self.now + days * DAY,
            registry: self.law.register().registry().version,
            purpose,
        }
    }

    fn alert(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (claim, rating) = (claim(self.law, typed, self.now), rating(self.law, typed));
        let (measure, days) = (typed.chosen("measure", &MEASURES[..3]), days(typed));
        let (preamble, claim) = (self.preamble(Purpose::Warning, days?), claim?);
        Some(OwnAlert { preamble, claim, rating: rating?, measure: measure? }.into())
    }

    fn report(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (claim, days) = (claim(self.law, typed, self.now), days(typed));
        Some(Report { preamble: self.preamble(Purpose::Warning, days?), claim: claim? }.into())
    }

    fn opinion(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (reports, finding) = (typed.ids("reports"), typed.chosen("finding", &FINDINGS));
        let (reasons, preamble) = (typed.commitment("reasons"), self.preamble(Purpose::Governance, 365));
        Some(Opinion { preamble, reports: reports?, finding: finding?, reasons: reasons? }.into())
    }

    fn decision(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (reports, opinion) = (typed.ids("reports"), typed.id("opinion"));
        let (rating, measure, days) =
            (rating(self.law, typed), typed.chosen("measure", &MEASURES), days(typed));
        let (claim, sources) = reported(self.desk, typed, &reports?, self.salt)?;
        let preamble = self.preamble(Purpose::Governance, days?);
        let (rating, measure, opinion) = (rating?, measure?, opinion?);
        Some(Decision { preamble, claim, rating, measure, sources, opinion }.into())
    }

    fn proposal(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (id, measure) = (typed.id("decision"), typed.chosen("measure", &MEASURES));
        let wrong = "A number from 3 to 30.";
        let (voting, days) = (typed.number("voting", VOTING_DAYS_MIN, 30, wrong), days(typed));
        let decision = known(self.desk, typed, "decision", &id?)?;
        let Act::Decision(decision) = decision else {
            typed.fault("decision", "This act is no decision.");
            return None;
        };
        let (subject, rating) = (decision.claim.subject.clone(), decision.rating);
        let (preamble, measure) = (self.preamble(Purpose::Governance, days?), measure?);
        let closes = self.now + voting? * DAY + 1;
        Some(Proposal { preamble, decision: id?, subject, rating, measure, closes }.into())
    }

    fn vote(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (id, ballot) = (typed.id("proposal"), typed.chosen("ballot", &BALLOTS));
        known(self.desk, typed, "proposal", &id?)?;
        Some(Vote { preamble: self.preamble(Purpose::Governance, 60), proposal: id?, ballot: ballot? }.into())
    }

    fn outcome(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (complaint, stage) = (typed.id("complaint"), typed.chosen("stage", &STAGES));
        let (ruling, reasons) = (typed.chosen("ruling", &RULINGS), typed.commitment("reasons"));
        let Act::Complaint(heard) = known(self.desk, typed, "complaint", &complaint?)? else {
            typed.fault("complaint", "This act is no complaint.");
            return None;
        };
        let (preamble, act) = (self.preamble(Purpose::Relief, 730), heard.against);
        let (complaint, stage, ruling, reasons) = (complaint?, stage?, ruling?, reasons?);
        Some(Outcome { preamble, complaint, act, stage, ruling, reasons }.into())
    }

    fn correction(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (corrects, ground) = (typed.id("act"), typed.chosen("ground", &GROUNDS));
        let replacement = match typed.text("replacement") {
            "" => None,
            _ => Some(typed.id("replacement")?),
        };
        known(self.desk, typed, "act", &corrects?)?;
        let preamble = self.preamble(Purpose::Relief, 365);
        Some(Correction { preamble, corrects: corrects?, ground: ground?, replacement }.into())
    }

    fn lifting(&self, typed: &mut Typed<'_>) -> Option<Act> {
        let (lifts, ground) = (typed.id("act"), typed.chosen("ground", &GROUNDS));
        known(self.desk, typed, "act", &lifts?)?;
        Some(Lifting { preamble: self.preamble(Purpose::Relief, 365), lifts: lifts?, ground: ground? }.into())
    }
}

fn days(typed: &mut Typed<'_>) -> Option<u64> {
    typed.number("days", 1, 90, "A number from 1 to 90.")
}

fn rating(law: &Law, typed: &mut Typed<'_>) -> Option<Rating> {
    typed.score("score").map(|score| law.newest().0.rating(score))
}

fn claim(law: &Law, typed: &mut Typed<'_>, now: u64) -> Option<Claim> {
    let (standard, catalogue) = law.newest();
    let prefix = typed.prefix("prefix");
    let item = typed.read("item", "Choose one.", |text| Some(catalogue.item(text.parse().ok()?)?.number));
    let evidence = typed.chosen("evidence", &CLASSES);
    let hours: Option<u64> = typed.number("hours", 0, 60 * 24, "A number from 0 to 1440.");
    let commitment = typed.commitment("commitment");
    let seen = now.saturating_sub(hours? * 3_600);
    Some(Claim {
        subject: Block { prefix: prefix?, learned: Learned::Default },
        item: item?,
        catalogue: catalogue.version,
        standard: standard.version,
        evidence: evidence?,
        seen_from: seen,
        seen_until: seen,
        commitment: commitment?,
        repeats: None,
    })
}

/// The act of this identity, if it is known here.
fn known<'d>(desk: &'d Desk, typed: &mut Typed<'_>, field: &'static str, id: &ActId) -> Option<&'d Act> {
    let act = desk.book().act(id);
    if act.is_none() {
        typed.fault(field, "No act of this identity is known here.");
    }
    act
}

/// What reports say that is decided on, and their authors hidden behind one secret, so that two are told apart and none is named.
fn reported(
    desk: &Desk,
    typed: &mut Typed<'_>,
    reports: &[ActId],
    salt: [u8; 32],
) -> Option<(Claim, Vec<Source>)> {
    let mut sources = Vec::with_capacity(reports.len());
    let mut claim = None;
    for id in reports {
        let report = known(desk, typed, "reports", id)?;
        let (Act::Report(report), Some(member)) = (report, report.member()) else {
            typed.fault("reports", "One of these is no report.");
            return None;
        };
        let author = Sha256::new().chain_update(salt).chain_update(member.0.to_be_bytes()).finalize().into();
        sources.push(Source { report: *id, author });
        claim.get_or_insert_with(|| report.claim.clone());
    }
    Some((claim?, sources))
}
