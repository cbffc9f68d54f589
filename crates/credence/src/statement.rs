//! A credit record as commands show it.

use std::fmt;

use credence_credit::{Issuer, Reason, Record, Score, Status};
use serde::Serialize;

/// A record with its words spelt out.
#[derive(Serialize)]
pub(crate) struct Statement {
    pub(crate) prefix: String,
    /// 0 to 1000; none when unrated.
    pub(crate) score: Option<u16>,
    /// The word for the score, or `unrated`.
    pub(crate) status: &'static str,
    pub(crate) measure: &'static str,
    pub(crate) authority: &'static str,
    pub(crate) evidence: &'static str,
    pub(crate) reasons: Vec<&'static str>,
    pub(crate) issuer: String,
    /// Where a subject can complain, if the issuer said.
    pub(crate) complaints: Option<String>,
    /// How many distinct keys signed; 0 for a local list.
    pub(crate) signatures: u16,
    /// The signed act, in hexadecimal; none for a local list.
    pub(crate) act: Option<String>,
    /// Unix seconds.
    pub(crate) expires: u64,
}

/// The word for having no score.
pub(crate) const UNRATED: &str = "unrated";

impl Statement {
    /// What `record` says, with its issuer.
    pub(crate) fn of(record: &Record, issuer: &Issuer) -> Self {
        Self {
            prefix: record.prefix.to_string(),
            score: record.rating.score().map(Score::value),
            status: record.rating.status().map_or(UNRATED, Status::name),
            measure: record.measure.name(),
            authority: record.authority.name(),
            evidence: record.evidence.name(),
            reasons: record.reasons.iter().map(Reason::name).collect(),
            issuer: issuer.name().to_owned(),
            complaints: issuer.complaints().map(str::to_owned),
            signatures: record.signatures,
            act: record.act.map(|act| act.to_string()),
            expires: record.expires,
        }
    }
}

/// Score, status and measure: the part of a record that fits on a line with others.
impl fmt::Display for Statement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.score {
            Some(score) => write!(f, "{score} {}", self.status)?,
            None => f.write_str(self.status)?,
        }
        write!(f, ", {}", self.measure)
    }
}
