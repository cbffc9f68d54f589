use std::collections::BTreeMap;

use super::mistakes::Mistakes;
use super::*;

/// A host with so many cores.
const CORES: usize = 4;

fn parsed(text: &str) -> Result<Config, Mistakes> {
    Config::parse("gateway.toml", text, CORES)
}

/// The mistakes of a text, each a sentence.
fn mistakes(text: &str) -> Vec<String> {
    parsed(text).expect_err("this text is wrong").texts().to_vec()
}

fn check(text: &str, told: &[&str]) {
    assert_eq!(mistakes(text), told, "{text}");
}

#[test]
fn an_empty_file_is_the_default() {
    let config = parsed("").unwrap();
    assert_eq!(config, Config::default());
    assert_eq!((config.queues.0, config.flows.capacity, config.alerts.lines_per_second), (1, 1 << 20, 100));
    assert_eq!(config.metrics.listen.to_string(), "127.0.0.1:9469");
    assert_eq!(Timeouts::from(&config.flows.timeouts), Timeouts::default(), "one truth about timeouts");
}

#[test]
fn every_key_can_be_given() {
    let text = r#"
        interface = "eth1"
        backend = "af_packet"
        workers = 2
        cores = "any"
        queues = 2
        [flows]
        capacity = 4096
        when_full = "refuse"
        timeouts = { established_s = 1, closed_s = 2, paired_s = 3, unanswered_s = 4 }
        [lists]
        own = ["2001:db8::/32"]
        never_block = ["2001:db8:53::53"]
        tunnel_endpoints = ["3fff:1::/64"]
        [credit]
        snapshots = ["a.snapshot", "b.snapshot"]
        [policy]
        neutral = 550
        [policy.ladder]
        mark_below = 300
        [policy.thresholds]
        ports = 50
        [alerts]
        path = "/var/log/credence/alerts.json"
        from = "rate_limit"
        lines_per_second = 7
        [metrics]
        listen = "[::]:0"
        allow_remote = true
    "#;
    let config = parsed(text).unwrap();
    let guards = config.guards();
    let line = config.line(&guards, config.worker_count(CORES)).unwrap();
    assert_eq!((line.flows, line.full, line.alert_from), (2048, FullPolicy::Refuse, Verdict::RateLimit));
    assert_eq!(line.timeouts.unanswered_ns, 4_000_000_000);
    assert_eq!(
        (line.policy.neutral, line.policy.ladder.mark_below, line.policy.thresholds.ports),
        (550, 300, 50)
    );
    let address = |text: &str| text.parse::<std::net::Ipv6Addr>().unwrap().to_bits();
    assert!(line.lists.is_own(address("2001:db8::1")) && !line.lists.is_own(address("3fff::1")));
    assert!(line.lists.is_never_blocked(address("2001:db8:53::53")));
    assert!(line.lists.is_never_blocked(address("fe80::1")), "the fixed part of the list is there too");
    assert!(matches!(line.keyed, Keyed::InnerAt(_)));
    assert_eq!(config.cores, Cores::Any);
    let capture = config.capture("eth1");
    assert_eq!((capture.queues, capture.backend), (2, CaptureBackend::AfPacket));
    let again = toml::to_string(&config).unwrap();
    assert_eq!(parsed(&again).unwrap(), config, "what is written is read back");
}

#[test]
fn sockets_that_take_frames_away_are_not_for_a_gateway_that_enforces() {
    let config = parsed("backend = 'af_xdp'").unwrap();
    assert_eq!(config.capture("eth1").backend, CaptureBackend::AfXdp);
    let fault = "`backend` at line 1 is \"af_xdp\" while `enforce.mode` is not \"off\"; frames that it takes go no further, so \
                 that there is nothing to enforce on, and an interface has room for one XDP program: take \"af_packet\", or \
                 leave `enforce` off";
    for mode in ["dry_run", "on"] {
        check(&format!("backend = 'af_xdp'\n[enforce]\nmode = '{mode}'"), &[fault]);
    }
}

#[test]
fn rules_that_do_not_count_by_record_give_no_accounts() {
    let text = |mode: &str, carrier: &str, accounts_s: u32| {
        format!(
            "[enforce]\nmode = '{mode}'\ncarrier = '{carrier}'\n\
             on_failure = {{ engine_down = 'static', worker_stuck = 'static', data_stale = 'static', data_absent = 'static' }}\n\
             [sync]\nstate = '/s'\n[sync.outbox]\nrule = 'ask'\nplatforms = ['https://platform.example']\nworld = '{}'\n\
             rules = ['root']\nmember = 1\nkey = 'key'\naccounts_s = {accounts_s}",
            "0a".repeat(32)
        )
    };
    let fault = "`sync.outbox.accounts_s` at line 14 is 60, and rules of nftables do not count by record: it must be 0";
    check(&text("on", "nftables", 60), &[fault]);
    for (mode, carrier, accounts_s) in [("on", "nftables", 0), ("on", "xdp", 60), ("dry_run", "nftables", 60)]
    {
        assert!(parsed(&text(mode, carrier, accounts_s)).is_ok(), "{mode} {carrier} {accounts_s}");
    }
    let beyond = |text: &str| parsed(text).unwrap().beyond_nftables().len();
    assert_eq!((beyond(&text("on", "auto", 60)), beyond(&text("on", "auto", 0))), (1, 0));
}

#[test]
fn a_misspelt_key_is_answered_with_the_one_that_was_meant() {
    check("\n\ninterfce = 'eth0'", &["unknown key `interfce` at line 3: did you mean `interface`?"]);
    check("worker = 2", &["unknown key `worker` at line 1: did you mean `workers`?"]);
    check("[flow]\ncapacity = 1", &["unknown key `flow` at line 1: did you mean `flows`?"]);
    check("[flows]\ncapcity = 1", &["unknown key `flows.capcity` at line 2: did you mean `flows.capacity`?"]);
    check(
        "[flows.timeouts]\nestablished = 1",
        &["unknown key `flows.timeouts.established` at line 2: did you mean `flows.timeouts.established_s`?"],
    );
    check(
        "[policy.ladder]\nmark-below = 1",
        &["unknown key `policy.ladder.mark-below` at line 2: did you mean `policy.ladder.mark_below`?"],
    );
    check(
        "[credit]\nsnapshot = []",
        &["unknown key `credit.snapshot` at line 2: did you mean `credit.snapshots`?"],
    );
    check("alerts.form = 'mark'", &["unknown key `alerts.form` at line 1: did you mean `alerts.from`?"]);
    check(
        "flows = { capactiy = 5 }",
        &["unknown key `flows.capactiy` at line 1: did you mean `flows.capacity`?"],
    );
}

#[test]
fn a_key_near_to_none_is_answered_with_those_there_are() {
    let told = "unknown key `metrics.colour` at line 2: the keys here are listen, allow_remote";
    check("[metrics]\ncolour = 'red'", &[told]);
}

#[test]
fn misspelt_words_are_answered_likewise() {
    check("backend = 'af-packet'", &["`backend` at line 1 is \"af-packet\": did you mean \"af_packet\"?"]);
    check(
        "backend = 'dpdk'",
        &["`backend` at line 1 is \"dpdk\", and must be one of auto, af_packet, pnet, af_xdp"],
    );
    check(
        "[flows]\nwhen_full = 'refused'",
        &["`flows.when_full` at line 2 is \"refused\": did you mean \"refuse\"?"],
    );
}

#[test]
fn values_of_the_wrong_kind_are_told_without_names_of_types() {
    check(
        "workers = 'four'",
        &["`workers` at line 1 is string \"four\", and must be a whole number from 0 to 4,294,967,295"],
    );
    check(
        "workers = -1",
        &["`workers` at line 1 is integer `-1`, and must be a whole number from 0 to 4,294,967,295"],
    );
    check("flows = 3", &["`flows` at line 1 is integer `3`, and must be a section"]);
    check(
        "[metrics]\nallow_remote = 'no'",
        &["`metrics.allow_remote` at line 2 is string \"no\", and must be true or false"],
    );
    check(
        "[metrics]\nlisten = '9469'",
        &[
            "`metrics.listen` at line 2 is no address with a port; write it like \"127.0.0.1:9469\" or \"[::1]:9469\"",
        ],
    );
}

#[test]
fn every_bad_prefix_of_a_list_is_told() {
    let told =
        mistakes("[lists]\nown = [\n  '2001:db8::/32',\n  '2001:db8::1/32',\n  '10.0.0.0/8',\n  'x',\n]");
    assert_eq!(told.len(), 3, "{told:?}");
    assert!(
        told[0].starts_with("`lists.own` at line 4: ") && told[0].contains("\"2001:db8::/32\""),
        "{told:?}"
    );
    assert!(told[1].starts_with("`lists.own` at line 5: ") && told[1].contains("IPv4"), "{told:?}");
    assert!(told[2].starts_with("`lists.own` at line 6: "), "{told:?}");
    check(
        "[lists]\nown = [7]",
        &["`lists.own` at line 2 is integer `7`, and must be a prefix in quotes, like \"2001:db8::/32\""],
    );
}

#[test]
fn all_mistakes_are_told_and_not_only_the_first() {
    let told = mistakes("interfce = 'a'\nworkers = 2000\nqueues = true\n[alert]\n[flows]\ncapacity = 5\n");
    assert_eq!(
        told,
        [
            "unknown key `alert` at line 4: did you mean `alerts`?",
            "unknown key `interfce` at line 1: did you mean `interface`?",
            "`queues` at line 3 is boolean `true`, and must be a whole number from 0 to 4,294,967,295",
            "`workers` at line 2 is 2000, and must be at most 1024; 0 takes one a core",
            "`flows.capacity` at line 6 is 5 (640 B) at 128 bytes a flow, and must be from 1,024 (131.07 kB) to 268,435,456 (34.36 GB)",
        ]
    );
}

#[test]
fn a_file_of_mistakes_is_told_in_part() {
    let text: String = (0..1000).map(|number| format!("wrong{number} = 1\n")).collect();
    assert_eq!(mistakes(&text).len(), 20);
}

#[test]
fn what_is_no_toml_is_told_with_its_place() {
    let told = mistakes("workers = 1\nqueues = \n");
    assert!(told[0].starts_with("is no TOML at line 2, column "), "{told:?}");
    let told = mistakes("workers = 1\nworkers = 2\n");
    assert!(told[0].starts_with("is no TOML at line 2, column 1: duplicate key"), "{told:?}");
}

#[test]
fn bounds_hold_at_both_ends() {
    for (text, sound) in [
        ("workers = 1024", true),
        ("workers = 1025", false),
        ("queues = 4", true),
        ("queues = 3", false),
        ("queues = 0", false),
        ("workers = 3\nqueues = 3", true),
        ("workers = 300\nqueues = 256", false),
        ("[flows]\ncapacity = 1024", true),
        ("[flows]\ncapacity = 1023", false),
        ("[flows]\ncapacity = 268435456", true),
        ("[flows]\ncapacity = 268435457", false),
        ("[flows.timeouts]\nclosed_s = 86400", true),
        ("[flows.timeouts]\nclosed_s = 86401", false),
        ("[flows.timeouts]\npaired_s = 0", false),
        ("[alerts]\nlines_per_second = 100000", true),
        ("[alerts]\nlines_per_second = 100001", false),
        ("[alerts]\nlines_per_second = 0", false),
        ("interface = 'abcdefghijklmno'", true),
        ("interface = 'abcdefghijklmnop'", false),
        ("interface = ''", false),
        ("interface = 'a/b'", false),
        ("[policy]\nneutral = 400", false),
        ("[policy.thresholds]\nports = 0", false),
        ("[sandbox]\nuser = 'credence'", true),
        ("[sandbox]\nuser = 'root'", false),
        ("[sandbox]\nuser = ''", false),
        ("[sandbox]\nuser = 'a:b'", false),
        ("[metrics]\nlisten = '[::1]:0'", true),
        ("[metrics]\nlisten = '127.9.9.9:1'", true),
        ("[metrics]\nlisten = '0.0.0.0:9469'", false),
        ("[metrics]\nlisten = '192.0.2.1:9469'\nallow_remote = true", true),
    ] {
        assert_eq!(parsed(text).is_ok(), sound, "{text}: {:?}", parsed(text));
    }
}

#[test]
fn zero_workers_are_one_a_core() {
    let config = Config::default();
    assert_eq!((config.worker_count(8), config.worker_count(0)), (8, 1));
    assert_eq!(Config { workers: 3, ..config }.worker_count(8), 3);
}

#[test]
fn hash_seeds_are_new_in_each_line() {
    let (config, guards) = (Config::default(), Guards::default());
    let seeds = |line: LineConfig| (line.seed, line.sketch.0);
    let (one, other) = (seeds(config.line(&guards, 1).unwrap()), seeds(config.line(&guards, 1).unwrap()));
    assert!(one.0 != other.0 && one.1 != other.1 && one.0 != one.1);
}

#[test]
fn what_only_a_restart_changes_is_named() {
    let running = Config::default();
    let snapshots = Credit { snapshots: vec!["new".into()], ..Credit::default() };
    assert_eq!(Config { credit: snapshots, ..running.clone() }.restart_needed(&running), [""; 0]);
    let changed = Config {
        workers: 3,
        lists: PrefixLists { own: vec!["::/0".parse().unwrap()], ..PrefixLists::default() },
        ..running.clone()
    };
    assert_eq!(changed.restart_needed(&running), ["workers", "lists"]);
}

#[test]
fn a_list_that_cannot_be_fetched_is_told() {
    let list = |keys: &str| format!("[sync.lists.bad]\nurls = ['https://lists.example/']\n{keys}");
    parsed(&list("")).unwrap();
    check(
        "[sync.lists.bad]\nscore = 5",
        &["`sync.lists.bad` at line 1 has no `urls`; name the place that it is fetched from"],
    );
    check(
        &list("measure = 'none'"),
        &[
            "`sync.lists.bad.measure` at line 3 is \"none\", by which whoever writes the list could let anybody through; take \"observe\" or harder",
        ],
    );
    check(
        &list("refresh_s = 0"),
        &["`sync.lists.bad.refresh_s` at line 3 is 0, and must be from 1 to 2419200"],
    );
    check(
        &list("score = 1001"),
        &["`sync.lists.bad.score` at line 3 is 1001, and must be from 0 (worst) to 1000 (best)"],
    );
    check(
        &list("form = 'csv'"),
        &["unknown key `sync.lists.bad.form` at line 3: did you mean `sync.lists.bad.from`?"],
    );
    check(&list("from = 'dorp'"), &["`sync.lists.bad.from` at line 3 is \"dorp\": did you mean \"drop\"?"]);
    let plain = "[sync.lists.bad]\nurls = ['http://lists.example/']";
    check(
        plain,
        &[
            "`sync.lists.bad.urls` at line 2 holds \"http://lists.example/\", which is not encrypted, and anybody on the way could change it; take https, or set `sync.plain_http = true`",
        ],
    );
    parsed(&format!("sync.plain_http = true\n{plain}")).unwrap();
    let told = mistakes("[sync.lists.'../etc']\nurls = ['https://lists.example/']");
    assert!(told[0].contains("is no name for a list"), "{told:?}");
    let many: String =
        (0..17).map(|n| format!("[sync.lists.l{n}]\nurls = ['https://lists.example/']\n")).collect();
    assert_eq!(mistakes(&many), ["`sync` at line 1 names 17 lists, and 16 are the most"]);
}

#[test]
fn a_feed_that_cannot_be_followed_is_told() {
    let world = "5f".repeat(32);
    let feed = |keys: &str| format!("[sync]\nurl = 'https://platform.example/'\nworld = '{world}'\n{keys}");
    let plan = parsed(&feed("mirrors = ['https://mirror.example/a/']")).unwrap().sync.feed().unwrap();
    assert_eq!((plan.mirrors.len(), plan.pinned.origin), (2, format!("credence/{world}")));
    check(
        "[sync]\nurl = 'https://platform.example'",
        &[
            "`sync.world` is missing; give the hash of the world's trust root, 64 hexadecimal digits, which the platform's members publish",
        ],
    );
    check(
        &feed("bus = \"nats://me:secret@bus.example\""),
        &[
            "`sync.bus` at line 4 names what is another host, to which nothing is encrypted; write tls://, let a leaf node on this one connect there, or set `sync.plain_http = true`",
        ],
    );
    check(
        &feed("bus = \"tls://bus.example\""),
        &[
            "`sync.bus` at line 4 names what has to show a certificate; name a file with those of its authorities in `sync.bus_ca`",
        ],
    );
    check(&feed("witness_quorum = 1"), &["`sync.witness_quorum` at line 4 is 1, and `witnesses` names 0"]);
    check(&feed("epoch = 0"), &["`sync.epoch` at line 4 is 0, and epochs of a log begin with 1"]);
    check(&feed("refresh_s = 0"), &["`sync.refresh_s` at line 4 is 0, and must be from 1 to 2419200"]);
    check(
        &feed("mirrors = ['ftp://mirror.example']"),
        &["`sync.mirrors` at line 4 holds \"ftp://mirror.example\", which is neither https nor http"],
    );
    let told = mistakes(&feed("witnesses = ['nobody']"));
    assert!(told[0].ends_with("holds \"nobody\": a witness is written NAME+NUMBER+KEY"), "{told:?}");
    let told = mistakes("[sync.lists.feed]\nurls = ['https://lists.example/']");
    assert!(told[0].contains("is no name for a list"), "{told:?}");
}

#[test]
fn mistakes_name_their_file() {
    let told = parsed("interfce = 'a'").unwrap_err().to_string();
    assert_eq!(told, "gateway.toml: unknown key `interfce` at line 1: did you mean `interface`?");
    let told = parsed("a = 1\nb = 2").unwrap_err().to_string();
    assert!(told.starts_with("gateway.toml has 2 mistakes:\n  unknown key `a` at line 1: "), "{told}");
    let told = Config::read(Path::new("/no/such/file.toml")).unwrap_err().to_string();
    assert!(told.starts_with("/no/such/file.toml: cannot be read: "), "{told}");
}

/// Whatever is cut out of, doubled in or put into a configuration, it is read or refused; and what is read is sound.
#[test]
fn mutilated_configurations_are_read_or_refused() {
    let text = include_str!("../../../../deploy/credence.toml");
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with("# ")).collect();
    let text = lines.join("\n").replace("#:", "");
    let mut read = 0;
    for at in (0..text.len()).filter(|at| text.is_char_boundary(*at)) {
        let (before, after) = text.split_at(at);
        for put in ["", "\"", "[", "=", "\n", "x", "-1", "99999999999999999999", "\u{2028}"] {
            for rest in [after, after.get(1..).unwrap_or_default(), after.get(7..).unwrap_or_default()] {
                let Ok(config) = parsed(&format!("{before}{put}{rest}")) else { continue };
                assert!(config.unsound(CORES).is_empty());
                read += 1;
            }
        }
    }
    assert!(read > text.len(), "{read} of these were sound");
}

/// The file that is delivered says what the defaults are; this holds it to that.
#[test]
fn the_example_names_every_key_with_its_default() {
    let text = include_str!("../../../../deploy/credence.toml");
    let example = parsed(text).unwrap();
    let expected = Config { interface: Some("eth0".to_owned()), ..Config::default() };
    assert_eq!(example, expected, "the example as it stands is the default");
    let whole: String =
        text.lines().map(|line| format!("{}\n", line.strip_prefix("#:").unwrap_or(line))).collect();
    let table: toml::Table = toml::from_str(&whole).unwrap();
    let known = toml::Table::try_from(Config {
        interface: Some(String::new()),
        alerts: Alerts { path: Some(PathBuf::new()), ..Alerts::default() },
        enforce: Enforce { other_leg: Some(String::new()), ..Enforce::default() },
        credit: Credit { exceptions: Some(PathBuf::new()), ..Credit::default() },
        control: Control { socket: Some(PathBuf::new()) },
        sandbox: Sandbox { user: Some(String::new()), ..Sandbox::default() },
        sync: Sync {
            url: Some(String::new()),
            world: Some(String::new()),
            bus: Some(String::new()),
            bus_ca: Some(PathBuf::new()),
            lists: BTreeMap::from([(
                "drop_v6".to_owned(),
                List { complaints: Some(String::new()), ..List::default() },
            )]),
            outbox: Outbox { key: Some(PathBuf::new()), ..Outbox::default() },
            seat: Some(Seat { key: Some(PathBuf::new()), ..Seat::default() }),
            ..Sync::default()
        },
        ..Config::default()
    })
    .unwrap();
    assert_eq!(keys(&table), keys(&known));
    parsed(&whole).unwrap();
}

/// The paths of all keys.
fn keys(table: &toml::Table) -> Vec<String> {
    let mut paths = Vec::new();
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => paths.extend(keys(inner).iter().map(|path| format!("{key}.{path}"))),
            _ => paths.push(key.clone()),
        }
    }
    paths.sort();
    paths
}
