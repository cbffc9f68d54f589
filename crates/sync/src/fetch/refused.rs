//! Why what a publisher sent is not taken.

use serde::{Deserialize, Serialize};

/// Why what a publisher sent is not taken, told from its side. The names are labels of metrics.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, thiserror::Error,
)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Refused {
    /// Nobody has an address for its name, nobody answers there, or the connection was lost.
    #[error("it cannot be reached, or the connection was lost")]
    Unreachable,
    /// It did not prove who it is.
    #[error("its certificate does not prove who it is")]
    Certificate,
    /// It said nothing for too long.
    #[error("it said nothing for too long")]
    Idle,
    /// It sent too little for too long.
    #[error("it sent too slowly")]
    Slow,
    /// The whole took too long.
    #[error("it took too long")]
    Late,
    /// It announced or sent more than it may.
    #[error("it sent more than `bytes_max`")]
    TooLong,
    /// The body ended before its announced end.
    #[error("it stopped before the end")]
    Cut,
    /// What it said is no HTTP, or has more or longer headers than anybody needs.
    #[error("it does not speak HTTP, or has too many headers")]
    Malformed,
    /// It sends one to another origin, to an unencrypted page, or on and on.
    #[error("it sends one elsewhere; name that place in `urls`, if it is to be believed")]
    Redirect,
    /// It packed what nobody asked it to pack.
    #[error("it sent a packed body unasked")]
    Encoded,
    /// It said that nothing has changed, though nothing was there that could have.
    #[error("it said that nothing has changed since nothing was there")]
    Unasked,
    /// It has no such file, or does not give it.
    #[error("it does not give the file")]
    Status,
    /// It has no such file.
    #[error("it has no such file")]
    Absent,
    /// It asks to be left alone for a while, or is broken.
    #[error("it is busy or broken")]
    Busy,
    /// The body is a page for people.
    #[error("it sent a page for people")]
    Page,
    /// Nothing in the body is a record.
    #[error("it has no record of an IPv6 prefix")]
    Empty,
    /// Too much of the body cannot be read.
    #[error("too much of it cannot be read")]
    Unreadable,
    /// It has more records than a snapshot may hold.
    #[error("it has too many records")]
    Crowded,
    /// This host could not keep it.
    #[error("this host could not keep it")]
    Unkept,
    /// Gateways ended when it was offered to them.
    #[error("gateways ended when it, or what came before it, was offered to them")]
    Quarantined,
    /// A file is not the one that was named.
    #[error("a file is not the one that was named")]
    Hash,
    /// It belongs to another world, or to one that was made to try things out.
    #[error(
        "it belongs to another world than the configuration trusts, or to one that was made to try things out"
    )]
    World,
    /// Too few keys have signed it.
    #[error("too few of the keys have signed it that must")]
    Signature,
    /// It is over.
    #[error("what it shows is over: it is behind, or its publisher stands still")]
    Expired,
    /// It is of a time to come.
    #[error("what it shows is of a time to come; a clock is wrong")]
    Future,
    /// It is older than what is known.
    #[error("what it shows is older than what is known")]
    Rollback,
    /// There are two of one version.
    #[error("it shows another version of what is known than others do")]
    Equivocation,
    /// The public log is another one, or was not witnessed.
    #[error("the public log does not go on from what was seen of it, or too few witnesses have seen it")]
    Log,
    /// It is against the law of its world.
    #[error("it says what the law of its world does not allow")]
    Law,
    /// It does not come to what it states.
    #[error("its parts do not come to what it states")]
    State,
}

impl Refused {
    /// Why lists are not taken, and feeds as well.
    pub const ALL: [Self; 20] = [
        Self::Unreachable,
        Self::Certificate,
        Self::Idle,
        Self::Slow,
        Self::Late,
        Self::TooLong,
        Self::Cut,
        Self::Malformed,
        Self::Redirect,
        Self::Encoded,
        Self::Unasked,
        Self::Status,
        Self::Absent,
        Self::Busy,
        Self::Page,
        Self::Empty,
        Self::Unreadable,
        Self::Crowded,
        Self::Unkept,
        Self::Quarantined,
    ];

    /// Why feeds are not taken besides.
    pub const OF_FEEDS: [Self; 10] = [
        Self::Hash,
        Self::World,
        Self::Signature,
        Self::Expired,
        Self::Future,
        Self::Rollback,
        Self::Equivocation,
        Self::Log,
        Self::Law,
        Self::State,
    ];

    /// The word in metrics, logs and on the pipe.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unreachable => "unreachable",
            Self::Certificate => "certificate",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Late => "late",
            Self::TooLong => "too_long",
            Self::Cut => "cut",
            Self::Malformed => "malformed",
            Self::Redirect => "redirect",
            Self::Encoded => "encoded",
            Self::Unasked => "unasked",
            Self::Status => "status",
            Self::Absent => "absent",
            Self::Busy => "busy",
            Self::Page => "page",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::Crowded => "crowded",
            Self::Unkept => "unkept",
            Self::Quarantined => "quarantined",
            Self::Hash => "hash",
            Self::World => "world",
            Self::Signature => "signature",
            Self::Expired => "expired",
            Self::Future => "future",
            Self::Rollback => "rollback",
            Self::Equivocation => "equivocation",
            Self::Log => "log",
            Self::Law => "law",
            Self::State => "state",
        }
    }
}
