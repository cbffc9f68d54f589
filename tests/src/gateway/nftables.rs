//! Verdicts carried out by nftables where XDP cannot be had, with traffic running.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use credence_credit::guard::NeverBlock;
use credence_credit::{Cache, Guards, Measure, file};

use super::enforce::scan;
use super::live::Site;
use super::network::{CLIENT, GATEWAY, WAN, between, ip, now};
use super::running::{sum, wait_for};
use super::traffic::{Arrivals, LISTED, MANAGEMENT, did, list, list_for, send};
use crate::binary::run;

/// What rules can do when something fails.
const STATIC: &str = "on_failure = { engine_down = \"static\", worker_stuck = \"static\", data_stale = \"static\", \
                      data_absent = \"static\" }";

/// A gateway that drops what two sources send, and spares one of them.
fn site(keys: &str) -> Site {
    let site = Site::new(&format!(
        "workers = 1\nlists.never_block = [\"{MANAGEMENT}\"]\ncredit.snapshots = [\"DIR/deny\"]\n\
         [enforce]\n{STATIC}\n{keys}\n"
    ));
    list(&site, &[LISTED, MANAGEMENT], "1d");
    site
}

/// What the kernel has of tables of nftables.
fn tables() -> String {
    let output = Command::new("nft").args(["list", "tables"]).output().expect("nft is there");
    assert!(output.status.success());
    String::from_utf8(output.stdout).unwrap()
}

/// What `credence control` answers.
fn control(site: &Site, word: &str) -> String {
    run(["control", "--socket", &site.path("door"), word]).expect(0).stdout
}

#[test]
fn listed_sources_are_dropped_and_nobody_else() {
    between("gateway::nftables::listed_sources_are_dropped_and_nobody_else", lists_act, send);
}

fn lists_act(client: &super::network::Client) {
    let site = site("mode = \"on\"\ncarrier = \"nftables\"\n[control]\nsocket = \"DIR/door\"");
    let arrivals = Arrivals::noted();
    let _playing = client.begin();
    arrivals.first(LISTED, now());
    let mut running = site.start();
    running.hears("enforcing on wan by nftables");
    arrivals.last(LISTED, now());
    let began = now();
    arrivals.first(CLIENT, began);
    arrivals.first(MANAGEMENT, began);
    let numbers = running.metrics_when(|numbers| {
        numbers["credence_enforce_packets_total{reason=\"listed\",verdict=\"drop\"}"] > 100
    });
    assert_eq!(numbers["credence_enforce_info{carrier=\"nftables\",mode=\"on\",stand=\"router\"}"], 1);
    assert_eq!(sum(&numbers, "credence_enforce_failures_total"), 0);
    let told = control(&site, "status");
    assert!(told.contains("on by nftables") && !told.contains(" 0 packets to be dropped"), "{told}");
    // A list without the source, read again with traffic running.
    list(&site, &["2001:db8:99::1"], "1d");
    let reloaded = now();
    running.signal("HUP");
    arrivals.first(LISTED, reloaded);
    let heard = arrivals.since(CLIENT, began);
    let lost = heard.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).sum::<u64>();
    assert_eq!(lost, 0, "an exchange loses no packet of others");
    // It is a recent flow by now, one of three.
    list(&site, &[LISTED], "1d");
    running.signal("HUP");
    running.hears("wait for `credence control accept`");
    control(&site, "accept");
    arrivals.last(LISTED, now());
    running.signal("TERM");
    running.end().expect(0);
}

#[test]
fn a_dry_run_counts_and_drops_nothing() {
    between(
        "gateway::nftables::a_dry_run_counts_and_drops_nothing",
        |client| {
            let site = site("mode = \"dry_run\"\ncarrier = \"nftables\"");
            let arrivals = Arrivals::noted();
            let mut running = site.start();
            let _playing = client.begin();
            let began = now();
            arrivals.first(LISTED, began);
            let counted = wait_for(|| (did(&mut running, "drop", "listed") > 100).then_some(()));
            assert!(counted.is_some());
            assert!(arrivals.since(LISTED, began).len() > 100);
            running.signal("TERM");
            running.end().expect(0).told(&["nothing is held up"]);
        },
        send,
    );
}

#[test]
fn a_dead_engine_leaves_the_rules_and_each_record_ends_at_its_time() {
    between(
        "gateway::nftables::a_dead_engine_leaves_the_rules_and_each_record_ends_at_its_time",
        |client| {
            let site = site("mode = \"on\"\ncarrier = \"nftables\"");
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            let running = site.start();
            arrivals.last(LISTED, now());
            let began = now();
            running.signal("KILL");
            drop(running);
            thread::sleep(Duration::from_millis(600));
            assert_eq!(arrivals.since(LISTED, began).len(), 0, "nobody is let through by a dead engine");
            // The next engine takes the place of the last, with records that end soon.
            list(&site, &[LISTED], "6s");
            let ends = now() + Duration::from_secs(6);
            let running = site.start();
            assert_eq!(tables().matches("credence/wan/").count(), 1, "the old rules are gone: {}", tables());
            assert_eq!(arrivals.since(LISTED, began).len(), 0, "nobody slips through between the two");
            let heard = arrivals.since(CLIENT, began);
            let lost = heard.windows(2).map(|pair| pair[1].1 - pair[0].1 - 1).sum::<u64>();
            assert_eq!(lost, 0, "and nobody is held up");
            running.signal("KILL");
            drop(running);
            let first = arrivals.first(LISTED, began);
            let off = first.max(ends) - first.min(ends);
            println!("a record ended {off:?} off its time, with the engine dead");
            assert!(off < Duration::from_secs(3), "{off:?} off the second at which the record ends");
            assert!(tables().contains("credence/wan/"));
            run(["detach", WAN]).expect(0).told(&["nothing is enforced any more"]);
            assert!(!tables().contains("credence"), "{}", tables());
            run(["detach", WAN]).expect(0).told(&["no program was left", "no rules of nftables"]);
        },
        send,
    );
}

#[test]
fn a_carrier_that_is_gone_is_told_and_leaves_the_rules() {
    between(
        "gateway::nftables::a_carrier_that_is_gone_is_told_and_leaves_the_rules",
        |client| {
            let site = site("mode = \"on\"\ncarrier = \"nftables\"");
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            let mut running = site.start();
            arrivals.last(LISTED, now());
            let began = now();
            let children = format!("/proc/{0}/task/{0}/children", running.pid());
            let carrier = fs::read_to_string(children).unwrap();
            assert!(Command::new("kill").args(["-KILL", carrier.trim()]).status().unwrap().success());
            running.metrics_when(|numbers| sum(numbers, "credence_enforce_failures_total") > 0);
            running.hears("the rules stay as they are until a restart");
            list(&site, &["2001:db8:99::1"], "1d");
            running.signal("HUP");
            running.hears("the old ones stay");
            arrivals.first(CLIENT, now());
            assert_eq!(arrivals.since(LISTED, began).len(), 0);
            running.signal("TERM");
            running.end().expect(0);
        },
        send,
    );
}

#[test]
fn a_limited_subject_gets_its_rate_and_the_portal_hears_the_blocked() {
    between(
        "gateway::nftables::a_limited_subject_gets_its_rate_and_the_portal_hears_the_blocked",
        |client| {
            let keys =
                "mode = \"on\"\ncarrier = \"nftables\"\nlisted_kbit_per_s = 80\nportal_kbit_per_s = 80";
            let site = site(keys);
            list_for("rate_limit", &site, &[LISTED], "1d");
            let arrivals = Arrivals::noted();
            let mut running = site.start();
            let _playing = client.begin();
            let began = now();
            // Datagrams of 56 bytes each millisecond are 448 kbit/s, of which the first 64 KiB pass and then 80 kbit/s.
            let counted = wait_for(|| (did(&mut running, "rate_limit", "listed") > 500).then_some(()));
            assert!(counted.is_some());
            let (limited, free) = (arrivals.since(LISTED, began).len(), arrivals.since(CLIENT, began).len());
            assert!(limited < free * 9 / 10, "{limited} of {free}");
            assert!(did(&mut running, "pass", "within_rate") > 1_000);
            running.signal("TERM");
            running.end().expect(0);
            // The gateway is now where the blocked complain, and whoever is listed is blocked.
            list(&site, &[LISTED], "1d");
            site.configure(&format!(
                "workers = 1\nlists.portals = [\"{GATEWAY}\"]\ncredit.snapshots = [\"DIR/deny\"]\n[enforce]\n{STATIC}\n{keys}\n"
            ));
            let heard = now();
            let mut running = site.start();
            arrivals.first(LISTED, heard);
            let counted = wait_for(|| (did(&mut running, "pass", "heard") > 100).then_some(()));
            assert!(counted.is_some());
            running.signal("TERM");
            running.end().expect(0);
        },
        send,
    );
}

#[test]
fn a_source_that_misbehaves_is_limited_by_the_kernel() {
    between(
        "gateway::nftables::a_source_that_misbehaves_is_limited_by_the_kernel",
        |client| {
            // Rungs so high that a scan reaches them in any case.
            let ladder = "observe_below = 590\nmark_below = 580\nrate_limit_below = 570";
            let keys = format!("mode = \"on\"\ncarrier = \"nftables\"\nbehaviour_kbit_per_s = 1\n{STATIC}");
            let site = Site::new(&format!(
                "workers = 1\ncontrol.socket = \"DIR/door\"\n[policy.ladder]\n{ladder}\n[enforce]\n{keys}\n"
            ));
            let mut running = site.start();
            let _playing = client.begin();
            let limited = "credence_enforce_packets_total{reason=\"behaviour\",verdict=\"rate_limit\"}";
            let numbers = running.metrics_when(|numbers| numbers[limited] > 0);
            assert!(sum(&numbers, "credence_opinions_total") > 0);
            // In an emergency its pace is another, and back.
            run(["control", "--socket", &site.path("door"), "emergency", "--for", "1h"]).expect(0);
            run(["control", "--socket", &site.path("door"), "calm"]).expect(0);
            let before = numbers[limited];
            let numbers = running.metrics_when(|numbers| numbers[limited] > before);
            assert_eq!(sum(&numbers, "credence_enforce_untold_opinions_total"), 0);
            assert_eq!(sum(&numbers, "credence_enforce_failures_total"), 0, "{}", running.stderr());
            running.signal("TERM");
            running.end().expect(0);
        },
        || (0..20).for_each(|_| scan()),
    );
}

#[test]
fn what_nftables_cannot_do_is_told_and_what_it_can_it_does_where_xdp_is_refused() {
    between(
        "gateway::nftables::what_nftables_cannot_do_is_told_and_what_it_can_it_does_where_xdp_is_refused",
        |_| {
            // Frames without a link layer, on which no program for XDP is run.
            ip("tuntap add dev layer3 mode tun");
            ip("link set layer3 up");
            let site = site("mode = \"on\"");
            let config = site.path("gateway.toml");
            let on = |interface: &str| {
                run(["run", "--config", &config, "--interface", interface, "--seconds", "2"])
            };
            on("layer3").expect(0).told(&[
                "not Ethernet",
                "nftables stands in",
                "enforcing on layer3 by nftables",
            ]);
            assert!(tables().contains("credence/layer3/1"), "{}", tables());
            // What stays there makes room for what comes next.
            on("layer3").expect(0);
            assert!(!tables().contains("credence/layer3/1"), "{}", tables());
            run(["detach", "layer3"]).expect(0).told(&["nothing is enforced any more"]);
            site.configure("[enforce]\nmode = \"on\"\ncarrier = \"xdp\"\n");
            on("layer3").expect(3).told(&["not Ethernet"]);
            site.configure("[enforce]\nmode = \"on\"\nunknown_chain = \"drop\"\n");
            on("layer3").expect(3).told(&[
                "not Ethernet",
                "nor can nftables stand in",
                "`enforce.on_failure.engine_down` is \"open\"",
                "must be \"static\"",
                "`enforce.unknown_chain`",
            ]);
            site.configure("[enforce]\nmode = \"on\"\ncarrier = \"nftables\"\n");
            on(WAN).expect(1).told(&["enforce.on_failure.worker_stuck", "must be \"static\""]);
            let bridge = format!("stand = \"bridge\"\nother_leg = \"eth1\"\n{STATIC}");
            site.configure(&format!("[enforce]\nmode = \"on\"\ncarrier = \"nftables\"\n{bridge}\n"));
            on(WAN).expect(1).told(&["enforce.stand", "takes XDP"]);
            assert!(!tables().contains("credence"), "{}", tables());
        },
        || {},
    );
}

#[test]
fn two_gateways_on_one_interface_are_told_apart_and_xdp_takes_the_place_of_rules() {
    between(
        "gateway::nftables::two_gateways_on_one_interface_are_told_apart_and_xdp_takes_the_place_of_rules",
        |client| {
            let site = site("mode = \"on\"\ncarrier = \"nftables\"");
            let running = site.start();
            let second = run(["run", "--config", &site.path("gateway.toml"), "--seconds", "1"]);
            second.expect(3).told(&["another credence holds wan"]);
            run(["detach", WAN]).expect(3).told(&["another credence holds wan"]);
            running.signal("TERM");
            running.end().expect(0);
            assert!(tables().contains("credence/wan/1"), "a second one harms nothing: {}", tables());
            site.configure("workers = 1\ncredit.snapshots = [\"DIR/deny\"]\n[enforce]\nmode = \"on\"\n");
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            let running = site.start();
            arrivals.first(CLIENT, now());
            arrivals.last(LISTED, now());
            assert!(!tables().contains("credence"), "{}", tables());
            running.signal("TERM");
            running.end().expect(0);
            arrivals.first(LISTED, now());
        },
        send,
    );
}

/// What the kernel's map says of an address: the name of the chain, or nothing.
fn asked_of_kernel(address: u128) -> Option<String> {
    let address = std::net::Ipv6Addr::from_bits(address);
    let element = format!("{{ {address} }}");
    let arguments = ["get", "element", "ip6", "credence/wan/1", "listed_1", &element];
    let output = Command::new("nft").args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    let chain = told.split("goto ").nth(1)?.split_whitespace().next()?;
    output.status.success().then(|| chain.to_owned())
}

#[test]
fn the_kernel_says_of_every_edge_what_the_cache_says() {
    between(
        "gateway::nftables::the_kernel_says_of_every_edge_what_the_cache_says",
        |_| {
            let site = Site::new(&format!(
                "workers = 1\ncredit.snapshots = [\"DIR/drop\", \"DIR/observe\", \"DIR/none\"]\n\
                 [enforce]\nmode = \"on\"\ncarrier = \"nftables\"\n{STATIC}\n"
            ));
            // Neighbours, nests and hosts.
            let lists = [
                ("drop", "2a00:1::/32\n2a00:2::/32\n2a00:3:0:1::/64\n2a00:3:0:2::/64\n2a00:4::1/128\n"),
                ("observe", "2a00:1:5::/48\n2a00:3:0:3::/64\n2a00:3::/48\n2a00:4::2/127\n"),
                ("none", "2a00:1:5:6::/64\n2a00:2::/33\n2a00:3:0:2::7/128\n"),
            ];
            for (measure, prefixes) in lists {
                let from = site.path("list.txt");
                fs::write(&from, prefixes).unwrap();
                let to = site.path(measure);
                let import = ["credit", "import", "--from", "cidr", &from, "-o", &to, "--score", "50"];
                run(import.into_iter().chain(["--measure", measure, "--expires", "1d"])).expect(0);
            }
            let snapshots = lists.map(|(name, _)| file::read(Path::new(&site.path(name))).unwrap());
            let cache = Cache::build(snapshots.into(), &Guards::new(NeverBlock::new([]))).unwrap();
            let running = site.start();
            let mut dropped = 0;
            for (_, record) in cache.iter() {
                let (first, last) = (record.prefix.first(), record.prefix.last());
                for address in [first, last, first - 1, last + 1] {
                    let ruling = cache.effective(address, 0).ruling;
                    let expected = ruling.map(|number| match cache.entry(number).allowed() {
                        Measure::Drop => "listed_drop".to_owned(),
                        measure => format!("listed_{}_operators", measure.name()),
                    });
                    dropped += usize::from(expected.as_deref() == Some("listed_drop"));
                    assert_eq!(asked_of_kernel(address), expected, "{address:#034x}");
                }
            }
            assert!(dropped > 10, "{dropped}");
            running.signal("TERM");
            running.end().expect(0);
        },
        || {},
    );
}
