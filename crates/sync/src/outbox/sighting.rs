//! What the gateway has seen, line by line.

use std::net::Ipv6Addr;

use credence_credit::{Measure, Reason};
use jiff::Timestamp;
use serde::Deserialize;

/// The longest line that is read, in bytes. An alert with every term and every anomaly has some two thousand.
pub const LINE_LEN_MAX: usize = 8_192;

/// What behaviour must take from a score before anybody else is told: as much as lies between where an unrated source starts and
/// the first rung, by the policy that the project ships.
const LOSS_MIN: i64 = 100;

/// An alert of the gateway, with what the outbox needs of it.
#[derive(Clone, PartialEq, Eq)]
pub struct Sighting {
    /// When, in Unix seconds.
    pub seen: u64,
    /// The source's address.
    pub source: u128,
    /// Whether the source had proved that it receives.
    pub confirmed: bool,
    /// What the source did, in the catalogue's words; none where it did nothing that stands there.
    pub reason: Option<Reason>,
    /// What served here.
    pub measure: Measure,
    /// Whether the operator lets the source do as it does.
    pub allowed: bool,
    /// The line itself, which is the evidence.
    pub line: String,
}

/// Why a line says nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is too long.
    #[error("the line is longer than {LINE_LEN_MAX} bytes")]
    Long,
    /// It is of another shape.
    #[error("the line is no alert of this version")]
    Shape,
}

#[derive(Deserialize)]
struct Line {
    timestamp: String,
    event_type: String,
    src_ip: Ipv6Addr,
    credence: Reasoning,
}

#[derive(Deserialize)]
struct Reasoning {
    verdict: String,
    basis: String,
    confirmed: bool,
    #[serde(default)]
    terms: Vec<Term>,
}

#[derive(Deserialize)]
struct Term {
    rule: String,
    points: i64,
}

impl Sighting {
    /// Reads a line of the alert log, whose schema is `deploy/alert.schema.json`.
    ///
    /// # Errors
    /// When it is no alert.
    pub fn parse(line: &str) -> Result<Self, Unreadable> {
        if line.len() > LINE_LEN_MAX {
            return Err(Unreadable::Long);
        }
        let read: Line = serde_json::from_str(line).map_err(|_| Unreadable::Shape)?;
        let seen: Timestamp = read.timestamp.parse().map_err(|_| Unreadable::Shape)?;
        let seen = u64::try_from(seen.as_second()).map_err(|_| Unreadable::Shape)?;
        if read.event_type != "alert" {
            return Err(Unreadable::Shape);
        }
        let Reasoning { verdict, basis, confirmed, terms } = read.credence;
        Ok(Self {
            seen,
            source: read.src_ip.into(),
            confirmed,
            reason: shown(&terms),
            measure: served(&verdict).ok_or(Unreadable::Shape)?,
            allowed: matches!(basis.as_str(), "never_block" | "operator_allow"),
            line: line.trim_end().to_owned(),
        })
    }
}

/// What the source did by itself. The credit that a score starts from is no part of it: a score is never evidence for a score.
fn shown(terms: &[Term]) -> Option<Reason> {
    let loss = |rules: &[&str]| -> i64 {
        terms.iter().filter(|term| rules.contains(&term.rule.as_str())).map(|term| -term.points.min(0)).sum()
    };
    let kinds = [
        (loss(&["targets", "ports", "unanswered"]), Reason::Scanning),
        (loss(&["flow_rate", "packet_rate"]), Reason::Flooding),
    ];
    // Of equals the first, which weighs less.
    let (most, reason) = kinds.into_iter().reduce(|most, next| if next.0 > most.0 { next } else { most })?;
    (most >= LOSS_MIN).then_some(reason)
}

/// The measure that a verdict stands for, and never more than a holder may ask for of its own.
fn served(verdict: &str) -> Option<Measure> {
    match verdict {
        "incentive" | "pass" | "observe" => Some(Measure::Observe),
        "mark" => Some(Measure::Mark),
        "rate_limit" | "drop" => Some(Measure::RateLimit),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line as the gateway writes it.
    fn line(verdict: &str, basis: &str, terms: &str) -> String {
        format!(
            r#"{{"timestamp":"2026-11-22T10:00:01.500000+0000","flow_id":7,"event_type":"alert",
            "src_ip":"2a00:1::5","dest_ip":"2a00:2::5","proto":"TCP","ip_v":6,"direction":"outbound",
            "credence":{{"score":120,"verdict":"{verdict}","basis":"{basis}","rules":"credence-local/1",
            "terms":[{terms}],"confirmed":true,"anomalies":[],"credit":null,"enforced":false,
            "suppressed":0,"frame":12}}}}"#
        )
    }

    #[track_caller]
    fn check(terms: &str, reason: Option<Reason>) {
        assert_eq!(Sighting::parse(&line("mark", "local_score", terms)).unwrap().reason, reason, "{terms}");
    }

    #[test]
    fn an_alert_is_read() {
        let line = line("drop", "decision", r#"{"rule":"targets","points":-240,"measured":90}"#);
        let seen = Sighting::parse(&line).unwrap();
        assert_eq!(seen.seen, 1_795_341_601);
        assert_eq!(seen.source, 0x2a00_0001 << 96 | 5);
        assert_eq!((seen.confirmed, seen.allowed), (true, false));
        assert_eq!((seen.reason, seen.measure), (Some(Reason::Scanning), Measure::RateLimit));
        assert_eq!(seen.line, line);
    }

    #[test]
    fn only_what_the_source_did_counts_and_only_where_it_is_enough() {
        check(r#"{"rule":"targets","points":-60},{"rule":"ports","points":-40}"#, Some(Reason::Scanning));
        check(r#"{"rule":"targets","points":-60},{"rule":"ports","points":-39}"#, None);
        check(
            r#"{"rule":"packet_rate","points":-150},{"rule":"ports","points":-100}"#,
            Some(Reason::Flooding),
        );
        check(r#"{"rule":"credit","points":-900},{"rule":"anomaly_evasive","points":-300}"#, None);
        check(r#"{"rule":"targets","points":500}"#, None);
        check("", None);
    }

    #[test]
    fn whom_the_operator_allows_is_known() {
        for (basis, allowed) in [("never_block", true), ("operator_allow", true), ("operator_deny", false)] {
            assert_eq!(Sighting::parse(&line("pass", basis, "")).unwrap().allowed, allowed, "{basis}");
        }
    }

    #[test]
    fn other_lines_say_nothing() {
        let good = line("mark", "local_score", "");
        for wrong in [
            String::new(),
            "{}".to_owned(),
            good.replace("\"alert\"", "\"drop\""),
            good.replace("2a00:1::5", "192.0.2.1"),
            good.replace("2026-11-22", "1926-11-22"),
            good.replace("\"mark\"", "\"shout\""),
        ] {
            assert_eq!(Sighting::parse(&wrong).err(), Some(Unreadable::Shape), "{wrong}");
        }
        let long = format!("{good}{}", " ".repeat(LINE_LEN_MAX));
        assert_eq!(Sighting::parse(&long).err(), Some(Unreadable::Long));
    }
}
