//! The compiled programs are what their sources say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps fails with a place and a cause")]

#[path = "../../capture/tests/object/compiled.rs"]
mod compiled;

#[test]
fn the_committed_program_is_what_its_source_compiles_to() {
    let sections = [".maps", ".text", "classifier", "license", "xdp", "xdp.frags"];
    compiled::compare(env!("CARGO_MANIFEST_DIR"), "credence", &sections);
}

#[test]
fn the_committed_program_of_the_bench_is_what_its_source_compiles_to() {
    compiled::compare(env!("CARGO_MANIFEST_DIR"), "compare", &[".maps", ".text", "license", "xdp"]);
}
