//! Drafts: what the gateway would say to others, and how far each has come.

use credence_credit::{ActId, Learned, Measure};
use credence_prefix::Prefix;
use serde::{Deserialize, Serialize};

use super::form;

/// The most evidence that a draft keeps, in bytes: three or four alerts, which show what it was and when it began.
pub const EVIDENCE_LEN_MAX: usize = 4_096;

/// Something to be said to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draft {
    /// Its number in this spool, from 1 on.
    pub number: u64,
    /// When it was opened, in Unix seconds.
    pub opened: u64,
    /// Whom it is about: what the holder hands out as a whole, and no part of it.
    #[serde(with = "form::prefix")]
    pub subject: Prefix,
    /// How that length was learned.
    pub learned: Learned,
    /// What is to be said.
    pub says: Says,
    /// How far it has come.
    pub state: State,
}

/// What a draft says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Says {
    /// An alert about addresses of the member's own.
    OwnAlert(Seen),
    /// A report about another member's.
    Report(Seen),
    /// An account of what was done here.
    Applied(Done),
}

/// What was seen of a subject.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The item of the catalogue.
    pub item: u16,
    /// The hardest measure that it met here. An own alert asks for the same; a report asks for nothing.
    pub measure: Measure,
    /// When it was first seen, in Unix seconds.
    pub from: u64,
    /// When it was last seen, in Unix seconds.
    pub until: u64,
    /// Alerts that it stands for.
    pub alerts: u64,
    /// The first of those, line by line. They never leave the spool.
    pub evidence: String,
    /// 32 random bytes that hide the evidence behind its commitment.
    #[serde(with = "hex")]
    pub salt: [u8; 32],
}

/// What was done to a subject in a period.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// What it was.
    pub measure: Measure,
    /// The act on whose word.
    #[serde(with = "form::id")]
    pub because: ActId,
    /// From when, in Unix seconds.
    pub from: u64,
    /// Until when, in Unix seconds.
    pub until: u64,
    /// Packets that met it, by the gateway's counts.
    pub packets: u64,
    /// Bytes of those on the wire.
    pub bytes: u64,
}

/// How far a draft has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// It waits for the operator.
    Waiting,
    /// It is to be signed and sent.
    Ready,
    /// It was signed. It may have been sent, and may have been taken.
    Signed(Dispatch),
    /// It was taken.
    Taken(Receipt),
    /// It will not be taken as it is: the word of a closed list says why. The operator changes or drops it.
    Refused {
        /// The law's word, or `other`.
        reason: String,
    },
    /// Nobody is to be told.
    Dropped,
}

/// Signed bytes on their way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dispatch {
    /// The identity of the act.
    #[serde(with = "form::id")]
    pub id: ActId,
    /// When it was made, in Unix seconds.
    pub issued: u64,
    /// The act with its signature. These bytes are sent, and sent again, until there is an answer.
    #[serde(with = "hex")]
    pub bytes: Vec<u8>,
}

/// What the platform answered to an act that it took.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    /// The identity of the act.
    #[serde(with = "form::id")]
    pub id: ActId,
    /// Its place in the log.
    pub place: u64,
    /// When it was accepted, as the platform wrote it.
    pub accepted: String,
}

/// What drafts are told apart by: one of a kind is enough for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Topic {
    subject: Prefix,
    item: u16,
}

impl Draft {
    /// What it is of; accounts are of a period each, and told apart by that.
    pub(super) fn topic(&self) -> Option<Topic> {
        self.says.seen().map(|seen| Topic { subject: self.subject, item: seen.item })
    }

    /// Whether it says what was done here, and not what was seen.
    pub const fn is_account(&self) -> bool {
        matches!(self.says, Says::Applied(_))
    }

    /// Whether nothing more happens to it.
    pub const fn is_finished(&self) -> bool {
        matches!(self.state, State::Taken(_) | State::Dropped)
    }
}

impl Says {
    /// The word for its kind.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::OwnAlert(_) => "own_alert",
            Self::Report(_) => "report",
            Self::Applied(_) => "applied",
        }
    }

    /// What was seen; nothing for an account.
    pub const fn seen(&self) -> Option<&Seen> {
        match self {
            Self::OwnAlert(seen) | Self::Report(seen) => Some(seen),
            Self::Applied(_) => None,
        }
    }

    pub(super) const fn seen_mut(&mut self) -> Option<&mut Seen> {
        match self {
            Self::OwnAlert(seen) | Self::Report(seen) => Some(seen),
            Self::Applied(_) => None,
        }
    }
}

impl State {
    /// The words for all of them, in the order of a draft's life.
    pub const NAMES: [&'static str; 6] = ["waiting", "ready", "signed", "taken", "refused", "dropped"];

    /// The word for it.
    pub const fn name(&self) -> &'static str {
        let [waiting, ready, signed, taken, refused, dropped] = Self::NAMES;
        match self {
            Self::Waiting => waiting,
            Self::Ready => ready,
            Self::Signed(_) => signed,
            Self::Taken(_) => taken,
            Self::Refused { .. } => refused,
            Self::Dropped => dropped,
        }
    }
}

impl Seen {
    /// Takes in one more alert of the same; whether there was something new to keep. Only what widens the time by a minute is, so
    /// that a flood of alerts does not keep a disk busy.
    pub(super) fn merge(&mut self, other: &Self) -> bool {
        const WORTH_WRITING_S: u64 = 60;
        self.alerts = self.alerts.saturating_add(other.alerts);
        let is_wider = other.from < self.from || other.until >= self.until.saturating_add(WORTH_WRITING_S);
        let is_harder = other.measure > self.measure;
        let has_room = self.evidence.len() + other.evidence.len() <= EVIDENCE_LEN_MAX;
        if has_room {
            self.evidence.push_str(&other.evidence);
        }
        if is_wider || is_harder || has_room {
            self.from = self.from.min(other.from);
            self.until = self.until.max(other.until);
            self.measure = self.measure.max(other.measure);
        }
        is_wider || is_harder || has_room
    }
}
