//! The closed lists that acts take their words from.

use crate::layout::listed;

/// What a record is kept for. Nothing is kept for anything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// Warning others of a risk.
    Warning,
    /// Deciding what is to be done, and by whom.
    Governance,
    /// Hearing those concerned, and mending what is wrong.
    Relief,
    /// Giving account of what was done.
    Account,
}

impl Purpose {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Warning, Self::Governance, Self::Relief, Self::Account];
}

/// What advisers found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Finding {
    /// The evidence bears the decision.
    Supports,
    /// It does not.
    Opposes,
    /// There is too little of it.
    Insufficient,
}

/// A member's word on a proposal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ballot {
    /// For it.
    Yes,
    /// Against it; one is enough.
    No,
    /// Neither.
    Abstain,
}

/// Why an act is taken back or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ground {
    /// What it says was wrong.
    Error,
    /// The addresses have another holder since.
    Reassigned,
    /// What was wrong has been mended.
    Remedied,
    /// It rested on a key or a party that is not trusted any more.
    Distrusted,
    /// A complaint about it was upheld.
    Upheld,
    /// It goes further than it has to.
    Excessive,
}

/// How far a complaint has gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The issuer and the subject talk.
    Consultation,
    /// Somebody who has no part in it helps.
    Mediation,
    /// The coordinating body says how it is.
    Adjudication,
}

/// How a complaint ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ruling {
    /// The subject was right.
    Upheld,
    /// It was right in part, and the act has become milder.
    Settled,
    /// It was not.
    Rejected,
}

/// How somebody has shown that they have a say over addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Control {
    /// They have answered a challenge from inside the prefix.
    Answered,
    /// The member that holds the addresses speaks for them.
    Holder,
}

/// Why an act's payload goes while its hash stays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Erased {
    /// It was kept as long as it may be.
    Retention,
    /// Those concerned have a right to it, before its time.
    Claim,
}

/// What a security alert is about. Nothing follows from it for anybody's credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Threat {
    /// A weakness that is being used.
    Vulnerability,
    /// Malicious software that spreads.
    Malware,
    /// An attack that is under way.
    Campaign,
    /// Something that others should look for.
    Indicator,
}

listed! {
    Purpose: Purpose::ALL,
    Finding: [Finding::Supports, Finding::Opposes, Finding::Insufficient],
    Ballot: [Ballot::Yes, Ballot::No, Ballot::Abstain],
    Ground: [
        Ground::Error, Ground::Reassigned, Ground::Remedied, Ground::Distrusted, Ground::Upheld, Ground::Excessive,
    ],
    Stage: [Stage::Consultation, Stage::Mediation, Stage::Adjudication],
    Ruling: [Ruling::Upheld, Ruling::Settled, Ruling::Rejected],
    Control: [Control::Answered, Control::Holder],
    Erased: [Erased::Retention, Erased::Claim],
    Threat: [Threat::Vulnerability, Threat::Malware, Threat::Campaign, Threat::Indicator],
}
