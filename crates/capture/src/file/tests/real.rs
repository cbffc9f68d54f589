//! Captures from the wild, where a folder of them is at hand.

use std::path::Path;
use std::{env, fs};

use super::drain;
use crate::open;

/// Reads each capture that the folder's `MANIFEST.tsv` lists and compares the number of its frames with the
/// column `packets`. The folder is named by the variable `CREDENCE_CAPTURES`.
#[test]
fn captures_from_the_wild_have_as_many_frames_as_another_decoder_found() {
    let Some(folder) = env::var_os("CREDENCE_CAPTURES") else {
        println!("skipped: CREDENCE_CAPTURES names no folder of captures");
        return;
    };
    let folder = Path::new(&folder);
    let manifest = fs::read_to_string(folder.join("MANIFEST.tsv")).unwrap();
    let mut differing = Vec::new();
    for line in manifest.lines().skip(1) {
        let columns: Vec<&str> = line.split('\t').collect();
        let packets: usize = columns[3].parse().unwrap();
        let (seen, error) = drain(&mut open(folder.join(columns[0])).unwrap());
        if seen.len() != packets || error.is_some() {
            differing.push(format!("{}: {} of {packets} frames, {error:?}", columns[0], seen.len()));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
