//! What is checked by machines that try every order: models of concurrent code under loom, and `unsafe` code under Miri.
//!
//! Models stand in modules named `model`, beside the code that they check, and are compiled with `--cfg loom` only. That
//! build has a target directory of its own, since the flag is part of every package's fingerprint. Its dependencies are
//! not optimised, but for the checker itself: the models call little else, and optimising takes longer than it saves.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, ensure};

use super::tools::Tools;
use crate::{HostLacks, process};

/// The models: the package, and the module that each checks.
const MODELS: &[(&str, &str)] = &[
    ("credence-prefix", "live::epoch"),
    ("credence-prefix", "table::walk"),
    ("credence-credit", "cache::published"),
    ("credence-engine", "mailbox"),
    ("credence-engine", "step"),
];

/// Packages whose dependencies are optimised: those that switch threads and remember stores.
const CHECKER: &[&str] = &["loom", "generator"];

/// What Miri runs: the package, and those of its tests that it is through with in minutes.
const INTERPRETED: &[(&str, &str)] = &[
    ("credence-memory", ""),
    ("credence-prefix", "prefix:: table:: live::tests::a_change_shows live::tests::the_writer_frees"),
];

/// Time limit of the interpreter for one package, the build of its standard library included.
const INTERPRETER_LIMIT: Duration = Duration::from_secs(40 * 60);

/// Runs every model.
///
/// # Errors
/// When a model fails, or a module that should have one has none.
pub(super) fn models(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    let listed = process::read(modelled(tools).args(["--", "--list"]), limit)?;
    for (package, module) in MODELS {
        ensure!(listed.contains(&format!("{module}::model::")), "{package} has no model of {module}");
    }
    process::run(&mut modelled(tools), limit)?;
    Ok(None)
}

/// The command that runs the models; arguments for the test binaries may follow.
fn modelled(tools: &Tools) -> Command {
    let mut command = tools.cargo("test --lib --quiet --config profile.dev.package.'*'.opt-level=0");
    for package in CHECKER {
        command.arg("--config").arg(format!("profile.dev.package.{package}.opt-level=2"));
    }
    let mut packages: Vec<_> = MODELS.iter().map(|(package, _)| package).collect();
    packages.dedup();
    for package in packages {
        command.args(["--package", package]);
    }
    command.arg("model::").arg("--target-dir").arg(target(&tools.root, "loom"));
    command.env("RUSTFLAGS", "--cfg loom").env_remove("CARGO_ENCODED_RUSTFLAGS");
    command
}

/// A directory for a build of its own inside the target directory.
fn target(root: &Path, name: &str) -> PathBuf {
    root.join(env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| OsString::from("target"))).join(name)
}

/// Runs the unsafe code's tests under Miri, which sees what the processor would forgive. Needs a nightly toolchain, and so
/// is a chore of its own that nothing else waits for.
///
/// # Errors
/// With [`HostLacks`] when there is no nightly toolchain with Miri, and when Miri objects to something.
pub(crate) fn miri(root: &Path) -> Result<()> {
    let tools = Tools::new(root);
    if !process::succeeds(interpreter(&tools).arg("--version"), Duration::from_secs(60)) {
        let cure = "Miri is missing: run `rustup toolchain install nightly --component miri,rust-src`";
        return Err(HostLacks(cure.into()).into());
    }
    for (package, tests) in INTERPRETED {
        let mut command = interpreter(&tools);
        command.args(["test", "--lib", "--package", package, "--"]).args(tests.split_whitespace());
        process::run(command.env("CARGO_TARGET_DIR", target(root, "miri")), INTERPRETER_LIMIT)?;
    }
    Ok(())
}

/// `cargo miri` of the nightly toolchain, whichever one runs this program.
fn interpreter(tools: &Tools) -> Command {
    let mut command = tools.command("rustup");
    command.args(["run", "nightly", "cargo", "miri"]).env_remove("CARGO").env_remove("RUSTC");
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_package_with_models_is_named_once() {
        let command = modelled(&Tools::new(Path::new("/nowhere")));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        for (package, _) in MODELS {
            assert_eq!(words.iter().filter(|word| word == package).count(), 1, "{words:?}");
        }
        assert!(words.iter().any(|word| word.ends_with("/loom")), "{words:?}");
    }
}
