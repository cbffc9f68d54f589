//! Whole lists through the importer.

use std::fmt::Write;

use proptest::prelude::*;

use super::*;
use crate::{Cache, ExportFormat, Guards, export};

const NOW: u64 = 1_000_000;

fn options() -> ImportOptions {
    ImportOptions {
        score: Score::new(100).unwrap(),
        expires: Duration::from_secs(3_600),
        now: NOW,
        issuer: "list".to_owned(),
        measure: Measure::Drop,
    }
}

fn import(format: ListFormat, text: &[u8]) -> Imported {
    let mut importer = Importer::new(options()).unwrap();
    importer.read("list.txt", format, text).unwrap();
    importer.finish()
}

fn prefixes(imported: &Imported) -> Vec<String> {
    imported.records.iter().map(|record| record.prefix.to_string()).collect()
}

#[test]
fn a_list_of_prefixes_with_all_that_people_put_into_one() {
    let text = b"\xef\xbb\xbf# a list\r\n\r\n2001:db8:2::/48\r\n  2001:db8:1::1  ; inline\n; another\n192.0.2.0/24\n\
        2001:db8:3::5/48 # host bits\n2001:db8:2::/48\n2000::/3\n2001:db8:4::/48";
    let imported = import(ListFormat::Cidr, text);
    let expected = ["2000::/3", "2001:db8:1::1/128", "2001:db8:2::/48", "2001:db8:3::/48", "2001:db8:4::/48"];
    assert_eq!(prefixes(&imported), expected);
    let tally =
        Tally { entries: 7, ipv4: 1, duplicates: 1, host_bits_truncated: 1, too_wide: 1, ..Tally::default() };
    assert_eq!(imported.tally, tally);
    assert_eq!(imported.problems.total(), 0);
    let record = &imported.records[1];
    assert_eq!(
        (record.expires, record.measure, record.authority),
        (NOW + 3_600, Measure::Drop, Authority::OperatorList)
    );
    assert_eq!((record.evidence, record.act, record.signatures), (EvidenceClass::Declared, None, 0));
    assert_eq!(record.reasons, Reason::Listed.into());
}

#[test]
fn a_problem_names_list_line_column_text_and_cure() {
    let imported = import(ListFormat::Cidr, b"2001:db8::/32\n  2001:dg8::/32 # typo\n2001:db8:: /32\n\xff\n");
    let told: Vec<_> = imported.problems.first().iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 3);
    assert_eq!(
        told[0],
        "list.txt: line 2, column 3: \"2001:dg8::/32\": not an IPv6 address; write it like 2001:db8::/32 or 2001:db8::1"
    );
    assert!(
        told[1].starts_with("list.txt: line 3, column 1: \"2001:db8:: /32\": more than a prefix"),
        "{}",
        told[1]
    );
    assert!(told[2].contains("save the list as UTF-8"), "{}", told[2]);
    assert_eq!(prefixes(&imported), ["2001:db8::/32"]);
}

#[test]
fn one_bad_line_among_two_hundred_thousand_costs_itself_alone() {
    let mut text = String::new();
    for n in 0..200_000u32 {
        match n {
            123_456 => text.push_str("2001:db8:bad\n"),
            _ => writeln!(text, "2001:db8:{:x}:{:x}::/64", n >> 16, n & 0xffff).unwrap(),
        }
    }
    let imported = import(ListFormat::Cidr, text.as_bytes());
    assert_eq!(imported.records.len(), 199_999);
    assert_eq!(imported.problems.total(), 1);
    assert_eq!(imported.problems.first()[0].place, Place::Line { line: 123_457, column: 1 });
    let snapshot = imported.into_snapshot().unwrap();
    let cache = Cache::build(vec![snapshot], &Guards::default()).unwrap();
    assert_eq!(cache.len(), 199_999);
}

#[test]
fn one_line_repeated_takes_no_more_memory_than_its_share() {
    let mut importer = Importer::new(options()).unwrap();
    let text = "2001:db8::/32\n".repeat(COMPACT_FIRST + 10);
    importer.read("list.txt", ListFormat::Cidr, text.as_bytes()).unwrap();
    assert!(importer.records.len() < COMPACT_FIRST);
    let imported = importer.finish();
    assert_eq!((imported.records.len(), imported.tally.duplicates), (1, COMPACT_FIRST as u64 + 9));
}

#[test]
fn an_endless_line_is_one_problem() {
    let text = ["x".repeat(3 * LINE_LEN_MAX), "2001:db8::/32".to_owned()].join("\n");
    for format in [ListFormat::Cidr, ListFormat::Csv] {
        let imported = import(format, text.as_bytes());
        assert_eq!(imported.problems.total(), 1);
        assert!(imported.problems.first()[0].text.len() < 60);
        assert_eq!(prefixes(&imported), ["2001:db8::/32"]);
    }
}

#[test]
fn of_duplicates_the_stricter_stays_whatever_the_order() {
    let rows = ["2001:db8::/48,300,,rate_limit", "2001:db8::/48,200,,drop", "2001:db8::/48,100,,mark"];
    for turn in 0..3 {
        let mut rows = rows;
        rows.rotate_left(turn);
        let imported = import(ListFormat::Csv, rows.join("\n").as_bytes());
        assert_eq!((imported.records.len(), imported.tally.duplicates), (1, 2));
        assert_eq!(imported.records[0].measure, Measure::Drop);
    }
}

#[test]
fn several_lists_become_one_set_and_problems_name_theirs() {
    let mut importer = Importer::new(options()).unwrap();
    importer.read("one", ListFormat::Cidr, &b"2001:db8:2::/48\nbad\n"[..]).unwrap();
    importer.read("two", ListFormat::Csv, &b"ip\n2001:db8:1::\nworse\n"[..]).unwrap();
    let imported = importer.finish();
    assert_eq!(prefixes(&imported), ["2001:db8:1::/128", "2001:db8:2::/48"]);
    let sources: Vec<_> = imported.problems.first().iter().map(|p| p.source_name.as_str()).collect();
    assert_eq!(sources, ["one", "two"]);
}

#[test]
fn ended_rows_are_left_out_and_counted() {
    let text =
        format!("prefix,expires\n2001:db8:1::/48,{NOW}\n2001:db8:2::/48,{}\n2001:db8:3::/48,\n", NOW + 1);
    let imported = import(ListFormat::Csv, text.as_bytes());
    assert_eq!(prefixes(&imported), ["2001:db8:2::/48", "2001:db8:3::/48"]);
    assert_eq!(imported.tally.expired, 1);
}

#[test]
fn drop_lines_hold_a_cidr_and_the_last_speaks_of_the_list() {
    let text = br#"{"cidr":"2001:db8::/32","sblid":"SBL1","rir":"ripencc"}
{"cidr":"2001:db8:5::1/48","sblid":"SBL2"}
{"cidr":"192.0.2.0/24","sblid":"SBL3","rir":"arin"}
{"sblid":"SBL4"}
{"cidr":5}
not json
{"type":"metadata","timestamp":1700000000,"size":10,"records":3}
"#;
    let imported = import(ListFormat::Drop, text);
    assert_eq!(prefixes(&imported), ["2001:db8::/32", "2001:db8:5::/48"]);
    assert_eq!((imported.tally.ipv4, imported.tally.entries), (1, 6));
    let lines: Vec<_> = imported.problems.first().iter().map(|problem| problem.place).collect();
    let expected = [4, 5, 6].map(|line| Place::Line { line, column: 1 });
    assert_eq!(lines, expected);
}

/// One decision in the shape that CrowdSec's local API gives.
fn decision(value: &str, scope: &str, duration: &str, kind: &str) -> String {
    format!(
        r#"{{"duration":"{duration}","id":1,"origin":"cscli","scenario":"x/ssh-bf","scope":"{scope}","type":"{kind}","value":"{value}"}}"#
    )
}

fn check_crowdsec(text: &str, expected: &[&str]) -> Imported {
    let imported = import(ListFormat::CrowdSec, text.as_bytes());
    assert_eq!(prefixes(&imported), expected, "{:?}", imported.problems);
    imported
}

#[test]
fn crowdsecs_three_shapes_say_the_same() {
    let ip = decision("2001:db8::1", "Ip", "59m58.788467239s", "ban");
    let range = decision("2001:db8:1::/48", "Range", "4h", "ban");
    let expected = ["2001:db8::1/128", "2001:db8:1::/48"];
    let list = format!("[{range},{ip}]");
    let stream = format!(r#"{{"deleted":null,"new":{list}}}"#);
    let alerts = format!(
        r#"[{{"capacity":0,"decisions":[{ip}],"events":[{{"value":"x"}}],"scenario":"x/ssh-bf",
            "source":{{"scope":"Ip","value":"2001:db8::9"}}}},{{"decisions":[{range}]}},{{"decisions":null}}]"#
    );
    for text in [list, stream, alerts] {
        let imported = check_crowdsec(&text, &expected);
        let ends: Vec<_> = imported.records.iter().map(|record| record.expires - NOW).collect();
        assert_eq!(ends, [3_599, 14_400]);
        assert_eq!(imported.records[0].reasons, Reason::CredentialAttack.into());
        assert_eq!((imported.tally.entries, imported.problems.total()), (2, 0));
    }
    for empty in ["null", "[]", r#"{"deleted":null,"new":null}"#] {
        assert_eq!(check_crowdsec(empty, &[]).problems.total(), 0);
    }
}

#[test]
fn crowdsecs_entries_that_do_not_count_are_counted() {
    let text = format!(
        r#"{{"new":[{},{},{},{},{},{}],"deleted":[{},{}]}}"#,
        decision("192.0.2.1", "Ip", "4h", "ban"),
        decision("AS64500", "AS", "4h", "ban"),
        decision("2001:db8::2", "Ip", "-3m", "ban"),
        decision("2001:db8::3", "Ip", "0s", "ban"),
        decision("2001:db8::5/64", "range", "1h", "ban"),
        r#"{"duration":"1h","scope":"Ip","value":"2001:db8::7","type":"ban","simulated":true}"#,
        decision("2001:db8::8", "Ip", "-1s", "ban"),
        decision("2001:db8::9", "Ip", "-1s", "ban"),
    );
    let imported = check_crowdsec(&text, &["2001:db8::/64"]);
    let tally = Tally {
        entries: 6,
        ipv4: 1,
        other_scopes: 1,
        expired: 2,
        simulated: 1,
        deleted: 2,
        host_bits_truncated: 1,
        ..Tally::default()
    };
    assert_eq!(imported.tally, tally);
}

#[test]
fn a_decision_without_a_duration_takes_the_options_and_one_with_a_bad_one_is_a_problem() {
    let text = format!(
        r#"[{{"scope":"Ip","value":"2001:db8::1","type":"ban"}},{},{{"scope":"Ip","value":["x"]}},7,{}]"#,
        decision("2001:db8::2", "Ip", "bogus", "ban"),
        decision("2001:db8::3", "Ip", "1h", "captcha"),
    );
    let imported = check_crowdsec(&text, &["2001:db8::1/128", "2001:db8::3/128"]);
    assert_eq!(imported.records[0].expires, NOW + 3_600);
    assert_eq!(imported.records[1].measure, Measure::RateLimit, "a captcha is milder than a ban");
    let places: Vec<_> = imported.problems.first().iter().map(|problem| problem.place).collect();
    assert_eq!(places, [Place::Element(2), Place::Element(3), Place::Element(4)]);
    assert!(imported.problems.first()[0].fault.contains("4h or 59m58.7s"));
}

#[test]
fn a_document_cut_short_keeps_what_came_before() {
    let text = format!("[{},{}", decision("2001:db8::1", "Ip", "1h", "ban"), r#"{"duration":"1"#);
    let imported = check_crowdsec(&text, &["2001:db8::1/128"]);
    assert!(matches!(imported.problems.first()[0].place, Place::Line { line: 1, .. }));
    let deep = "[".repeat(100_000);
    assert_eq!(check_crowdsec(&deep, &[]).problems.total(), 1);
    assert_eq!(check_crowdsec("", &[]).problems.total(), 1);
}

#[test]
fn what_is_exported_as_csv_is_imported_as_it_was() {
    let rows = "prefix,score,measure,reasons,expires\n\
        2001:db8:1::/48,100,drop,scanning flooding,2000000\n2001:db8:2::/48,unrated,none,,2000001\n\
        2001:db8:3::/48,900,incentive,clean_record,2000002\n";
    let first = import(ListFormat::Csv, rows.as_bytes());
    assert_eq!(first.problems.total(), 0);
    let snapshot = first.into_snapshot().unwrap();
    let mut text = Vec::new();
    export(&snapshot, ExportFormat::Csv, &mut text).unwrap();
    let again = import(ListFormat::Csv, &text);
    assert_eq!(again.problems.total(), 0, "{:?}", again.problems);
    assert_eq!(again.into_snapshot().unwrap(), snapshot);
}

#[test]
fn options_that_can_have_no_effect_are_refused() {
    let nameless = ImportOptions { issuer: String::new(), ..options() };
    assert!(matches!(Importer::new(nameless), Err(ImportError::Issuer(_))));
    let momentary = ImportOptions { expires: Duration::from_millis(999), ..options() };
    assert!(matches!(Importer::new(momentary), Err(ImportError::NoLifetime)));
}

/// A reader that fails, as a disk or a pipe may.
struct Broken;

impl io::Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        Err(io::Error::other("the disk is gone"))
    }
}

#[test]
fn a_failing_disk_is_told_from_a_bad_list() {
    for format in ListFormat::ALL {
        let mut importer = Importer::new(options()).unwrap();
        let outcome = importer.read("list.txt", format, io::BufReader::new(Broken));
        assert!(matches!(outcome, Err(ImportError::Read { .. })), "{format:?}");
    }
}

proptest! {
    /// Whatever the bytes, an import ends, and what it lets in is a valid snapshot.
    #[test]
    fn arbitrary_bytes_give_a_valid_snapshot(
        text in proptest::collection::vec(
            prop_oneof![any::<u8>(), proptest::sample::select(&b"2001:db8::/48,#;\"{}[]\n\r "[..])], 0..200,
        ),
        format in proptest::sample::select(&ListFormat::ALL),
    ) {
        let imported = import(format, &text);
        prop_assert!(imported.into_snapshot().is_ok());
    }
}
