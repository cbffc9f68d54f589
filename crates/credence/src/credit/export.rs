//! `credence credit export`: a snapshot's records for other tools.

use std::io::Write;
use std::path::PathBuf;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use credence_credit::{ExportFormat, file};

use crate::exit::Exit;
use crate::outputs::create;

/// Arguments of `credence credit export`.
#[derive(clap::Args)]
pub(crate) struct ExportArgs {
    /// The snapshot to read
    #[arg(value_name = "SNAPSHOT")]
    snapshot: PathBuf,

    /// The form to write: prefixes that are constrained, or everything as CSV or JSON
    #[arg(long, value_name = "FORM", value_parser = export_format())]
    format: ExportFormat,

    /// The file to write; - is standard output
    #[arg(short, long, value_name = "FILE", default_value = "-")]
    output: PathBuf,
}

fn export_format() -> impl TypedValueParser<Value = ExportFormat> {
    PossibleValuesParser::new(ExportFormat::ALL.map(ExportFormat::name)).try_map(|word| word.parse())
}

/// Writes the records of a snapshot. The file is touched only when the snapshot could be read.
pub(crate) fn export(args: &ExportArgs) -> anyhow::Result<Exit> {
    let snapshot = file::read(&args.snapshot)?;
    let mut out = create(&args.output, &[&args.snapshot])?;
    credence_credit::export(&snapshot, args.format, &mut out)?;
    out.flush()?;
    Ok(Exit::Done)
}
