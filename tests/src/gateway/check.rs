//! `credence check`: what it tells of configurations good and bad.

use std::fs;

use tempfile::TempDir;

use crate::binary::{Ran, capture, root, run};

/// Checks a configuration of this text; `DIR` in it is a directory with the snapshot `deny` of two prefixes
/// of the demo's capture, one of which is too wide.
fn checked(text: &str, more: &[&str]) -> Ran {
    let directory = TempDir::new().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("list.txt"), "3fff:666::/32\n3fff::/20\n").unwrap();
    let import = ["credit", "import", "--from", "cidr", &path("list.txt"), "-o", &path("deny")];
    run(import.into_iter().chain(["--score", "50", "--measure", "drop"])).expect(0);
    let file = path("gateway.toml");
    fs::write(&file, text.replace("DIR", &directory.path().display().to_string())).unwrap();
    run(["check", "--config", &file].iter().chain(more))
}

#[test]
fn a_typo_names_the_key_the_file_the_line_and_what_was_meant() {
    for (text, told) in [
        ("\n\ninterfce = \"eth0\"", "unknown key `interfce` at line 3: did you mean `interface`?"),
        ("[flows]\ncapcity = 1", "unknown key `flows.capcity` at line 2: did you mean `flows.capacity`?"),
        ("[metric]\nlisten = \"[::1]:0\"", "unknown key `metric` at line 1: did you mean `metrics`?"),
        (
            "[policy.thresholds]\nflow_per_s = 3",
            "unknown key `policy.thresholds.flow_per_s` at line 2: did you mean `policy.thresholds.flows_per_s`?",
        ),
        (
            "[alerts]\nfrom = \"ratelimit\"",
            "`alerts.from` at line 2 is \"ratelimit\": did you mean \"rate_limit\"?",
        ),
        ("queues = [1", "is no TOML at line 1"),
    ] {
        checked(text, &[]).expect(1).told(&["gateway.toml: ", told]);
    }
}

#[test]
fn all_problems_are_told_at_once() {
    let text = "interfce = \"a\"\nworkers = 5000\n[lists]\nown = [\"2001:db8::1/32\", \"10.0.0.0/8\"]\n";
    let ran = checked(text, &["--format", "json"]).expect(1);
    let report = ran.json();
    assert_eq!(
        (report["sound"].as_bool(), report["problems"].as_array().unwrap().len()),
        (Some(false), 4),
        "{report}"
    );

    let text =
        "[credit]\nsnapshots = [\"DIR/none\", \"DIR/list.txt\"]\n[alerts]\npath = \"DIR/no/alerts.json\"\n";
    let ran = checked(text, &[]).expect(1);
    ran.told(&["/none: ", "not a credit snapshot", "whose directory is not there"]);
    assert!(ran.stdout.contains("cannot be used"), "{}", ran.stdout);
}

#[test]
fn a_sound_configuration_is_told_with_what_it_would_do() {
    let text = r#"
        interface = "lo"
        workers = 3
        [flows]
        capacity = 300000
        [lists]
        own = ["2001:db8:c000::/36"]
        never_block = ["3fff:53::/48"]
        [credit]
        snapshots = ["DIR/deny"]
        [alerts]
        path = "DIR/alerts.json"
        from = "mark"
        [metrics]
        listen = "[::1]:9999"
    "#;
    let ran = checked(text, &["--format", "json"]).expect(0);
    let plan = &ran.json()["plan"];
    assert_eq!(plan["interface"]["exists"], true, "{plan}");
    assert_eq!((plan["workers"].as_u64(), plan["queues"].as_u64()), (Some(3), Some(1)));
    let memory = plan["memory"].as_object().unwrap();
    let number = |part: &str| memory[part].as_u64().unwrap();
    assert!((100..150).contains(&(number("flow_tables") / 300_000)), "bytes of a flow: {plan}");
    let parts: u64 = memory.keys().filter(|part| *part != "total").map(|part| number(part)).sum();
    assert_eq!(number("total"), parts);
    assert_eq!((plan["lists"]["own"].as_u64(), plan["lists"]["never_block"].as_u64()), (Some(1), Some(1)));
    assert_eq!(
        (plan["credit"]["records"].as_u64(), plan["credit"]["enforceable"].as_u64()),
        (Some(2), Some(1))
    );
    assert_eq!(plan["credit"]["kept"]["too_wide"], 1);
    assert_eq!(
        (plan["alerts"]["from"].as_str(), plan["metrics"].as_str()),
        (Some("mark"), Some("http://[::1]:9999/metrics"))
    );
    assert_eq!(plan["enforced"], false);

    let ran = checked(text, &[]).expect(0);
    for part in [
        "is sound",
        "interface   lo\n",
        "3, fed by 1 queue",
        "300,000 at most",
        "1 kept as too_wide",
        "[::1]:9999",
    ] {
        assert!(ran.stdout.contains(part), "{part:?} is missing from:\n{}", ran.stdout);
    }
    assert_eq!(ran.stderr, "");
}

#[test]
fn what_would_be_followed_is_told_and_what_nobody_would_notice() {
    let world = "5f".repeat(32);
    let text = format!(
        "interface = \"lo\"\n[sync]\nurl = \"https://user:secret@platform.example/a\"\nmirrors = [\"file:///media/stick\"]\n\
         world = \"{world}\"\nrefresh_s = 60\nallow_example = true\n"
    );
    let ran = checked(&text, &[]).expect(0);
    let line = format!(
        "followed    world {world}, epoch 1 of its log, from https://platform.example/a/, file:///media/stick every 60 s"
    );
    assert!(ran.stdout.contains(&line), "{}", ran.stdout);
    ran.told(&["no witness has to have seen the log", "`sync.witness_quorum`", "`sync.allow_example`"]);
    assert!(!(ran.stdout + &ran.stderr).contains("secret"));
    let ran = checked(&text, &["--format", "json"]).expect(0);
    let feed = &ran.json()["plan"]["feed"];
    assert_eq!((feed["world"].as_str(), feed["refresh_s"].as_u64()), (Some(&*world), Some(60)), "{feed}");
    assert_eq!(feed["epoch"].as_u64(), Some(1), "{feed}");
    assert_eq!((feed["witnesses"].as_u64(), feed["bus"].as_bool()), (Some(0), Some(false)), "{feed}");
}

#[test]
fn what_would_be_enforced_is_told_with_what_happens_when_something_fails() {
    let text = r#"
        interface = "lo"
        [enforce]
        mode = "on"
        stand = "bridge"
        other_leg = "other"
        on_failure.engine_down = "static"
    "#;
    let plan = &checked(text, &["--format", "json"]).expect(0).json()["plan"];
    assert_eq!(
        (plan["enforced"].as_bool(), plan["enforcement"]["outlives"].as_bool()),
        (Some(true), Some(true))
    );
    assert_eq!(plan["enforcement"]["legs"], serde_json::json!(["lo", "other"]));
    assert_eq!(plan["enforcement"]["engine_down"], "static");
    let ran = checked(text, &[]).expect(0);
    assert!(
        ran.stdout
            .contains("verdicts, in the kernel, by XDP, as a bridge on lo and other; engine down: static"),
        "{}",
        ran.stdout
    );

    let few = "[credit]\nsnapshots = [\"DIR/deny\"]\n[enforce]\nmode = \"dry_run\"\nother_leg = \"x\"\nrecords = 1024\n";
    let ran = checked(few, &[]).expect(0);
    ran.told(&["means nothing without"]);
    assert!(ran.stdout.contains("nothing: verdicts are counted in the kernel"), "{}", ran.stdout);
    for (text, told) in [
        ("[enforce]\nmode = \"on\"\nstand = \"bridge\"", "`enforce.other_leg`"),
        ("interface = \"a\"\n[enforce]\nstand = \"bridge\"\nother_leg = \"a\"", "a bridge needs two"),
        ("[enforce]\nrecords = 3", "must be from 1024 to 8388608"),
        ("[enforce]\nmark_dscp = 64", "must be at most 63"),
        ("[enforce]\nportal_kbit_per_s = 0", "is a block"),
        ("[emergency]\nlongest_s = 0", "must be from 1 to 86400"),
        ("[emergency.ladder]\nrate_limit_below = 700", "does not hold together with `policy`"),
        ("[enforce]\nmode = \"yes\"", "must be one of"),
    ] {
        checked(text, &[]).expect(1).told(&[told]);
    }
}

#[test]
fn what_this_host_lacks_is_a_note_and_no_fault() {
    let ran = checked("interface = \"no-such\"", &[]).expect(0);
    ran.told(&["note: this host has no interface no-such; it has ", "lo"]);
    checked("", &[]).expect(0).told(&["note: no interface is configured", "--interface NAME"]);
}

#[test]
fn with_a_capture_the_share_of_its_packets_that_lists_hit_is_told() {
    let demo = capture("demo.pcap.zst").display().to_string();
    let text = "[lists]\nnever_block = [\"3fff:53::/48\"]\n[credit]\nsnapshots = [\"DIR/deny\"]\n";
    let ran = checked(text, &["--capture", &demo, "--format", "json"]).expect(0);
    let effect = &ran.json()["effect"];
    let shares = |list: &str| effect[list].as_array().unwrap().clone();
    let packets = |list: &str, key: &str, word: &str| -> u64 {
        shares(list)
            .iter()
            .filter(|share| share[key] == word)
            .map(|share| share["packets"].as_u64().unwrap())
            .sum()
    };
    let dropped = packets("listed", "basis", "operator_deny");
    assert!(dropped > 500, "the scanner is listed: {effect}");
    assert!(packets("listed", "basis", "never_block") > 100, "the resolver is never blocked: {effect}");
    assert_eq!(packets("verdicts", "verdict", "drop"), dropped, "behaviour alone drops nothing: {effect}");
    let all: u64 = shares("verdicts").iter().map(|share| share["packets"].as_u64().unwrap()).sum();
    assert_eq!(effect["scored"], all);
    let whole: f64 = shares("verdicts").iter().map(|share| share["share"].as_f64().unwrap()).sum();
    assert!((whole - 1.0).abs() < 1e-9, "{whole}");
    let again = checked(text, &["--capture", &demo, "--format", "json"]).json();
    assert_eq!(&again["effect"], effect, "the same answer each time");

    let ran = checked(text, &["--capture", &demo]).expect(0);
    assert!(
        ran.stdout.contains("lists and snapshots alone\n") && ran.stdout.contains("operator_deny"),
        "{}",
        ran.stdout
    );
    checked(text, &["--capture", "/no/such.pcap"])
        .expect(1)
        .told(&["there is no capture file /no/such.pcap"]);
}

#[test]
fn the_example_that_is_delivered_is_sound() {
    let example = root().join("deploy/credence.toml").display().to_string();
    let ran = run(["check", "--config", &example]).expect(0);
    assert!(ran.stdout.contains("is sound"), "{}", ran.stdout);
    run(["check", "--config", "/no/such/gateway.toml"])
        .expect(1)
        .told(&["/no/such/gateway.toml: cannot be read"]);
    run(["check"]).expect(2);
}
