//! Instructions of the operations that every packet goes through, counted and held to what is on record.
//!
//! Time on a shared machine says little about a change of some percent; the number of instructions is the same on every
//! run. Callgrind counts them on a processor of its own, without AVX-512, whatever the host has: what is counted is the
//! plain path. The program that is counted, `benches/examples/instructions.rs`, names its subjects itself.
//!
//! Callgrind is driven directly: a harness would add a runner, a library and its macros to what one option of callgrind
//! does, which counts inside one function alone.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::tools::Tools;
use crate::process;

/// What is on record, from the root.
const RECORD: &str = "benches/instructions.json";
/// How to put a new count on record.
const CURE: &str = "`cargo xtask instructions --record`";
/// How far a count may be from the record, as a share of it.
const TOLERANCE: f64 = 0.05;
/// Time limit of building the program.
const BUILD: Duration = Duration::from_secs(20 * 60);
/// Time limit of one subject.
const SUBJECT: Duration = Duration::from_secs(3 * 60);

/// Instructions of one operation, by subject.
type Counts = BTreeMap<String, f64>;

/// Counts, and compares with the record or replaces it.
///
/// # Errors
/// When counting fails, and when a count has grown beyond the tolerance, or the record and the subjects differ.
pub(crate) fn run(root: &Path, record: bool) -> Result<()> {
    let tools = Tools::new(root);
    if !record {
        if let Some(note) = check(&tools, BUILD)? {
            eprintln!("{note}");
        }
        return Ok(());
    }
    let counts = count(&tools, BUILD)?;
    let recorded = json!({ "compiler": compiler(&tools)?, "instructions": counts });
    fs::write(root.join(RECORD), format!("{recorded:#}\n"))?;
    eprintln!("{} counts written to {RECORD}", counts.len());
    Ok(())
}

/// The step of the test command. It returns what has shrunk so far that it ought to be recorded.
///
/// # Errors
/// As [`run`].
pub(super) fn check(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    let text = fs::read_to_string(tools.root.join(RECORD)).with_context(|| format!("{RECORD}: {CURE}"))?;
    let record: Value = serde_json::from_str(&text).with_context(|| RECORD.to_owned())?;
    let (recorded_by, compiler) = (record["compiler"].as_str().unwrap_or("nobody"), compiler(tools)?);
    if architecture(recorded_by) != architecture(&compiler) {
        return Ok(Some(format!("not compared: the record is of {recorded_by}, this is {compiler}")));
    }
    let recorded: Counts = serde_json::from_value(record["instructions"].clone())
        .with_context(|| format!("{RECORD} lacks its counts"))?;
    let Judgement { complaints, notes } = judge(&recorded, &count(tools, limit)?);
    if complaints.is_empty() {
        return Ok((!notes.is_empty()).then(|| format!("{}; {CURE} keeps the gain", notes.join(", "))));
    }
    let age = if recorded_by == compiler {
        String::new()
    } else {
        format!(" (recorded with {recorded_by}, counted with {compiler})")
    };
    bail!("{}{age}; if that is meant, run {CURE} and commit {RECORD}", complaints.join(", "))
}

/// What is wrong, and what is only to be told.
#[derive(Debug, Default, PartialEq, Eq)]
struct Judgement {
    complaints: Vec<String>,
    notes: Vec<String>,
}

/// Compares counts with the record.
fn judge(recorded: &Counts, counted: &Counts) -> Judgement {
    let mut judgement = Judgement::default();
    for (subject, &count) in counted {
        let Some(&before) = recorded.get(subject) else {
            judgement.complaints.push(format!("{subject} is not on record"));
            continue;
        };
        let change = count / before - 1.0;
        let words = |verb| {
            format!("{subject} {verb} from {before} to {count} instructions, {:+.1} %", 100.0 * change)
        };
        if change > TOLERANCE {
            judgement.complaints.push(words("has grown"));
        } else if change < -TOLERANCE {
            judgement.notes.push(words("has shrunk"));
        }
    }
    let gone = recorded.keys().filter(|subject| !counted.contains_key(*subject));
    judgement.complaints.extend(gone.map(|subject| format!("{subject} is on record and no longer counted")));
    judgement
}

/// Counts every subject.
fn count(tools: &Tools, limit: Duration) -> Result<Counts> {
    let program = build(tools, limit)?;
    let listed = process::read(&mut tools.command(&program), SUBJECT)?;
    let mut counts = Counts::new();
    for line in listed.lines() {
        let (subject, times) = line.split_once(' ').context("a subject and a number")?;
        let total = collected(&callgrind(tools, &program, subject)?).context("callgrind counted nothing")?;
        ensure!(total > 0, "{subject}: callgrind counted nothing; is the counted function still there?");
        let each = total as f64 / times.parse::<f64>()?;
        counts.insert(subject.to_owned(), (each * 10.0).round() / 10.0);
        eprintln!("{subject:<20} {each:>10.1} instructions");
    }
    ensure!(!counts.is_empty(), "there is no subject");
    Ok(counts)
}

/// Builds the program as the benches are built, so that nothing is built twice.
fn build(tools: &Tools, limit: Duration) -> Result<PathBuf> {
    let arguments = "build --release --example instructions --message-format json-render-diagnostics";
    let messages = process::read(&mut tools.cargo(arguments), limit)?;
    let executable = |line: &str| -> Option<PathBuf> {
        serde_json::from_str::<Value>(line).ok()?["executable"].as_str().map(PathBuf::from)
    };
    messages.lines().filter_map(executable).next_back().context("cargo built no program")
}

/// What callgrind says of one subject.
fn callgrind(tools: &Tools, program: &Path, subject: &str) -> Result<String> {
    let mut command = tools.command("valgrind");
    command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--toggle-collect=*measured*"]);
    command.args(["--log-fd=1"]).arg(program).arg(subject);
    process::read(&mut command, SUBJECT)
}

/// The number of instructions in what callgrind says.
fn collected(said: &str) -> Option<u64> {
    let line = said.lines().find_map(|line| line.split_once("Collected : "))?;
    line.1.trim().parse().ok()
}

/// The compiler with its version and its platform.
fn compiler(tools: &Tools) -> Result<String> {
    let said = process::read(tools.command("rustc").args(["--version", "--verbose"]), SUBJECT)?;
    let field = |name| said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("?").trim();
    Ok(format!("rustc {} {}", field("release:"), field("host:")))
}

/// The processor of a compiler's platform.
fn architecture(compiler: &str) -> &str {
    compiler.rsplit(' ').next().and_then(|host| host.split('-').next()).unwrap_or("")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(list: &[(&str, f64)]) -> Counts {
        list.iter().map(|&(subject, count)| (subject.to_owned(), count)).collect()
    }

    #[track_caller]
    fn check(counted: f64, complaints: usize, notes: usize) {
        let judgement = judge(&counts(&[("parse", 200.0)]), &counts(&[("parse", counted)]));
        assert_eq!((judgement.complaints.len(), judgement.notes.len()), (complaints, notes), "{judgement:?}");
    }

    #[test]
    fn growth_beyond_the_tolerance_fails_and_shrinking_is_told() {
        check(200.0, 0, 0);
        check(209.9, 0, 0);
        check(210.1, 1, 0);
        check(190.1, 0, 0);
        check(189.9, 0, 1);
        let judgement = judge(&counts(&[("parse", 200.0)]), &counts(&[("parse", 220.0)]));
        assert_eq!(judgement.complaints, ["parse has grown from 200 to 220 instructions, +10.0 %"]);
    }

    #[test]
    fn what_is_not_on_record_and_what_is_no_longer_counted_fail() {
        let judgement = judge(&counts(&[("old", 1.0)]), &counts(&[("new", 1.0)]));
        assert_eq!(judgement.complaints, ["new is not on record", "old is on record and no longer counted"]);
    }

    #[test]
    fn callgrinds_count_is_found_in_what_it_says() {
        assert_eq!(collected("==7== Events    : Ir\n==7== Collected : 12345\n==7==\n"), Some(12_345));
        assert_eq!(collected("==7== nothing"), None);
    }

    #[test]
    fn the_record_is_of_one_processor() {
        assert_eq!(architecture("rustc 1.95.0 x86_64-unknown-linux-gnu"), "x86_64");
        assert_eq!(architecture("nobody"), "nobody");
    }

    #[test]
    fn the_record_names_every_subject_once() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(RECORD);
        let record: Value = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
        let counts: Counts = serde_json::from_value(record["instructions"].clone()).unwrap();
        assert!(counts.len() >= 5 && counts.values().all(|&count| count > 1.0), "{counts:?}");
    }
}
