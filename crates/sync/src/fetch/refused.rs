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
}

impl Refused {
    /// All of them.
    pub const ALL: [Self; 18] = [
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
        Self::Busy,
        Self::Page,
        Self::Empty,
        Self::Unreadable,
        Self::Crowded,
        Self::Unkept,
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
            Self::Busy => "busy",
            Self::Page => "page",
            Self::Empty => "empty",
            Self::Unreadable => "unreadable",
            Self::Crowded => "crowded",
            Self::Unkept => "unkept",
        }
    }
}
