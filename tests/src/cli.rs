//! The commands, as their users meet them: exit codes, what is printed where, and what is left on the disk.

mod alerts;
mod credit;
mod faults;
mod replay;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::binary::{Ran, capture, run};

/// A folder of a test's own.
struct Desk(TempDir);

impl Desk {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file of that content.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).expect("writable");
        path
    }

    /// The content of a file.
    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).expect("readable")
    }

    /// A snapshot of the prefixes of a list, one a line, made with `options`.
    fn snapshot(&self, name: &str, list: &str, options: &[&str]) -> PathBuf {
        let (path, list) = (self.path(name), self.file(&format!("{name}.txt"), list));
        let files = [Path::new("credit"), "import".as_ref(), &list, "-o".as_ref(), &path];
        run(files.into_iter().chain(["--from", "cidr"].iter().chain(options).map(Path::new))).expect(0);
        path
    }
}

/// Runs `credence replay` on captures with options.
fn replay(captures: &[PathBuf], options: &[&str]) -> Ran {
    let args = captures.iter().map(|path| path.clone().into_os_string());
    run(["replay".into()].into_iter().chain(args).chain(options.iter().map(OsString::from)))
}

/// Runs `credence replay` on committed captures, with flows and alerts written to the desk.
fn replay_to(desk: &Desk, names: &[&str], options: &[&str]) -> Ran {
    let captures: Vec<_> = names.iter().map(|name| capture(name)).collect();
    let (flows, alerts) = (desk.path("flows.tsv"), desk.path("alerts.jsonl"));
    let outputs = ["--flows", text(&flows), "--alerts", text(&alerts), "--format", "json"];
    replay(&captures, &[&outputs, options].concat())
}

fn text(path: &Path) -> &str {
    path.to_str().expect("temporary paths are text")
}

/// The cells of a column of a flow table.
fn column<'t>(table: &'t str, name: &str) -> Vec<&'t str> {
    let place = table.lines().next().expect("a header").split('\t').position(|column| column == name);
    let place = place.unwrap_or_else(|| panic!("no column {name}"));
    table.lines().skip(1).map(|line| line.split('\t').nth(place).expect("every column")).collect()
}

/// The sum of every number in a JSON value.
fn sum(value: &serde_json::Value) -> u64 {
    match value {
        serde_json::Value::Object(members) => members.values().map(sum).sum(),
        number => number.as_u64().expect("a count"),
    }
}
