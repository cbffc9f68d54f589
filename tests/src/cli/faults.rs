//! Bad input: it is told with its place and a cure, and nothing valid is lost.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use super::{Desk, column, replay, replay_to, sum, text};
use crate::binary::{Ran, capture, credence, run};

/// The flow table and summary of captures that are wrong in part.
fn faulty(desk: &Desk, captures: &[PathBuf]) -> (Ran, String) {
    let flows = desk.path("flows.tsv");
    let ran = replay(captures, &["--flows", text(&flows), "--format", "json"]).expect(1);
    (ran, desk.text("flows.tsv"))
}

#[test]
fn a_capture_cut_short_gives_what_came_before_and_the_others() {
    let desk = Desk::new();
    let whole = fs::read(capture("tcp.pcap")).unwrap();
    let cut = desk.file("cut.pcap", &whole[..whole.len() * 2 / 3]);
    let (ran, flows) = faulty(&desk, &[cut.clone(), capture("quic.pcapng")]);
    ran.told(&[text(&cut), "cut short at frame ", "byte offset ", "copy the file again"]);
    let packets = ran.json()["packets"].as_u64().unwrap();
    assert!(packets > 30 + 20 && packets < 30 + 77, "all of the second and part of the first: {packets}");
    let counted: u64 = column(&flows, "packets").iter().map(|n| n.parse::<u64>().unwrap()).sum();
    assert_eq!(counted, sum(&ran.json()["verdicts"]));
}

#[test]
fn a_file_that_is_no_capture_is_told_and_the_others_are_read() {
    let desk = Desk::new();
    let letter = desk.file("letter.pcap", "Dear reader, this is no capture.");
    let empty = desk.file("empty.pcap", "");
    let (ran, _) = faulty(&desk, &[letter, empty, desk.path("."), capture("tcp.pcap")]);
    ran.told(&["letter.pcap is not a capture file", "44 65 61 72", "empty.pcap is empty", "is a directory"]);
    assert_eq!(ran.json()["packets"], 77);
}

#[test]
fn a_missing_capture_is_told_and_the_others_are_read() {
    let desk = Desk::new();
    let (ran, _) = faulty(&desk, &[capture("tcp.pcap"), desk.path("nowhere.pcap"), capture("tcp.pcap")]);
    ran.told(&["there is no capture file", "nowhere.pcap", "check the path"]);
    assert_eq!(ran.json()["packets"], 2 * 77);
}

#[test]
fn nothing_to_read_at_all_still_leaves_a_valid_table() {
    let desk = Desk::new();
    let (ran, flows) = faulty(&desk, &[desk.path("nowhere.pcap")]);
    assert_eq!(ran.json()["packets"], 0);
    assert_eq!(flows.lines().count(), 1, "the header");
}

#[test]
fn a_damaged_snapshot_is_told_and_the_others_count() {
    let desk = Desk::new();
    let good = desk.snapshot("good.snap", "3fff:666:1::/48\n", &[]);
    let mut bytes = fs::read(desk.snapshot("other.snap", "2001:db8::/32\n", &[])).unwrap();
    let middle = bytes.len() - 20;
    bytes[middle] ^= 0x10;
    let flipped = desk.file("flipped.snap", bytes);
    replay_to(&desk, &["demo.pcap.zst"], &["--credit", text(&good)]).expect(0);
    let expected = desk.text("flows.tsv");
    let both = ["--credit", text(&flipped), "--credit", text(&good)];
    let ran = replay_to(&desk, &["demo.pcap.zst"], &both).expect(1);
    ran.told(&["flipped.snap", "damaged", "credence credit import"]);
    assert_eq!(desk.text("flows.tsv"), expected);

    let lookup = ["lookup", "3fff:666:1::1", "--format", "json"];
    let ran = run(lookup.iter().chain(&both)).expect(1);
    ran.told(&["flipped.snap", "damaged"]);
    assert_eq!(ran.json()[0]["measure"], "drop");
    let ran = run(lookup.iter().chain(&both[..2])).expect(1);
    assert!(ran.stdout.is_empty(), "no snapshot at all is no reason to call anyone unrated");
    ran.told(&["without a credit snapshot"]);
}

#[test]
fn one_bad_line_among_many_costs_itself_alone() {
    let desk = Desk::new();
    let mut list: Vec<_> = (0..10_000).map(|n| format!("2001:db8:{n:x}::/48")).collect();
    list[6_788] = "2001:dg8::/48".to_owned();
    let (list, snapshot) = (desk.file("list.txt", list.join("\n")), desk.path("out.snap"));
    let args = ["credit", "import", "--from", "cidr", text(&list), "-o", text(&snapshot)];
    let ran = run(args).expect(1);
    ran.told(&["list.txt: line 6789, column 1", "\"2001:dg8::/48\"", "write it like 2001:db8::/32"]);
    assert!(ran.stdout.contains("9,999 records written"), "{}", ran.stdout);
    let csv = run(["credit", "export", text(&snapshot), "--format", "csv"]).expect(0).stdout;
    assert_eq!(csv.lines().count(), 1 + 9_999);
}

#[test]
fn a_list_of_nothing_but_mistakes_is_told_shortly_and_takes_no_protection_away() {
    let desk = Desk::new();
    let snapshot = desk.snapshot("deny.snap", "2001:db8::/32\n", &[]);
    let before = fs::read(&snapshot).unwrap();
    let page = desk.file("page.html", "<html>\n".repeat(500));
    let args = ["credit", "import", "--from", "cidr", text(&page), "nowhere.txt", "-o", text(&snapshot)];
    let ran = run(args).expect(1);
    ran.told(&[
        "page.html: line 20",
        "480 more like these; 500 entries",
        "nowhere.txt cannot be read",
        "left as it was",
    ]);
    assert!(!ran.stderr.contains("line 21"));
    assert_eq!(fs::read(&snapshot).unwrap(), before);
}

#[test]
fn an_output_that_would_overwrite_an_input_is_refused() {
    let desk = Desk::new();
    let bytes = fs::read(capture("tcp.pcap")).unwrap();
    let copy = desk.file("copy.pcap", &bytes);
    replay(std::slice::from_ref(&copy), &["--flows", text(&copy)])
        .expect(1)
        .told(&["copy.pcap is also an input"]);
    assert_eq!(fs::read(&copy).unwrap(), bytes);
    let snapshot = desk.snapshot("deny.snap", "2001:db8::/32\n", &[]);
    run(["credit", "export", text(&snapshot), "--format", "csv", "-o", text(&snapshot)]).expect(1);
    run(["credit", "export", text(&snapshot), "--format", "csv"]).expect(0);
}

#[test]
fn an_output_that_cannot_be_written_is_named() {
    let desk = Desk::new();
    let nowhere = desk.path("no/such/folder/flows.tsv");
    replay(&[capture("tcp.pcap")], &["--flows", text(&nowhere)])
        .expect(1)
        .told(&["flows.tsv", "directory exists"]);
    let ran = replay(&[capture("tcp.pcap")], &["--flows", "/dev/full", "--format", "json"]).expect(1);
    ran.told(&["/dev/full cannot be written on", "make room"]);
    assert_eq!(ran.json()["packets"], 77, "the summary is still printed");
}

/// A capture in microseconds with one frame of that link type.
fn capture_of_link_type(linktype: u32) -> Vec<u8> {
    let mut bytes = Vec::new();
    bytes.extend(0xa1b2_c3d4_u32.to_le_bytes());
    bytes.extend([2_u16, 4].map(u16::to_le_bytes).concat());
    bytes.extend([0_u32, 0, 65_535, linktype].map(u32::to_le_bytes).concat());
    bytes.extend([1_700_000_000_u32, 0, 4, 4].map(u32::to_le_bytes).concat());
    bytes.extend([1, 2, 3, 4]);
    bytes
}

#[test]
fn a_link_type_that_is_not_read_is_counted_and_told_once() {
    let desk = Desk::new();
    let usb = desk.file("usb.pcap", capture_of_link_type(220));
    let ran = replay(&[usb.clone(), usb, capture("tcp.pcap")], &["--format", "json"]).expect(0);
    assert_eq!(ran.stderr.matches("link type 220 is not read").count(), 1, "{}", ran.stderr);
    assert_eq!(ran.json()["drops"]["not_ipv6"]["unknown_link"], 2);
    assert_eq!(ran.json()["packets"], 79);
}

#[test]
fn a_reader_that_leaves_is_no_error() {
    let desk = Desk::new();
    let list: String = (0..20_000).map(|n| format!("2001:db8:{n:x}::/48\n")).collect();
    let snapshot = desk.snapshot("long.snap", &list, &[]);
    let mut command = Command::new(credence());
    command.args(["credit", "export", text(&snapshot), "--format", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ran = Ran::of(child.wait_with_output().unwrap()).expect(0);
    assert!(ran.stderr.is_empty(), "{}", ran.stderr);
}

#[test]
fn an_endless_line_of_addresses_takes_no_memory() {
    let desk = Desk::new();
    let snapshot = desk.snapshot("deny.snap", "2001:db8::/32\n", &[]);
    let mut input = vec![b'f'; 8 << 20];
    writeln!(input, "\n2001:db8::1").unwrap();
    let ran = crate::binary::run_with_input(["lookup", "-", "--credit", text(&snapshot)], &input).expect(1);
    assert!(ran.stdout.starts_with("2001:db8::1  "), "{}", ran.stdout);
    assert!(ran.stderr.len() < 200, "{}", ran.stderr);
}
