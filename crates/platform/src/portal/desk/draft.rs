//! Acts that are prepared by form: who may, what is asked, and what is written from that.

use credence_credit::{ActId, EvidenceClass, Learned, Measure, Rating};
use credence_law::acts::{
    Ballot, Block, Claim, Correction, Decision, Finding, Ground, Lifting, Opinion, Outcome, OwnAlert,
    Preamble, Proposal, Purpose, Report, Ruling, Source, Stage, Vote,
};
use credence_law::check::VOTING_DAYS_MIN;
use credence_law::party::{Function, Party};
use credence_law::{Act, Acts, Law};
use sha2::{Digest, Sha256};

use super::form::{Field, Typed};
use crate::desk::Desk;
use crate::words;

/// Seconds of a day.
const DAY: u64 = 86_400;

/// What can be prepared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::portal) enum Kind {
    Alert,
    Report,
    Opinion,
    Decision,
    Proposal,
    Vote,
    Outcome,
    Correction,
    Lifting,
}

const MEASURES: [Measure; 4] = [Measure::Observe, Measure::Mark, Measure::RateLimit, Measure::Drop];
const CLASSES: [EvidenceClass; 3] =
    [EvidenceClass::Confirmed, EvidenceClass::Declared, EvidenceClass::Unconfirmed];
const FINDINGS: [Finding; 3] = [Finding::Supports, Finding::Opposes, Finding::Insufficient];
const BALLOTS: [Ballot; 3] = [Ballot::Yes, Ballot::No, Ballot::Abstain];
const STAGES: [Stage; 3] = [Stage::Consultation, Stage::Mediation, Stage::Adjudication];
const RULINGS: [Option<Ruling>; 4] =
    [None, Some(Ruling::Upheld), Some(Ruling::Settled), Some(Ruling::Rejected)];
const GROUNDS: [Ground; 6] = [
    Ground::Error,
    Ground::Reassigned,
    Ground::Remedied,
    Ground::Distrusted,
    Ground::Upheld,
    Ground::Excessive,
];

impl Kind {
    const ALL: [Self; 9] = [
        Self::Alert,
        Self::Report,
        Self::Opinion,
        Self::Decision,
        Self::Proposal,
        Self::Vote,
        Self::Outcome,
        Self::Correction,
        Self::Lifting,
    ];

    /// What a key of this function can sign.
    pub(in crate::portal) fn of(function: Function) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |kind| kind.functions().contains(&function))
    }

    const fn functions(self) -> &'static [Function] {
        match self {
            Self::Alert | Self::Report => &[Function::Alerts],
            Self::Opinion => &[Function::Advice],
            Self::Decision | Self::Outcome => &[Function::Decisions],
            Self::Proposal | Self::Vote => &[Function::Votes],
            Self::Correction | Self::Lifting => &[Function::Alerts, Function::Decisions],
        }
    }

    /// The word in addresses of pages.
    pub(in crate::portal) const fn word(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Report => "report",
            Self::Opinion => "opinion",
            Self::Decision => "decision",
            Self::Proposal => "proposal",
            Self::Vote => "vote",
            Self::Outcome => "outcome",
            Self::Correction => "correction",
            Self::Lifting => "lifting",
        }
    }

    /// What is done, in words.
    pub(in crate::portal) const fn title(self) -> &'static str {
        match self {
            Self::Alert => "Alert others of your own addresses",
            Self::Report => "Report another member’s addresses",
            Self::Opinion => "Give an opinion on reports",
            Self::Decision => "Decide on reports",
            Self::Proposal => "Propose a restriction to all",
            Self::Vote => "Vote on a restriction",
            Self::Outcome => "Go on with a complaint",
            Self::Correction => "Correct an act that was wrong",
            Self::Lifting => "Lift an act before its time",
        }
    }

    /// The fields of its form.
    pub(in crate::portal) fn fields(self, law: &Law) -> Vec<Field> {
        let days = Field::line("days", "For how many days", "From 1 to 90.");
        let reasons = Field::line("reasons", "Commitment to the reasons", COMMITMENT);
        let reports = Field::area("reports", "Reports", "Their identities, one a line.");
        match self {
            Self::Alert => {
                let mut fields = said(law);
                fields.extend([score(), measure(&MEASURES[..3]), days.with("7")]);
                fields
            }
            Self::Report => {
                let mut fields = said(law);
                fields.push(days.with("30"));
                fields
            }
            Self::Opinion => {
                let words = ["The evidence bears a decision", "It does not", "There is too little of it"];
                vec![reports, Field::choice("finding", "Finding", numbered(words)), reasons]
            }
            Self::Decision => vec![
                reports,
                Field::line("opinion", "The opinion that it cites", "Its identity."),
                score(),
                measure(&MEASURES),
                days.with("30"),
            ],
            Self::Proposal => vec![
                Field::line(
                    "decision",
                    "The decision that it rests on",
                    "Its identity. The subject must have the worst status by it.",
                ),
                measure(&MEASURES),
                Field::line("voting", "For how many days members vote", "Three at least.").with("7"),
                days.with("30"),
            ],
            Self::Vote => vec![
                Field::line("proposal", "The proposal", "Its identity."),
                Field::choice("ballot", "Your vote", numbered(["Yes", "No: one is enough", "Abstain"])),
            ],
            Self::Outcome => vec![
                Field::line("complaint", "The complaint", "Its identity."),
                Field::choice("stage", "Stage", numbered(["Consultation", "Mediation", "Adjudication"])),
                Field::choice("ruling", "Ruling", numbered(["None yet", "Upheld", "Settled", "Rejected"])),
                reasons,
            ],
            Self::Correction => vec![
                Field::line("act", "The act that was wrong", "Its identity."),
                ground(),
                Field::line("replacement", "The act in its place", "Its identity, or nothing."),
            ],
            Self::Lifting => vec![Field::line("act", "The act that ends", "Its identity."), ground()],
        }
    }

    /// The act that was asked for, in the name of `issuer`, at a moment (Unix seconds) and with 32 random bytes. None where something
    /// was wrong, which is noted.
    pub(in crate::portal) fn write(
        self,
        desk: &Desk,
        law: &Law,
        typed: &mut Typed<'_>,
        issuer: Party,
        (now, salt): (u64, [u8; 32]),
    ) -> Option<Act> {
        let preamble = |purpose, days: u64| Preamble {
            issuer,
            // Numbers only have to rise, and the next second's begins above all of this one's.
            number: desk.book().last_number(issuer).max(now.saturating_mul(1_000)) + 1,
            issued: now,
            expires: now + days * DAY,
            registry: law.register().registry().version,
            purpose,
        };
        match self {
            Self::Alert => {
                let (claim, rating) = (claim(law, typed, now), rating(law, typed));
                let (measure, days) = (typed.chosen("measure", &MEASURES[..3]), days(typed));
                let (preamble, claim) = (preamble(Purpose::Warning, days?), claim?);
                Some(OwnAlert { preamble, claim, rating: rating?, measure: measure? }.into())
            }
            Self::Report => {
                let (claim, days) = (claim(law, typed, now), days(typed));
                Some(Report { preamble: preamble(Purpose::Warning, days?), claim: claim? }.into())
            }
            Self::Opinion => {
                let (reports, finding) = (typed.ids("reports"), typed.chosen("finding", &FINDINGS));
                let (reasons, preamble) = (typed.commitment("reasons"), preamble(Purpose::Governance, 365));
                Some(Opinion { preamble, reports: reports?, finding: finding?, reasons: reasons? }.into())
            }
            Self::Decision => {
                let (reports, opinion) = (typed.ids("reports"), typed.id("opinion"));
                let (rating, measure, days) =
                    (rating(law, typed), typed.chosen("measure", &MEASURES), days(typed));
                let (claim, sources) = reported(desk, typed, &reports?, salt)?;
                let preamble = preamble(Purpose::Governance, days?);
                let (rating, measure, opinion) = (rating?, measure?, opinion?);
                Some(Decision { preamble, claim, rating, measure, sources, opinion }.into())
            }
            Self::Proposal => {
                let (id, measure) = (typed.id("decision"), typed.chosen("measure", &MEASURES));
                let wrong = "A number from 3 to 30.";
                let (voting, days) = (typed.number("voting", VOTING_DAYS_MIN, 30, wrong), days(typed));
                let decision = known(desk, typed, "decision", &id?)?;
                let Act::Decision(decision) = decision else {
                    typed.fault("decision", "This act is no decision.");
                    return None;
                };
                let (subject, rating) = (decision.claim.subject.clone(), decision.rating);
                let (preamble, measure) = (preamble(Purpose::Governance, days?), measure?);
                let closes = now + voting? * DAY + 1;
                Some(Proposal { preamble, decision: id?, subject, rating, measure, closes }.into())
            }
            Self::Vote => {
                let (id, ballot) = (typed.id("proposal"), typed.chosen("ballot", &BALLOTS));
                known(desk, typed, "proposal", &id?)?;
                Some(
                    Vote { preamble: preamble(Purpose::Governance, 60), proposal: id?, ballot: ballot? }
                        .into(),
                )
            }
            Self::Outcome => {
                let (complaint, stage) = (typed.id("complaint"), typed.chosen("stage", &STAGES));
                let (ruling, reasons) = (typed.chosen("ruling", &RULINGS), typed.commitment("reasons"));
                let Act::Complaint(heard) = known(desk, typed, "complaint", &complaint?)? else {
                    typed.fault("complaint", "This act is no complaint.");
                    return None;
                };
                let (preamble, act) = (preamble(Purpose::Relief, 730), heard.against);
                let (complaint, stage, ruling, reasons) = (complaint?, stage?, ruling?, reasons?);
                Some(Outcome { preamble, complaint, act, stage, ruling, reasons }.into())
            }
            Self::Correction => {
                let (corrects, ground) = (typed.id("act"), typed.chosen("ground", &GROUNDS));
                let replacement = match typed.text("replacement") {
                    "" => None,
                    _ => Some(typed.id("replacement")?),
                };
                known(desk, typed, "act", &corrects?)?;
                let preamble = preamble(Purpose::Relief, 365);
                Some(Correction { preamble, corrects: corrects?, ground: ground?, replacement }.into())
            }
            Self::Lifting => {
                let (lifts, ground) = (typed.id("act"), typed.chosen("ground", &GROUNDS));
                known(desk, typed, "act", &lifts?)?;
                Some(
                    Lifting { preamble: preamble(Purpose::Relief, 365), lifts: lifts?, ground: ground? }
                        .into(),
                )
            }
        }
    }
}

/// Where a commitment comes from.
const COMMITMENT: &str = "What credence-platform sign evidence FILE prints. The file stays with you.";

/// Words with their places.
fn numbered<const N: usize>(words: [&'static str; N]) -> impl Iterator<Item = (String, &'static str)> {
    (0..).zip(words).map(|(place, word): (usize, _)| (place.to_string(), word))
}

/// What is asked of whoever says something of a subject.
fn said(law: &Law) -> Vec<Field> {
    let (_, catalogue) = law.newest();
    let items = catalogue.items.iter().map(|item| {
        let words = format!("{}: {}", words::spaced(item.name.as_str()), item.meaning);
        (item.number.to_string(), words)
    });
    let classes =
        ["Confirmed: the source answered", "Declared: you answer for it", "Unconfirmed: it may be forged"];
    vec![
        Field::line(
            "prefix",
            "Addresses",
            "A prefix as its holder hands it to one subscriber, like 2001:db8:1020::/48.",
        ),
        Field::choice("item", "What was seen", items),
        Field::choice("evidence", "Evidence", numbered(classes)),
        Field::line("hours", "How many hours ago it was last seen", "0 for just now.").with("0"),
        Field::line("commitment", "Commitment to the evidence", COMMITMENT),
    ]
}

fn score() -> Field {
    Field::line(
        "score",
        "Score",
        "How good the subject’s credit is by this, from 0 to 1000. The standard gives it its status.",
    )
}

fn measure(measures: &[Measure]) -> Field {
    let words = measures.iter().map(|measure| words::consequence(*measure));
    Field::choice("measure", "What is to be done", (0_usize..).map(|place| place.to_string()).zip(words))
}

fn ground() -> Field {
    let words = GROUNDS.into_iter().map(words::ground);
    Field::choice("ground", "Because", (0_usize..).map(|place| place.to_string()).zip(words))
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

/// Who has to sign an act before it is handed in, in words.
pub(in crate::portal) fn signers(act: &Act, law: Option<&Law>) -> String {
    let registry = law.map(|law| law.register().registry());
    match (act.issuer(), registry) {
        (Party::Body, Some(registry)) => {
            format!(
                "It takes {} seats: hand the file on, and let each sign it with their own key.",
                registry.quorum
            )
        }
        (Party::Adviser(_), Some(registry)) => {
            format!(
                "It takes {} advisers: hand the file on, and let each sign it with their own key.",
                registry.advice_quorum
            )
        }
        _ => "It takes your signature alone.".to_owned(),
    }
}
