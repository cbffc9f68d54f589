//! Why a feed is not believed: the closed list.

use credence_law::layout::DecodeError;
use credence_law::party::Party;
use credence_law::{AdoptError, Refusal};
use credence_prefix::Prefix;

/// Why something of a feed is not believed. What was believed before stays.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Reject {
    /// The bytes are not what should be here.
    #[error("the bytes are not what a feed of this version has there: {0}")]
    Malformed(#[from] DecodeError),
    /// It is packed in another way, or unpacks to more than it says.
    #[error("it cannot be unpacked, or unpacks to something else than it says")]
    Packing,
    /// Rows or changes are out of order, or one comes twice.
    #[error("rows are out of order, or one comes twice")]
    Order,
    /// More than a gateway takes.
    #[error("it holds more than a gateway takes")]
    TooLarge,
    /// A file is not the one that was named.
    #[error("a file is not the one that the feed's head names")]
    Hash,
    /// It belongs to another world.
    #[error("it belongs to another world")]
    World,
    /// Too few of the operator's keys have signed the head.
    #[error("{found} of the operator's keys have signed the head, and {needed} must")]
    Unsigned {
        /// Keys that have.
        found: usize,
        /// Keys that must.
        needed: usize,
    },
    /// The head lasts too long, or ends before it begins.
    #[error("the head lasts longer than a head may, or ends before it begins")]
    Lifetime,
    /// The head is over: whoever serves it holds something newer back, or the publisher stands still.
    #[error("the head is over; its server is behind, or its publisher stands still")]
    Expired,
    /// The head is from the future.
    #[error("the head is of a time to come; this host's clock or the publisher's is wrong")]
    Future,
    /// It is older than what is believed already.
    #[error("it is older than what is believed already: {found} after {known}")]
    Rollback {
        /// The serial that is believed.
        known: u64,
        /// The serial that came.
        found: u64,
    },
    /// Two heads of one serial: somebody shows different things to different people.
    #[error("there are two different heads of serial {0}")]
    Equivocation(u64),
    /// The public log does not go on from where it was.
    #[error("the public log is not one that goes on from what was seen of it")]
    Log,
    /// Too few witnesses have seen the log.
    #[error("{found} witnesses have seen the log at this size, and {needed} must")]
    Witnesses {
        /// Witnesses that have.
        found: usize,
        /// Witnesses that must.
        needed: usize,
    },
    /// A rule does not come into force.
    #[error("entry {0} of the rules does not come into force: {1}")]
    Rule(u32, AdoptError),
    /// The rules are not those that the head is about.
    #[error("the rules are not those that the head is about")]
    Rules,
    /// An issuer's manifest does not stand.
    #[error("the manifest of {0} does not stand: {1}")]
    Manifest(Party, Refusal),
    /// An issuer's rows are not those that it has signed.
    #[error("the rows of {0} are not those that its manifest states")]
    Stated(Party),
    /// An issuer's row cannot stand on its word.
    #[error("{0} cannot say what it says of {1}: {2}")]
    Row(Party, Prefix, Refusal),
    /// An act that travels by itself does not stand.
    #[error("the act at place {0} of the log does not stand: {1}")]
    Act(u64, Refusal),
    /// The state is not the one that the head states.
    #[error("the state is not the one that the head states")]
    State,
    /// The changes lead from somewhere else.
    #[error("the changes lead from serial {from}, and {known} is known")]
    Base {
        /// Where they begin.
        from: u64,
        /// What is known.
        known: u64,
    },
    /// It breaks a rule that every snapshot keeps.
    #[error("the records break a rule of snapshots: {0}")]
    Records(String),
}

impl Reject {
    /// The words in metrics and machine-readable output, a contract.
    pub const NAMES: [&'static str; 12] = [
        "malformed",
        "too_large",
        "hash",
        "world",
        "signature",
        "expired",
        "future",
        "rollback",
        "equivocation",
        "log",
        "law",
        "state",
    ];

    /// The word of this one.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Malformed(_) | Self::Packing | Self::Order => "malformed",
            Self::TooLarge => "too_large",
            Self::Hash => "hash",
            Self::World => "world",
            Self::Unsigned { .. } => "signature",
            Self::Lifetime | Self::Expired => "expired",
            Self::Future => "future",
            Self::Rollback { .. } => "rollback",
            Self::Equivocation(_) => "equivocation",
            Self::Log | Self::Witnesses { .. } => "log",
            Self::Rule(..)
            | Self::Rules
            | Self::Manifest(..)
            | Self::Stated(_)
            | Self::Row(..)
            | Self::Act(..) => "law",
            Self::State | Self::Base { .. } | Self::Records(_) => "state",
        }
    }
}
