//! `credence credit diff`: what changed between two snapshots.

use std::io::{self, Write};
use std::path::PathBuf;

use credence_credit::{Diff, Record, Snapshot, file};
use indicatif::HumanCount;
use serde::{Serialize, Serializer};

use crate::exit::Exit;
use crate::moment::utc;
use crate::outputs::{Format, json, print};
use crate::statement::Statement;

/// Arguments of `credence credit diff`.
#[derive(clap::Args)]
pub(crate) struct DiffArgs {
    /// The snapshot before
    #[arg(value_name = "OLD")]
    old: PathBuf,

    /// The snapshot after
    #[arg(value_name = "NEW")]
    new: PathBuf,

    /// The form of the answer
    #[arg(long, value_enum, default_value_t)]
    format: Format,
}

/// Prints the records added, removed and changed.
pub(crate) fn diff(args: &DiffArgs) -> anyhow::Result<Exit> {
    let (old, new) = (file::read(&args.old)?, file::read(&args.new)?);
    let diff = credence_credit::diff(&old, &new);
    let shown = Shown { old: &old, new: &new, diff: &diff };
    print(|out| match args.format {
        Format::Text => shown.write_text(out),
        Format::Json => json(out, &shown),
    })?;
    Ok(Exit::Done)
}

/// A difference with the snapshots that its records name their issuers in.
struct Shown<'a> {
    old: &'a Snapshot,
    new: &'a Snapshot,
    diff: &'a Diff<'a>,
}

fn statement(snapshot: &Snapshot, record: &Record) -> Statement {
    Statement::of(record, snapshot.issuer(record.issuer))
}

impl Shown<'_> {
    /// A line a record, in the manner of diff, and a line of numbers at the end.
    fn write_text(&self, out: &mut dyn Write) -> io::Result<()> {
        for record in &self.diff.removed {
            line(out, '-', &statement(self.old, record))?;
        }
        for record in &self.diff.added {
            line(out, '+', &statement(self.new, record))?;
        }
        for (before, after) in &self.diff.changed {
            line(out, '<', &statement(self.old, before))?;
            line(out, '>', &statement(self.new, after))?;
        }
        let count = |n: usize| HumanCount(n as u64);
        let Diff { added, removed, changed } = self.diff;
        writeln!(
            out,
            "{} added, {} removed, {} changed",
            count(added.len()),
            count(removed.len()),
            count(changed.len())
        )
    }
}

fn line(out: &mut dyn Write, sign: char, statement: &Statement) -> io::Result<()> {
    let Statement { prefix, issuer, expires, .. } = statement;
    writeln!(out, "{sign} {prefix}  {statement}  by {issuer:?}, until {}", utc(*expires))
}

/// Records written one by one, so that a large difference takes no more memory as text.
struct Rows<'a>(&'a Snapshot, &'a [&'a Record]);

impl Serialize for Rows<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_seq(self.1.iter().map(|record| statement(self.0, record)))
    }
}

/// A record before and after.
#[derive(Serialize)]
struct Change {
    old: Statement,
    new: Statement,
}

/// As [`Rows`], for changed records.
struct Changes<'a>(&'a Shown<'a>);

impl Serialize for Changes<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        let Shown { old, new, diff } = self.0;
        out.collect_seq(
            diff.changed
                .iter()
                .map(|(before, after)| Change { old: statement(old, before), new: statement(new, after) }),
        )
    }
}

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, out: S) -> Result<S::Ok, S::Error> {
        out.collect_map([
            ("added", Part::Rows(Rows(self.new, &self.diff.added))),
            ("removed", Part::Rows(Rows(self.old, &self.diff.removed))),
            ("changed", Part::Changes(Changes(self))),
        ])
    }
}

/// A member of the JSON form.
#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Rows(Rows<'a>),
    Changes(Changes<'a>),
}
