//! `credence credit import`: lists become a snapshot.

use std::fs::File;
use std::io::{self, BufReader, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use credence_credit::import::{ImportError, ImportOptions, Importer, ListFormat, Problems, Tally};
use credence_credit::{Measure, Score, file};
use credence_engine::clock::unix_s;
use indicatif::HumanCount;

use crate::exit::Exit;
use crate::moment::parse_lifetime;
use crate::outputs::{is_standard, print, tell};

/// Arguments of `credence credit import`.
#[derive(clap::Args)]
pub(crate) struct ImportArgs {
    /// Lists; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,

    /// The form of the lists
    #[arg(long, value_name = "FORM", value_parser = list_format())]
    from: ListFormat,

    /// The snapshot to write; replaced in one step
    #[arg(short, long, value_name = "SNAPSHOT")]
    output: PathBuf,

    /// Score of what is listed, from 0 (worst) to 1000, where a list gives none
    #[arg(long, value_name = "N", default_value = "100", value_parser = score)]
    score: Score,

    /// How long records last, where a list does not say: 30d, 12h, 45m, 2w
    #[arg(long, value_name = "TIME", default_value = "30d", value_parser = parse_lifetime)]
    expires: Duration,

    /// What is asked for, where a list does not say; none makes an allow list
    #[arg(long, value_name = "MEASURE", default_value = "drop", value_parser = measure())]
    measure: Measure,

    /// Name under which the records are shown [default: the name of the first file]
    #[arg(long, value_name = "NAME")]
    issuer: Option<String>,
}

fn list_format() -> impl TypedValueParser<Value = ListFormat> {
    PossibleValuesParser::new(ListFormat::ALL.map(ListFormat::name)).try_map(|word| word.parse())
}

fn measure() -> impl TypedValueParser<Value = Measure> {
    PossibleValuesParser::new(Measure::ALL.map(Measure::name)).try_map(|word| word.parse())
}

fn score(text: &str) -> Result<Score, String> {
    let value: u16 = text.parse().map_err(|_| "not a whole number from 0 to 1000".to_owned())?;
    Score::new(value).map_err(|error| error.to_string())
}

/// Reads lists into a snapshot. What cannot be read is told; everything else is written.
pub(crate) fn import(args: &ImportArgs) -> anyhow::Result<Exit> {
    let mut importer = Importer::new(ImportOptions {
        score: args.score,
        expires: args.expires,
        now: unix_s(),
        issuer: args.issuer.clone().unwrap_or_else(|| name_of(&args.files)),
        measure: args.measure,
    })?;
    let mut unread = 0;
    for path in &args.files {
        if let Err(error) = read(&mut importer, path, args.from) {
            if matches!(error.downcast_ref(), Some(ImportError::TooManyRecords { .. })) {
                return Err(error);
            }
            tell(format_args!("{error:#}"));
            unread += 1;
        }
    }
    let imported = importer.finish();
    let (tally, problems) = (imported.tally, imported.problems.clone());
    told(&problems);
    let output = args.output.display();
    let wrong = unread > 0 || problems.total() > 0;
    if wrong && imported.records.is_empty() {
        // An empty snapshot in place of a full one would take all protection away for a mistake.
        bail!("nothing could be imported; {output} is left as it was");
    }
    let records = imported.records.len() as u64;
    // The sentence names the fault already; its chain of causes would say it again.
    file::write(&args.output, &imported.into_snapshot()?).map_err(|error| anyhow!("{error}"))?;
    print(|out| summary(out, records, &tally, &args.output))?;
    Ok(Exit::after(wrong))
}

fn read(importer: &mut Importer, path: &Path, format: ListFormat) -> anyhow::Result<()> {
    if is_standard(path) {
        return Ok(importer.read("standard input", format, io::stdin().lock())?);
    }
    let name = path.display().to_string();
    let file = File::open(path).with_context(|| {
        format!("{name} cannot be read; check that the path is right and that this user may read it")
    })?;
    Ok(importer.read(&name, format, BufReader::new(file))?)
}

/// The name under which the records of `files` are shown, if nobody gives another.
fn name_of(files: &[PathBuf]) -> String {
    let first = files.first().filter(|path| !is_standard(path)).and_then(|path| path.file_name());
    let first = first.map_or_else(|| "standard input".into(), |name| name.to_string_lossy());
    match files.len() {
        0 | 1 => first.into_owned(),
        several => format!("{first} and {} more", several - 1),
    }
}

fn told(problems: &Problems) {
    problems.first().iter().for_each(tell);
    let more = problems.total() - problems.first().len() as u64;
    if more > 0 {
        let total = HumanCount(problems.total());
        tell(format_args!("{} more like these; {total} entries in all could not be read", HumanCount(more)));
    }
}

fn summary(out: &mut dyn Write, records: u64, tally: &Tally, output: &Path) -> io::Result<()> {
    writeln!(out, "{} records written to {}", HumanCount(records), output.display())?;
    let rows = [
        (tally.entries, "entries read"),
        (tally.ipv4, "left out: IPv4"),
        (tally.other_scopes, "left out: neither an address nor a range"),
        (tally.expired, "left out: over already"),
        (tally.simulated, "left out: only simulated at their source"),
        (tally.deleted, "left out: taken back at their source"),
        (tally.duplicates, "left out: the same prefix again"),
        (tally.host_bits_truncated, "with host bits, which were cut off"),
        (tally.too_wide, "too wide: kept, shown and never enforced"),
    ];
    for (count, what) in rows.into_iter().filter(|(count, _)| *count > 0) {
        writeln!(out, "{:>12}  {what}", HumanCount(count).to_string())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_named_after_its_file() {
        let name = |paths: &[&str]| name_of(&paths.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(name(&["lists/drop_v6.json"]), "drop_v6.json");
        assert_eq!(name(&["a.txt", "b.txt", "c.txt"]), "a.txt and 2 more");
        assert_eq!(name(&["-"]), "standard input");
    }

    #[test]
    fn a_score_lies_on_the_scale() {
        assert_eq!(score("1000"), Ok(Score::BEST));
        for text in ["1001", "-1", "70000", "good", ""] {
            assert!(score(text).is_err(), "{text}");
        }
    }
}
