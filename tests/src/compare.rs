//! The comparison of whole programs, on captures so small that its figures mean nothing: it must run, whoever is there.

use std::process::Command;

use serde_json::Value;

use crate::binary::{Ran, credence, root};

fn compare(arguments: &[&str]) -> Ran {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["xtask", "compare", "--unoptimised", "--credence"]).arg(credence());
    command.args(["--packets", "2000", "--prefixes", "1000", "--runs", "1"]).args(arguments);
    Ran::of(command.current_dir(root()).output().expect("cargo runs"))
}

#[test]
fn whole_programs_are_compared_on_the_same_captures() {
    let ran = compare(&["--flows", "500", "--flows", "50", "--format", "json"]).expect(0);
    let outcome: Value = serde_json::from_str(&ran.stdout).expect("one object");
    assert_eq!((&outcome["packets"], &outcome["prefixes"]), (&2000.into(), &1000.into()));
    let programs = outcome["programs"].as_array().expect("a list");
    for job in ["reputation", "flows"] {
        let ours = programs.iter().find(|program| program["job"] == job).expect("every job has a row");
        assert!(ours["name"].as_str().expect("a name").starts_with("credence"), "{ours}");
        assert_eq!(ours["captures"][1]["times"], 1.0, "{ours}");
    }
    for program in programs {
        // Absence is told with its cure; a program that is there must have done its job.
        let measured = program["captures"].as_array().is_some_and(|captures| {
            captures.len() == 2 && captures.iter().all(|capture| capture["cpu_ns"].as_f64() > Some(0.0))
        });
        assert!(measured || program["absent"].is_string(), "{program}");
    }
}

#[test]
fn what_cannot_be_measured_is_refused_before_anything_is_built() {
    let ran = compare(&["--flows", "0"]).expect(1);
    assert!(ran.stderr.contains("at least one"), "{}", ran.stderr);
}
