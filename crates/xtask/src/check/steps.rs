//! The steps, in the order in which they run: what is quick and often wrong comes first.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::tools::Tools;
use super::{concurrency, instructions, unsafe_list};
use crate::process;

/// One step. `run` returns what it left undone, if anything.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) limit: Duration,
    pub(super) run: fn(&Tools, Duration) -> Result<Option<String>>,
}

const fn minutes(count: u64) -> Duration {
    Duration::from_secs(60 * count)
}

/// Every step. The limits are several times what two cores take from a cold build.
pub(super) const STEPS: &[Step] = &[
    Step {
        name: "tools",
        about: "bring the programs that the tests need",
        limit: minutes(20),
        run: Tools::install,
    },
    Step { name: "format", about: "cargo fmt --check", limit: minutes(2), run: format },
    Step {
        name: "unsafe",
        about: "unsafe code stands in the listed files only",
        limit: minutes(1),
        run: unsafe_code,
    },
    Step {
        name: "deny",
        about: "licences, banned packages, sources, advisories",
        limit: minutes(3),
        run: deny,
    },
    Step {
        name: "clippy",
        about: "lints of every target, warnings are errors",
        limit: minutes(12),
        run: clippy,
    },
    Step {
        name: "tests",
        about: "every test and every example in the documentation",
        limit: minutes(30),
        run: tests,
    },
    Step {
        name: "models",
        about: "models of concurrent code, in every order",
        limit: minutes(8),
        run: concurrency::models,
    },
    Step { name: "benches", about: "every bench once, so that none rots", limit: minutes(15), run: benches },
    Step {
        name: "instructions",
        about: "instructions of what every packet goes through, against the record",
        limit: minutes(4),
        run: instructions::check,
    },
    Step { name: "fuzz", about: "every fuzz target for ten seconds", limit: minutes(13), run: fuzz },
    Step {
        name: "demo",
        about: "the demo ends with figures that are not zero",
        limit: minutes(12),
        run: demo,
    },
    Step {
        name: LENGTH,
        about: "the tests that can go on for longer, at their full length",
        limit: minutes(180),
        run: at_length,
    },
];

/// The step of the full run alone.
pub(super) const LENGTH: &str = "length";

fn format(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    process::run(&mut tools.cargo("fmt --all --check"), limit)?;
    Ok(None)
}

fn unsafe_code(tools: &Tools, _limit: Duration) -> Result<Option<String>> {
    unsafe_list::check(&tools.root)?;
    Ok(None)
}

/// Advisories come from a repository that must be fetched, so their check says plainly when the network is missing.
fn deny(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    process::run(
        &mut tools.cargo("deny --all-features check --hide-inclusion-graph bans licenses sources"),
        limit,
    )?;
    if !process::succeeds(&mut tools.cargo("deny --all-features fetch db"), minutes(1)) {
        return Ok(Some(
            "advisories not checked: their database cannot be fetched, it needs the network".into(),
        ));
    }
    process::run(&mut tools.cargo("deny --all-features check advisories"), limit)?;
    Ok(None)
}

fn clippy(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    process::run(&mut tools.cargo("clippy --workspace --all-targets -- -D warnings"), limit)?;
    Ok(None)
}

fn tests(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    if tools.has_cargo("nextest") {
        process::run(&mut tools.cargo("nextest run --workspace --no-fail-fast"), limit)?;
        process::run(&mut tools.cargo("test --workspace --doc"), limit)?;
    } else {
        process::run(&mut tools.cargo("test --workspace --no-fail-fast"), limit)?;
    }
    Ok(None)
}

fn benches(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    // Those of the platform and its followers show that they run as well when built as the tests are, which is there already.
    for benches in ["bench", "bench --package credence-platform --package credence-sync --profile dev"] {
        process::run(tools.cargo(benches).env("CREDENCE_BENCH_SMOKE", "1"), limit)?;
    }
    Ok(None)
}

/// The sanitizer flags of cargo-fuzz are unstable; the variable makes the stable compiler take them.
fn fuzz(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    let bootstrapped = |arguments: &str| {
        let mut command = tools.cargo(arguments);
        command.env("RUSTC_BOOTSTRAP", "1");
        command
    };
    let listed = process::read(&mut bootstrapped("fuzz list"), minutes(2))?;
    ensure!(listed.split_whitespace().next().is_some(), "there is no fuzz target");
    process::run(&mut bootstrapped("fuzz build"), limit)?;
    for target in listed.split_whitespace() {
        let arguments = format!("fuzz run {target} -- -max_total_time=10 -rss_limit_mb=2048");
        process::run(&mut bootstrapped(&arguments), minutes(3))?;
    }
    Ok(None)
}

fn demo(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    process::run(&mut tools.cargo("build --release --package credence"), limit)?;
    let mut demo = tools.cargo("run --release --quiet --package credence -- demo --seconds 3 --format json");
    judge_demo(&process::read(&mut demo, minutes(1))?)?;
    Ok(None)
}

/// Tests with `at_length` in their names do the whole of what they can only begin in the usual run.
fn at_length(tools: &Tools, limit: Duration) -> Result<Option<String>> {
    let tests = "test --release --package credence-tests --package credence-sync at_length -- --nocapture";
    let mut tests = tools.cargo(tests);
    process::run(tests.env("CREDENCE_AT_LENGTH", "1"), limit)?;
    Ok(None)
}

/// Whether the last line is an object whose packets, flows, alerts and verdicts are all above zero.
fn judge_demo(output: &str) -> Result<()> {
    let last = output.lines().next_back().context("the demo printed nothing")?;
    let summary: Value = serde_json::from_str(last).context("the demo's last line is no JSON")?;
    ensure!(summary.is_object(), "the demo's last line is no JSON object");
    for key in ["packets", "flows", "alerts", "verdicts"] {
        let value = summary.get(key).with_context(|| format!("the demo's summary lacks {key}"))?;
        ensure!(amount(value) > 0, "the demo's summary says {key}: {value}");
    }
    Ok(())
}

/// A number, or the sum of the numbers in a breakdown.
fn amount(value: &Value) -> u64 {
    match value {
        Value::Object(parts) => parts.values().map(amount).sum(),
        other => other.as_u64().unwrap_or(0),
    }
}

#[cfg(test)]
mod tests {
    use super::judge_demo;

    #[track_caller]
    fn check(output: &str, expected: Option<&str>) {
        match (judge_demo(output), expected) {
            (Ok(()), None) => {}
            (Err(error), Some(part)) => assert!(format!("{error:#}").contains(part), "{error:#}"),
            (ended, _) => panic!("{ended:?}"),
        }
    }

    #[test]
    fn a_demo_must_end_with_figures() {
        check("live\n{\"packets\":9,\"flows\":3,\"alerts\":1,\"verdicts\":{\"pass\":2,\"drop\":0}}\n", None);
        check("", Some("printed nothing"));
        check("done", Some("no JSON"));
        check("[1]", Some("no JSON object"));
        check("{\"packets\":9,\"flows\":3,\"verdicts\":1}", Some("lacks alerts"));
        check("{\"packets\":9,\"flows\":3,\"alerts\":0,\"verdicts\":1}", Some("alerts: 0"));
        check("{\"packets\":9,\"flows\":3,\"alerts\":2,\"verdicts\":{\"pass\":0}}", Some("verdicts"));
    }
}
