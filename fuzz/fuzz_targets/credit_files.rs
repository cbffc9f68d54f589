//! Lists and snapshots from anywhere: whatever the bytes, an import keeps what is valid and a snapshot is whole or refused.
#![no_main]

use std::time::Duration;

use credence_credit::import::{ImportOptions, Importer, ListFormat};
use credence_credit::{Measure, Score, file};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((&selector, text)) = bytes.split_first() else { return };
    if let Ok(snapshot) = file::decode(text) {
        let again = file::encode(&snapshot).expect("what was read can be written");
        assert_eq!(file::decode(&again).expect("what was written can be read"), snapshot);
    }
    let format = ListFormat::ALL[usize::from(selector) % ListFormat::ALL.len()];
    let options = ImportOptions {
        score: Score::WORST,
        expires: Duration::from_secs(86_400),
        now: 1_780_000_000,
        issuer: "fuzz".to_owned(),
        measure: Measure::Drop,
    };
    let mut importer = Importer::new(options).expect("good options");
    if importer.read("fuzz", format, text).is_ok() {
        importer.finish().into_snapshot().expect("valid rows make a snapshot");
    }
});
