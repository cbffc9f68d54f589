//! Records for other tools.

use core::str::FromStr;
use std::io::{self, Write};

use serde::Serialize;
use serde::ser::{SerializeSeq, Serializer};

use crate::{Reason, Record, Snapshot, Status, UnknownWord};

/// A form that other tools read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportFormat {
    /// One prefix a line: what constrains, since whoever reads such a list takes it for a block list. How many records
    /// were left out for that stands in a comment.
    Cidr,
    /// All records with all their parts, with a header; [`import`](crate::import) reads it back.
    Csv,
    /// All records as one JSON object.
    Json,
}

impl ExportFormat {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Cidr, Self::Csv, Self::Json];

    /// The word on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cidr => "cidr",
            Self::Csv => "csv",
            Self::Json => "json",
        }
    }
}

impl FromStr for ExportFormat {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Self, UnknownWord> {
        UnknownWord::resolve(text, "export format", &Self::ALL, Self::name)
    }
}

/// Writes all records of `snapshot` to `out` in their order. Each write is small; `out` should be buffered.
///
/// # Errors
/// When `out` refuses.
pub fn export(snapshot: &Snapshot, format: ExportFormat, out: impl Write) -> io::Result<()> {
    match format {
        ExportFormat::Cidr => cidr(snapshot, out),
        ExportFormat::Csv => delimited(snapshot, out),
        ExportFormat::Json => json(snapshot, out),
    }
}

fn cidr(snapshot: &Snapshot, mut out: impl Write) -> io::Result<()> {
    let records = snapshot.records();
    let left_out = records.iter().filter(|record| !record.measure.constrains()).count();
    if left_out > 0 {
        writeln!(out, "# left out: {left_out} records that constrain nothing")?;
    }
    let mut prefixes: Vec<_> =
        records.iter().filter(|record| record.measure.constrains()).map(|record| record.prefix).collect();
    prefixes.dedup();
    prefixes.into_iter().try_for_each(|prefix| writeln!(out, "{prefix}"))?;
    out.flush()
}

/// A record with its words spelt out. The names of the members are the columns of the CSV form.
#[derive(Serialize)]
struct Row<'a> {
    prefix: String,
    score: Option<u16>,
    status: Option<&'static str>,
    measure: &'static str,
    reasons: Vec<&'static str>,
    expires: u64,
    authority: &'static str,
    evidence: &'static str,
    signatures: u16,
    issuer: &'a str,
    complaints: Option<&'a str>,
    act: Option<String>,
}

impl<'a> Row<'a> {
    fn of(snapshot: &'a Snapshot, record: &Record) -> Self {
        let issuer = snapshot.issuer(record.issuer);
        Self {
            prefix: record.prefix.to_string(),
            score: record.rating.score().map(Into::into),
            status: record.rating.status().map(Status::name),
            measure: record.measure.name(),
            reasons: record.reasons.iter().map(Reason::name).collect(),
            expires: record.expires,
            authority: record.authority.name(),
            evidence: record.evidence.name(),
            signatures: record.signatures,
            issuer: issuer.name(),
            complaints: issuer.complaints(),
            act: record.act.map(|act| act.to_string()),
        }
    }
}

/// The columns of the CSV form, the ones that an import reads first.
const COLUMNS: [&str; 11] = [
    "prefix",
    "score",
    "status",
    "measure",
    "reasons",
    "expires",
    "authority",
    "evidence",
    "signatures",
    "issuer",
    "act",
];

fn delimited(snapshot: &Snapshot, out: impl Write) -> io::Result<()> {
    let mut writer = csv::Writer::from_writer(out);
    writer.write_record(COLUMNS)?;
    for record in snapshot.records() {
        let row = Row::of(snapshot, record);
        // An empty cell would be filled in by an importer, so that unrated is written out.
        let score = record.rating.score().map_or_else(|| "unrated".to_owned(), |score| score.to_string());
        writer.write_record([
            row.prefix.as_str(),
            &score,
            row.status.unwrap_or_default(),
            row.measure,
            &record.reasons.to_string(),
            &row.expires.to_string(),
            row.authority,
            row.evidence,
            &row.signatures.to_string(),
            &inert(row.issuer),
            row.act.as_deref().unwrap_or_default(),
        ])?;
    }
    writer.flush()
}

/// A name that no spreadsheet takes for a formula.
fn inert(name: &str) -> String {
    if name.starts_with(['=', '+', '-', '@']) { format!("'{name}") } else { name.to_owned() }
}

/// The whole snapshot; its records are written one by one.
#[derive(Serialize)]
struct Document<'a> {
    session: u64,
    serial: u64,
    created: u64,
    records: Rows<'a>,
}

struct Rows<'a>(&'a Snapshot);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let mut list = out.serialize_seq(Some(self.0.records().len()))?;
        for record in self.0.records() {
            list.serialize_element(&Row::of(self.0, record))?;
        }
        list.end()
    }
}

fn json(snapshot: &Snapshot, mut out: impl Write) -> io::Result<()> {
    let header = snapshot.header();
    let document = Document {
        session: header.session,
        serial: header.serial,
        created: header.created,
        records: Rows(snapshot),
    };
    serde_json::to_writer(&mut out, &document)?;
    writeln!(out)?;
    out.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::tests::{listed, signed};
    use crate::snapshot::tests::snapshot;
    use crate::{Authority, Header, Issuer, Measure, Rating};

    fn text(snapshot: &Snapshot, format: ExportFormat) -> String {
        let mut out = Vec::new();
        export(snapshot, format, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    fn sample() -> Snapshot {
        let unrated = Record { rating: Rating::Unrated, ..listed("2001:db8:1::/48", Measure::None) };
        snapshot(vec![
            listed("2001:db8::/32", Measure::RateLimit),
            signed("2001:db8::/32", Authority::Decision, 2),
            unrated,
        ])
    }

    #[test]
    fn a_plain_list_names_each_constrained_prefix_once_and_no_other() {
        let expected = "# left out: 1 records that constrain nothing\n2001:db8::/32\n";
        assert_eq!(text(&sample(), ExportFormat::Cidr), expected);
    }

    #[test]
    fn rows_hold_every_part() {
        let out = text(&sample(), ExportFormat::Csv);
        let lines: Vec<_> = out.lines().collect();
        assert_eq!(lines[0], COLUMNS.join(","));
        assert_eq!(
            lines[1],
            "2001:db8::/32,100,seriously_dishonest,rate_limit,listed,1000,operator_list,declared,0,a,"
        );
        assert!(lines[2].ends_with(&format!("decision,confirmed,2,a,{}", "07".repeat(8))), "{}", lines[2]);
        assert!(lines[3].starts_with("2001:db8:1::/48,unrated,,none,"), "{}", lines[3]);
    }

    #[test]
    fn json_is_one_object_with_words_and_nulls() {
        let value: serde_json::Value = serde_json::from_str(&text(&sample(), ExportFormat::Json)).unwrap();
        assert_eq!(
            (&value["session"], &value["serial"], &value["created"]),
            (&1.into(), &2.into(), &3.into())
        );
        let records = value["records"].as_array().unwrap();
        assert_eq!(records.len(), 3);
        assert_eq!(records[0]["reasons"], serde_json::json!(["listed"]));
        assert_eq!(records[0]["act"], serde_json::Value::Null);
        assert_eq!(records[2]["score"], serde_json::Value::Null);
    }

    #[test]
    fn an_issuers_name_is_no_formula() {
        let issuer = Issuer::new("=cmd()").unwrap();
        let record = listed("2001:db8::/32", Measure::Drop);
        let snapshot = Snapshot::new(Header::default(), vec![issuer], vec![record]).unwrap();
        assert!(text(&snapshot, ExportFormat::Csv).contains(",'=cmd(),"));
    }
}
