//! The operator's own exceptions: what this network says of prefixes, whatever others say.
//!
//! They are a file of their own, since they change while a gateway runs, and are read again whenever it does. A prefix is a key
//! in one of three sections:
//!
//! ```toml
//! [allow]                                     # passes, whatever anyone says
//! "2001:db8:1::/48" = { why = "our office" }
//! [deny]                                      # is dropped, or as `measure` says
//! "2001:db8:bad::/48" = { measure = "rate_limit", until = 2027-01-31 }
//! [assert]                                    # has this score here, and what the ladder makes of that
//! "2001:db8:2::/48" = { score = 820 }
//! ```

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use credence_credit::{
    Authority, EvidenceClass, Header, Issuer, IssuerId, Measure, Rating, Reason, Reasons, Record, Score,
    Snapshot,
};
use credence_score::Ladder;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use serde::Deserialize;
use toml::value::Datetime;

use super::ListedPrefix;
use super::mistakes::Mistakes;
use super::reader::{parse, text_of};

/// When an exception ends that names no end: the first second of the year 2100. Every record has an end.
const NEVER_S: u64 = 4_102_444_800;

/// What this network says itself.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Exceptions {
    /// Prefixes whose traffic passes.
    allow: BTreeMap<String, Allow>,
    /// Prefixes whose traffic is dropped, or as `measure` says.
    deny: BTreeMap<String, Deny>,
    /// Prefixes whose credit is known better here.
    assert: BTreeMap<String, Assert>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Allow {
    until: Option<Datetime>,
    /// For whoever reads the file.
    #[serde(rename = "why")]
    _why: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Deny {
    measure: Measure,
    until: Option<Datetime>,
    #[serde(rename = "why")]
    _why: Option<String>,
}

impl Default for Deny {
    fn default() -> Self {
        Self { measure: Measure::Drop, until: None, _why: None }
    }
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Assert {
    score: u16,
    until: Option<Datetime>,
    #[serde(rename = "why")]
    _why: Option<String>,
}

/// An exception, whichever it is.
struct Entry<'e> {
    section: &'static str,
    prefix: &'e str,
    measure: Measure,
    score: Option<u16>,
    until: Option<&'e Datetime>,
}

impl Exceptions {
    /// Reads the file at `path`; a score becomes a measure by `ladder`.
    ///
    /// # Errors
    /// Every mistake in it that can be told, up to twenty, or why it cannot be read.
    pub(crate) fn read(path: &Path, ladder: Ladder) -> Result<Snapshot, Mistakes> {
        let file = path.display().to_string();
        let text = text_of(path).map_err(|mistake| Mistakes::new(file.clone(), vec![mistake]))?;
        Self::parse(&file, &text, ladder)
    }

    fn parse(file: &str, text: &str, ladder: Ladder) -> Result<Snapshot, Mistakes> {
        let exceptions: Self = parse(file, text, |exceptions: &Self| exceptions.unsound(ladder))?;
        let mut records: Vec<Record> =
            exceptions.entries(ladder).filter_map(|entry| entry.record().ok()).collect();
        records.sort_by_key(|record| record.prefix);
        let whole = |fault: String| Mistakes::new(file.to_owned(), vec![fault]);
        let issuer = Issuer::new(format!("exceptions ({file})")).or_else(|_| Issuer::new("exceptions"));
        let issuer = issuer.map_err(|error| whole(error.to_string()))?;
        Snapshot::new(Header::default(), vec![issuer], records).map_err(|error| whole(error.to_string()))
    }

    /// All of them, section by section.
    fn entries(&self, ladder: Ladder) -> impl Iterator<Item = Entry<'_>> {
        let allow = self.allow.iter().map(|(prefix, allow)| Entry {
            section: "allow",
            prefix,
            measure: Measure::None,
            score: None,
            until: allow.until.as_ref(),
        });
        let deny = self.deny.iter().map(|(prefix, deny)| Entry {
            section: "deny",
            prefix,
            measure: deny.measure,
            score: None,
            until: deny.until.as_ref(),
        });
        let assert = self.assert.iter().map(move |(prefix, assert)| Entry {
            section: "assert",
            prefix,
            measure: rung(ladder, assert.score),
            score: Some(assert.score),
            until: assert.until.as_ref(),
        });
        allow.chain(deny).chain(assert)
    }

    /// What no type can refuse, each with the path of its key.
    fn unsound(&self, ladder: Ladder) -> Vec<(String, String)> {
        let (mut faults, mut said) = (Vec::new(), BTreeMap::new());
        for entry in self.entries(ladder) {
            let mut tell = |fault| faults.push((format!("{}.{}", entry.section, entry.prefix), fault));
            match entry.record() {
                Err(fault) => tell(fault),
                Ok(record) => {
                    if let Some(section) = said.insert(record.prefix, entry.section) {
                        tell(format!("is in `{section}` as well; say one thing of a prefix"));
                    }
                }
            }
        }
        faults
    }
}

impl Entry<'_> {
    /// The record that says so.
    ///
    /// # Errors
    /// What is wrong with it.
    fn record(&self) -> Result<Record, String> {
        let prefix = ListedPrefix::from_str(self.prefix).map_err(|fault| format!("is no key: {fault}"))?;
        if self.section == "deny" && self.measure < Measure::Observe {
            return Err(format!("asks for \"{}\", which is no denial; list it under `allow`", self.measure));
        }
        let rating = match self.score.map(Score::new) {
            None => Rating::Unrated,
            Some(Ok(score)) => Rating::of(score),
            Some(Err(error)) => return Err(format!("cannot be asserted: {error}")),
        };
        Ok(Record {
            prefix: prefix.prefix(),
            rating,
            measure: self.measure,
            reasons: if self.section == "deny" { Reason::Listed.into() } else { Reasons::default() },
            issuer: IssuerId(0),
            evidence: EvidenceClass::Declared,
            authority: Authority::OperatorList,
            signatures: 0,
            expires: self.until.map_or(Ok(NEVER_S), end)?,
            act: None,
        })
    }
}

/// What the ladder makes of a score; it never drops.
fn rung(ladder: Ladder, score: u16) -> Measure {
    match score {
        _ if score < ladder.rate_limit_below => Measure::RateLimit,
        _ if score < ladder.mark_below => Measure::Mark,
        _ if score < ladder.observe_below => Measure::Observe,
        _ if score < ladder.incentive_from => Measure::None,
        _ => Measure::Incentive,
    }
}

/// The Unix second in which a date is over, or that a point in time names; both in UTC where they do not say.
///
/// # Errors
/// When it is a time of no day, or out of bounds.
fn end(until: &Datetime) -> Result<u64, String> {
    let text = until.to_string();
    let day = |date: Date| date.checked_add(1.day()).ok()?.to_zoned(TimeZone::UTC).ok();
    let instant = |moment: DateTime| moment.to_zoned(TimeZone::UTC).ok();
    let stamp = match (&until.date, &until.time, &until.offset) {
        (Some(_), None, None) => text.parse().ok().and_then(day).map(|day| day.timestamp()),
        (Some(_), Some(_), None) => text.parse().ok().and_then(instant).map(|moment| moment.timestamp()),
        (Some(_), Some(_), Some(_)) => text.parse::<Timestamp>().ok(),
        _ => None,
    };
    let second = stamp.and_then(|stamp| u64::try_from(stamp.as_second()).ok());
    second.ok_or_else(|| "has an `until` that is no day; write it like 2027-01-31".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<Snapshot, Mistakes> {
        Exceptions::parse("exceptions.toml", text, Ladder::default())
    }

    #[track_caller]
    fn check(text: &str, told: &[&str]) {
        assert_eq!(parsed(text).unwrap_err().texts(), told, "{text}");
    }

    #[test]
    fn each_section_says_its_own() {
        let text = "[allow]\n'2001:db8:1::/48' = { why = 'our office' }\n2001::5 = {}\n"
            .replace("2001::5", "'2001::5'")
            + "[deny]\n'2a00::/32' = {}\n'2a01::/32' = { measure = 'mark', until = 2027-01-31 }\n"
            + "[assert]\n'2a02::/32' = { score = 900 }\n'2a03::/32' = { score = 120, until = 2027-01-31T12:00:00Z }\n";
        let snapshot = parsed(&text).unwrap();
        assert_eq!(snapshot.issuers()[0].name(), "exceptions (exceptions.toml)");
        let said = snapshot.records().iter().map(|record| {
            (
                record.prefix.to_string(),
                record.measure,
                record.rating.score().map(Score::value),
                record.expires,
            )
        });
        let said: Vec<_> = said.collect();
        let expected = [
            ("2001::5/128", Measure::None, None, NEVER_S),
            ("2001:db8:1::/48", Measure::None, None, NEVER_S),
            ("2a00::/32", Measure::Drop, None, NEVER_S),
            ("2a01::/32", Measure::Mark, None, 1_801_440_000),
            ("2a02::/32", Measure::Incentive, Some(900), NEVER_S),
            ("2a03::/32", Measure::RateLimit, Some(120), 1_801_396_800),
        ];
        assert_eq!(
            said,
            expected.map(|(prefix, measure, score, end)| (prefix.to_owned(), measure, score, end))
        );
        assert_eq!(parsed("").unwrap().records().len(), 0);
    }

    #[test]
    fn mistakes_name_their_line_and_their_cure() {
        check("[alow]", &["unknown key `alow` at line 1: did you mean `allow`?"]);
        check(
            "[deny]\n\n'2a00::1/32' = {}",
            &[
                "`deny.2a00::1/32` at line 3 is no key: \"2a00::1/32\" has bits behind its length; write \"2a00::/32\" for the prefix or \"2a00::1/128\" for the address",
            ],
        );
        check(
            "[allow]\n'2a00::/32' = {}\n[deny]\n'2a00:0::/32' = {}",
            &["`deny.2a00:0::/32` at line 4 is in `allow` as well; say one thing of a prefix"],
        );
        check(
            "[deny]\n'2a00::/32' = { measure = 'none' }",
            &["`deny.2a00::/32` at line 2 asks for \"none\", which is no denial; list it under `allow`"],
        );
        check(
            "[assert]\n'2a00::/32' = { score = 1001 }",
            &[
                "`assert.2a00::/32` at line 2 cannot be asserted: 1001 is no score; a score is a whole number from 0 (worst) to 1000 (best)",
            ],
        );
        check(
            "[allow]\n'2a00::/32' = { until = 12:00:00 }",
            &["`allow.2a00::/32` at line 2 has an `until` that is no day; write it like 2027-01-31"],
        );
        assert!(parsed("[allow\n").unwrap_err().to_string().contains("is no TOML at line 1"));
    }
}
