//! Writes the files that whole programs are compared on; `cargo xtask compare` runs it.
//!
//! `cargo run --release --package credence-benches --example workload -- DIRECTORY FRAMES FLOWS HOSTS PREFIXES SEED`

use std::path::Path;

use credence_benches::workload::Workload;

const USAGE: &str = "usage: workload DIRECTORY FRAMES FLOWS HOSTS PREFIXES SEED, each number at least 1";

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, numbers @ ..] = arguments.as_slice() else { return Err(USAGE.into()) };
    let numbers = numbers.iter().map(|number| number.parse()).collect::<Result<Vec<usize>, _>>()?;
    let [frames, flows, hosts, prefixes, seed] = numbers[..] else { return Err(USAGE.into()) };
    if [frames, flows, hosts, prefixes].contains(&0) {
        return Err(USAGE.into());
    }
    let workload = Workload { frames, flows, hosts, prefixes, seed: seed as u64 };
    Ok(workload.write(Path::new(directory))?)
}
