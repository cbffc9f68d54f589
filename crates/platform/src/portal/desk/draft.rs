//! Acts that are prepared by form: who may, and what is asked; [`write`] makes acts of what was typed.

mod write;

use credence_credit::{EvidenceClass, Measure};
use credence_law::acts::{Ballot, Finding, Ground, Ruling, Stage};
use credence_law::party::{Function, Party};
use credence_law::{Act, Law};

pub(in crate::portal) use self::write::Writing;
use super::form::Field;
use crate::words;

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

/// Who has to sign an act before it is handed in, in words.
pub(in crate::portal) fn signers(act: &Act, law: Option<&Law>) -> String {
    let registry = law.map(|law| law.register().registry());
    match (act.issuer(), registry) {
        (Party::Body, Some(registry)) => {
            format!(
                "It takes {} seats: each signs the file with their own key, and hands it on.",
                registry.quorum
            )
        }
        (Party::Adviser(_), Some(registry)) => {
            format!(
                "It takes {} advisers: each signs the file with their own key, and hands it on.",
                registry.advice_quorum
            )
        }
        _ => "It takes your signature alone.".to_owned(),
    }
}
