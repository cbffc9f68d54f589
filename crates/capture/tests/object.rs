//! The compiled programs are what their sources say.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps fails with a place and a cause")]

#[path = "object/compiled.rs"]
mod compiled;

#[test]
fn the_committed_fan_out_is_what_its_source_compiles_to() {
    let sections = [".rodata", ".text", "license", "socket"];
    compiled::compare(env!("CARGO_MANIFEST_DIR"), "fanout", &sections);
}

#[test]
fn the_committed_redirection_is_what_its_source_compiles_to() {
    compiled::compare(env!("CARGO_MANIFEST_DIR"), "redirect", &[".maps", ".text", "license", "xdp"]);
}

#[test]
fn the_committed_generator_of_the_bench_is_what_its_source_compiles_to() {
    compiled::compare(env!("CARGO_MANIFEST_DIR"), "generate", &[".text", "license", "xdp"]);
}
