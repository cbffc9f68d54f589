//! Lists become snapshots, and snapshots answer.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use super::{Desk, text};
use crate::binary::{Ran, run, run_with_input};

const DAY: u64 = 86_400;

fn import(desk: &Desk, form: &str, list: &str, options: &[&str]) -> Ran {
    let (list, snapshot) = (desk.file("list", list), desk.path("out.snap"));
    let args = ["credit", "import", "--from", form, text(&list), "-o", text(&snapshot)];
    run(args.iter().chain(options))
}

fn export(snapshot: &Path) -> Value {
    run(["credit", "export", text(snapshot), "--format", "json"]).expect(0).json()
}

/// The prefixes that a list in some form has, once imported.
fn prefixes(form: &str, list: &str) -> Vec<String> {
    let desk = Desk::new();
    import(&desk, form, list, &[]).expect(0);
    let records = export(&desk.path("out.snap"))["records"].clone();
    records.as_array().unwrap().iter().map(|record| record["prefix"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_form_of_list_is_imported() {
    let expected = ["2001:db8:1::/48", "2001:db8:2::1/128"];
    assert_eq!(prefixes("cidr", "# list\n2001:db8:1::/48\n2001:db8:2::1\n192.0.2.0/24\n"), expected);
    assert_eq!(prefixes("csv", "prefix,score\n2001:db8:1::/48,200\n2001:db8:2::1,\n"), expected);
    let drop = r#"{"cidr":"2001:db8:1::/48","sblid":"SBL1","rir":"ripencc"}
{"cidr":"2001:db8:2::1/128","sblid":"SBL2","rir":"ripencc"}
{"type":"metadata","timestamp":1700000000,"size":2,"records":2}
"#;
    assert_eq!(prefixes("drop", drop), expected);
    let crowdsec = r#"[{"duration":"4h","scenario":"x/ssh-bf","scope":"Range","type":"ban","value":"2001:db8:1::/48"},
        {"duration":"4h","scenario":"x/ssh-bf","scope":"Ip","type":"ban","value":"2001:db8:2::1"}]"#;
    assert_eq!(prefixes("crowdsec", crowdsec), expected);
}

#[test]
fn an_import_says_what_became_of_each_entry() {
    let desk = Desk::new();
    let list = "2001:db8::/48\n2001:db8::/48\n192.0.2.1\n2001:db8:5::1/48\n2000::/3\n";
    let ran = import(&desk, "cidr", list, &[]).expect(0);
    for words in [
        "3 records written",
        "5  entries read",
        "1  left out: IPv4",
        "1  left out: the same prefix again",
        "1  with host bits",
        "1  too wide: kept, shown and never enforced",
    ] {
        assert!(ran.stdout.contains(words), "{words:?} is missing from:\n{}", ran.stdout);
    }
    let mode = fs::metadata(desk.path("out.snap")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640);
}

#[test]
fn options_fill_in_what_a_list_leaves_open() {
    let desk = Desk::new();
    let options =
        ["--score", "250", "--measure", "rate_limit", "--expires", "2w", "--issuer", "Example list"];
    import(&desk, "cidr", "2001:db8::/48\n", &options).expect(0);
    let snapshot = export(&desk.path("out.snap"));
    let record = &snapshot["records"][0];
    assert_eq!(record["score"], 250);
    assert_eq!(record["status"], "poor");
    assert_eq!(record["measure"], "rate_limit");
    assert_eq!(record["issuer"], "Example list");
    assert_eq!(record["expires"].as_u64().unwrap() - snapshot["created"].as_u64().unwrap(), 14 * DAY);
}

#[test]
fn options_that_make_no_sense_are_usage_errors() {
    let desk = Desk::new();
    for options in [["--expires", "1mo"], ["--expires", "soon"], ["--score", "1001"], ["--measure", "hang"]] {
        import(&desk, "cidr", "2001:db8::/48\n", &options).expect(2);
    }
    import(&desk, "stix", "{}", &[]).expect(2).told(&["cidr, csv, drop, crowdsec"]);
    assert!(!desk.path("out.snap").exists());
}

#[test]
fn what_is_exported_comes_back_and_differences_show() {
    let desk = Desk::new();
    let first = desk.snapshot("first.snap", "2001:db8:1::/48\n2001:db8:2::/48\n", &["--issuer", "list"]);
    let csv = desk.path("first.csv");
    run(["credit", "export", text(&first), "--format", "csv", "-o", text(&csv)]).expect(0);
    let again = desk.path("again.snap");
    run(["credit", "import", "--from", "csv", text(&csv), "-o", text(&again), "--issuer", "list"]).expect(0);
    let same = run(["credit", "diff", text(&first), text(&again), "--format", "json"]).expect(0).json();
    assert_eq!(same, serde_json::json!({ "added": [], "removed": [], "changed": [] }));

    let cidr = run(["credit", "export", text(&first), "--format", "cidr"]).expect(0).stdout;
    assert_eq!(cidr, "2001:db8:1::/48\n2001:db8:2::/48\n");
    let changed = text(&csv).replace("first.csv", "changed.csv");
    let rows =
        desk.text("first.csv").replace("2001:db8:1::/48", "2001:db8:9::/48").replacen(",100,", ",90,", 2);
    fs::write(&changed, rows).unwrap();
    let other = desk.path("other.snap");
    run(["credit", "import", "--from", "csv", &changed, "-o", text(&other), "--issuer", "list"]).expect(0);
    let diff = run(["credit", "diff", text(&first), text(&other), "--format", "json"]).expect(0).json();
    assert_eq!(diff["added"][0]["prefix"], "2001:db8:9::/48");
    assert_eq!(diff["removed"][0]["prefix"], "2001:db8:1::/48");
    assert_eq!(
        (&diff["changed"][0]["old"]["score"], &diff["changed"][0]["new"]["score"]),
        (&100.into(), &90.into())
    );
    let shown = run(["credit", "diff", text(&first), text(&other)]).expect(0).stdout;
    let signs: String = shown.lines().filter_map(|line| line.chars().next()).collect();
    assert_eq!(signs, "-+<>1", "{shown}");
    assert!(shown.ends_with("1 added, 1 removed, 1 changed\n"), "{shown}");
}

#[test]
fn a_lookup_answers_for_the_longest_prefix_in_both_forms() {
    let desk = Desk::new();
    let wide = desk.snapshot("wide.snap", "2001:db8::/32\n", &["--score", "400", "--measure", "observe"]);
    let narrow = desk.snapshot("narrow.snap", "2001:db8:1::/48\n", &["--score", "100"]);
    let snapshots = ["--credit", text(&wide), "--credit", text(&narrow)];
    let addresses = ["lookup", "2001:db8:1::5", "2001:db8:2::5", "2001:db9::1"];
    let shown = run(addresses.iter().chain(&snapshots)).expect(0).stdout;
    let lines: Vec<_> = shown.lines().collect();
    assert!(
        lines[0].starts_with(
            "2001:db8:1::5  100 seriously_dishonest, drop  2001:db8:1::/48 by \"narrow.snap.txt\""
        )
    );
    assert!(
        lines[1].starts_with("2001:db8:2::5  400 watch, observe  2001:db8::/32 by \"wide.snap.txt\", until ")
    );
    assert_eq!(lines[2], "2001:db9::1  unrated");

    let json = run(addresses.iter().chain(&snapshots).chain(&["--format", "json"])).expect(0).json();
    assert_eq!(json.as_array().unwrap().len(), 3);
    assert_eq!((&json[0]["prefix"], &json[0]["score"]), (&"2001:db8:1::/48".into(), &100.into()));
    assert_eq!((&json[2]["status"], &json[2]["score"]), (&"unrated".into(), &Value::Null));
    assert_eq!(json[2]["address"], "2001:db9::1");
}

#[test]
fn bad_addresses_are_told_with_their_place_and_the_others_answered() {
    let desk = Desk::new();
    let snapshot = desk.snapshot("deny.snap", "2001:db8::/32\n", &[]);
    let credit = ["--credit", text(&snapshot)];
    let ran = run(["lookup", "bogus", "2001:db8::1", "192.0.2.1", "::ffff:192.0.2.1"].iter().chain(&credit))
        .expect(1);
    ran.told(&[
        "argument 1: \"bogus\"",
        "argument 3: \"192.0.2.1\" is IPv4",
        "mapped form, which is not matched",
    ]);
    assert_eq!(ran.stdout.lines().count(), 1);
    let input = b"# who\n2001:db8::1\nnobody\n\n2001:db9::1\n";
    let ran = run_with_input(["lookup", "-"].iter().chain(&credit), input).expect(1);
    ran.told(&["standard input, line 3: \"nobody\""]);
    assert_eq!(ran.stdout.lines().count(), 2);
}

#[test]
fn a_record_that_is_over_says_nothing() {
    let desk = Desk::new();
    let snapshot = desk.snapshot("deny.snap", "2001:db8::/32\n", &["--expires", "1h"]);
    let later = export(&snapshot)["records"][0]["expires"].as_u64().unwrap();
    let status = |at: u64| {
        let at = at.to_string();
        let args = ["lookup", "2001:db8::1", "--credit", text(&snapshot), "--at", &at, "--format", "json"];
        run(args).expect(0).json()[0]["status"].clone()
    };
    assert_eq!(status(later - 1), "seriously_dishonest");
    assert_eq!(status(later), "unrated");
}

fn explain(desk: &Desk, options: &[&str]) -> Ran {
    let wide = desk.snapshot("wide.snap", "2000::/3\n", &["--score", "300", "--measure", "drop"]);
    let narrow =
        desk.snapshot("narrow.snap", "2001:db8:1::/48\n", &["--score", "150", "--measure", "rate_limit"]);
    let nobody = desk.path("socket");
    let snapshots = ["--credit", text(&wide), "--credit", text(&narrow), "--socket", text(&nobody)];
    run(["explain", "2001:db8:1:2::5"].iter().chain(&snapshots).chain(options)).expect(0)
}

#[test]
fn an_explanation_names_every_record_and_adds_up() {
    let desk = Desk::new();
    let json = explain(&desk, &["--format", "json"]).json();
    assert_eq!(json["subject"], serde_json::json!({ "prefix": "2001:db8:1:2::/64", "learned": "default" }));
    let [wide, narrow] = json["records"].as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!(
        (&wide["prefix"], &wide["kept"], &wide["enforced"]),
        (&"2000::/3".into(), &"too_wide".into(), &false.into())
    );
    assert_eq!((&narrow["rates"], &narrow["rules"]), (&true.into(), &true.into()));
    let assessment = &json["assessment"];
    let terms = assessment["terms"].as_array().unwrap();
    let points: i64 = terms.iter().map(|term| term["points"].as_i64().unwrap()).sum();
    assert_eq!((points, assessment["score"].as_i64().unwrap()), (150, 150));
    assert_eq!(
        (&assessment["verdict"], &assessment["basis"]),
        (&"rate_limit".into(), &"operator_deny".into())
    );
    assert_eq!(assessment["rules"], "credence-local/1");
    assert!(json["complaints"].as_str().unwrap().contains("operator of this gateway"));
    assert_eq!(json["gateway"]["answers"], false, "without a gateway the rest is explained all the same");
}

#[test]
fn an_explanation_for_people_says_who_why_until_when_and_where_to_turn() {
    let desk = Desk::new();
    let shown = explain(&desk, &[]).stdout;
    for words in [
        "subject    2001:db8:1:2::/64",
        "kept and never enforced: the prefix is too wide",
        "<- rates and rules",
        "issuer     narrow.snap.txt, operator_list",
        "evidence declared",
        "an unsigned local list",
        "(in ",
        "150  credit",
        "verdict rate_limit, decided by operator_deny",
        "gateway    no gateway answers at ",
        "complaints \"narrow.snap.txt\"",
    ] {
        assert!(shown.contains(words), "{words:?} is missing from:\n{shown}");
    }
}

#[test]
fn the_never_block_list_is_stronger_than_any_record() {
    let desk = Desk::new();
    let lists = ["--never-block", "2001:db8:1:2::/64", "--own", "2001:db8::/32", "--format", "json"];
    let json = explain(&desk, &lists).json();
    assert_eq!((&json["own"], &json["never_block"]), (&true.into(), &true.into()));
    assert_eq!(json["records"][1]["kept"], "never_block");
    assert_eq!(
        (&json["assessment"]["verdict"], &json["assessment"]["basis"]),
        (&"pass".into(), &"never_block".into())
    );
}

#[test]
fn nothing_known_is_unrated_and_passes() {
    let desk = Desk::new();
    let snapshot = desk.snapshot("deny.snap", "2001:db8::/32\n", &[]);
    let args = ["explain", "2001:db9::1", "--credit", text(&snapshot), "--format", "json"];
    let json = run(args).expect(0).json();
    assert_eq!(json["records"], serde_json::json!([]));
    assert_eq!(json["assessment"]["terms"][0]["rule"], "unrated");
    assert_eq!(json["assessment"]["verdict"], "pass");
    run(["explain", "192.0.2.1", "--credit", text(&snapshot)]).expect(1).told(&["is IPv4"]);
}
