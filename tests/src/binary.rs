//! The real `credence`, built once, and what comes of a run of it.
//!
//! The environment variables `CREDENCE_BINARY` and `CREDENCE_PLATFORM_BINARY` name binaries to test instead, for example
//! installed ones.

use std::ffi::OsStr;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in the repository")
}

/// A committed capture.
pub(crate) fn capture(name: &str) -> PathBuf {
    root().join("tests/captures").join(name)
}

/// All committed captures, in the order of their names.
pub(crate) fn captures() -> Vec<PathBuf> {
    let folder = std::fs::read_dir(root().join("tests/captures")).expect("the captures are there");
    let paths = folder.map(|entry| entry.expect("the folder can be read").path());
    let mut captures: Vec<_> = paths.filter(|path| path.extension().is_some_and(|e| e != "md")).collect();
    captures.sort();
    assert!(captures.len() > 40, "{captures:?}");
    captures
}

/// The path of the binary.
pub(crate) fn credence() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named("CREDENCE_BINARY", "credence"))
}

/// The path of the platform's binary.
pub(crate) fn platform() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| named("CREDENCE_PLATFORM_BINARY", "credence-platform"))
}

/// The binary that a variable of the environment names, or the one that is built.
fn named(variable: &str, package: &str) -> PathBuf {
    std::env::var_os(variable).map_or_else(|| build(package), PathBuf::from)
}

/// Builds a package's binary in the profile of these tests, and asks cargo where it lies.
fn build(package: &str) -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["build", "--package", package, "--offline", "--message-format", "json"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let output = command.current_dir(root()).output().expect("cargo runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let messages = output.stdout.split(|&byte| byte == b'\n');
    let executable = |line: &[u8]| -> Option<PathBuf> {
        let message: Value = serde_json::from_slice(line).ok()?;
        (message["target"]["name"] == package && message["executable"].is_string())
            .then(|| message["executable"].as_str().map(PathBuf::from))?
    };
    messages.filter_map(executable).next_back().expect("cargo says where the binary lies")
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    /// What a finished process left behind.
    pub(crate) fn of(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }

    /// This run, which must have ended with `code`.
    #[track_caller]
    pub(crate) fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// Standard output as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}:\n{}", self.stdout))
    }

    /// Requires that standard error holds each of `words`.
    #[track_caller]
    pub(crate) fn told(&self, words: &[&str]) {
        for word in words {
            assert!(self.stderr.contains(word), "{word:?} is missing from:\n{}", self.stderr);
        }
    }
}

/// Runs the binary with nothing on standard input.
pub(crate) fn run<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>) -> Ran {
    let mut command = Command::new(credence());
    Ran::of(command.args(args).stdin(Stdio::null()).output().expect("the binary runs"))
}

/// Runs the binary with `input` on standard input.
pub(crate) fn run_with_input<A: AsRef<OsStr>>(args: impl IntoIterator<Item = A>, input: &[u8]) -> Ran {
    let mut command = Command::new(credence());
    command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    let mut stdin = child.stdin.take().expect("standard input is piped");
    let writer = std::thread::scope(|scope| {
        // A process that reads no further closes the pipe, which is its affair.
        scope.spawn(move || stdin.write_all(input).ok());
        child.wait_with_output()
    });
    Ran::of(writer.expect("the binary ends"))
}
