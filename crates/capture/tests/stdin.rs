//! Standard input as a capture file.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with a place and a cause")]

use std::env;
use std::io::Write;
use std::process::{Command, Stdio};

use credence_capture::{Poll, Source, open};

/// Tells the test, when it runs itself a second time, that its standard input is a capture.
const READING: &str = "CREDENCE_TEST_READS_STDIN";

/// A little-endian pcap file of raw IP with one frame of three bytes.
const CAPTURE: [u8; 43] = [
    0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0, //
    1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 60, 0, 0, 0, 7, 8, 9,
];

#[test]
fn a_dash_is_standard_input() {
    if env::var_os(READING).is_some() {
        return read();
    }
    let mut child = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_dash_is_standard_input", "--nocapture"])
        .env(READING, "1")
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&CAPTURE).unwrap();
    assert!(child.wait().unwrap().success(), "the reader failed, see above");
}

fn read() {
    let mut source = open("-").unwrap();
    assert_eq!(source.describe(), "capture file standard input (pcap, microseconds)");
    let mut frames = Vec::new();
    while source
        .poll(&mut |some| frames.extend(some.iter().map(|f| (f.ts_ns, f.wire_len, f.bytes.to_vec()))))
        .unwrap()
        != Poll::End
    {}
    assert_eq!(frames, [(1_000_002_000, 60, vec![7, 8, 9])]);
}
