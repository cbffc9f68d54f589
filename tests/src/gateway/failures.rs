//! What happens to traffic when something fails: for every condition, every word of `enforce.on_failure`, and whether verdicts
//! are carried out (`on`) or only counted (`dry_run`), with traffic running.
//!
//! | condition | open, static, closed when `on` | open, static, closed in a `dry_run` | counted by |
//! |---|---|---|---|
//! | engine gone | `enforce::an_engine_that_is_gone_…_when_open`, `…_when_closed`, `enforce::a_static_gateway_…` | [`an_engine_that_hangs_does_to_traffic_what_the_operator_chose`] | `credence_enforce_packets_total{reason="failed"}` |
//! | engine that hangs | [`an_engine_that_hangs_does_to_traffic_what_the_operator_chose`] | the same | the same |
//! | worker that stands still | [`a_worker_that_stands_still_does_to_traffic_what_the_operator_chose`] | the same | that, and `credence_enforce_condition` |
//! | data too old | [`data_that_is_too_old_does_to_traffic_what_the_operator_chose`] | the same | the same |
//! | data gone | [`data_that_is_gone_does_to_traffic_what_the_operator_chose`] | the same | the same |
//!
//! What else can be too much has one answer each, whoever enforces, since the kernel judges every packet by itself:
//!
//! | condition | what happens | tests | counted by |
//! |---|---|---|---|
//! | flow table full | `flows.when_full`: an unconfirmed flow makes room, or the packet is scored without its flow | `credence_flow`'s `table_tests::capacity`, `credence_engine`'s `a_full_table_…` | `credence_flows_evicted_total`, `credence_flows_refused_packets_total` |
//! | datagrams in pieces | the oldest is forgotten | `credence_flow`'s `a_full_table_forgets_its_oldest_datagram_…` | `credence_datagrams_displaced_total` |
//! | malformed | `enforce.unknown_chain` | `credence_wire`, and in the kernel `what_promises_ipv6_and_cannot_be_read_…` of `credence_enforce` | `credence_malformed_packets_total`, `credence_enforce_packets_total{reason="unknown"}` |
//! | more headers than are walked | `enforce.unknown_chain` | `headers_beyond_the_limit_…` there | `credence_enforce_packets_total{reason="unknown"}` |
//! | ring full | shed by the reader, or lost by the kernel | `overload` | `credence_shed_packets_total`, `credence_kernel_drops_total` |

use std::path::Path;
use std::thread;
use std::time::Duration;

use super::frozen::Frozen;
use super::live::Site;
use super::network::{CLIENT, Client, WAN, between, now};
use super::running::{Running, wait_for};
use super::traffic::{Arrivals, LISTED, MANAGEMENT, PROMISED, did, list, mount_bpf, send, site};
use crate::binary::run;

/// The words of `enforce.on_failure`.
const MODES: [&str; 3] = ["open", "static", "closed"];

/// What is left of a program that outlives its process.
const PINNED: &str = "/sys/fs/bpf/credence/wan";

/// How long a mode is looked at.
const LOOKED_AT: Duration = Duration::from_millis(300);

/// Something that goes wrong.
struct Case {
    /// The key of `enforce.on_failure`.
    condition: &'static str,
    /// What the section `[enforce]` says besides.
    keys: &'static str,
    /// Lets it go wrong; what keeps it so, if that has to be held.
    bring: fn(&Site, &Running) -> Option<Frozen>,
    /// Mends it, once nothing keeps it so.
    mend: fn(&Site, &Running),
}

impl Case {
    /// Looks at what each mode makes of the traffic, until it is mended.
    fn check(&self, client: &Client) {
        mount_bpf();
        let arrivals = Arrivals::noted();
        for enforced in ["on", "dry_run"] {
            for mode in MODES {
                let _playing = client.begin();
                self.check_mode(enforced, mode, &arrivals);
            }
        }
    }

    fn check_mode(&self, enforced: &str, mode: &str, arrivals: &Arrivals) {
        let Self { condition, keys, .. } = self;
        let mut keys = format!("{keys}\non_failure.{condition} = \"{mode}\"\n");
        if *condition != "engine_down" {
            // A machine so busy that no sign of life comes in time must not decide what is seen.
            keys += "on_failure.engine_down = \"static\"\n";
        }
        keys += "[control]\nsocket = \"DIR/door\"";
        let site = site(&format!("mode = \"{enforced}\"\n{keys}"), "1d");
        let what = format!("{condition}, {mode}, {enforced}");
        let mut running = site.start();
        let well = [true, enforced == "dry_run", true];
        passes(arrivals, well, &what);
        let began = now();
        let kept = (self.bring)(&site, &running);
        self.is_told(&mut running);
        println!("{what}: told after {} ms", began.elapsed().as_millis());
        passes(
            arrivals,
            match (enforced, mode) {
                ("dry_run", _) | (_, "open") => [true, true, true],
                (_, "static") => [true, false, true],
                _ => [false, false, true],
            },
            &what,
        );
        drop(kept);
        (self.mend)(&site, &running);
        becomes(&mut running, "well");
        passes(arrivals, well, &what);
        if mode == "static" || enforced == "dry_run" {
            assert_eq!(arrivals.lost(CLIENT, began), 0, "{what}: nobody else is held up");
        }
        if mode == "static" && enforced == "on" {
            assert_eq!(arrivals.since(LISTED, began).len(), 0, "{what}: nobody slips through");
        }
        match mode {
            "open" => assert!(did(&mut running, "pass", "failed") > 0, "{what}"),
            "closed" => assert!(did(&mut running, "drop", "failed") > 0, "{what}"),
            _ => {}
        }
        running.signal("TERM");
        running.end().expect(0);
        if Path::new(PINNED).exists() {
            run(["detach", WAN]).expect(0);
        }
    }

    /// Waits until the kernel knows. An engine that hangs cannot say so.
    fn is_told(&self, running: &mut Running) {
        match self.condition {
            "engine_down" => thread::sleep(PROMISED),
            condition => becomes(running, condition),
        }
    }
}

/// Requires that within a while the client, the listed source and management come to pass as expected, and then do.
#[track_caller]
fn passes(arrivals: &Arrivals, expected: [bool; 3], what: &str) {
    let mut found = [false; 3];
    let settled = wait_for(|| {
        let since = now();
        thread::sleep(LOOKED_AT);
        found = [CLIENT, LISTED, MANAGEMENT].map(|source| !arrivals.since(source, since).is_empty());
        (found == expected).then_some(())
    });
    assert!(settled.is_some(), "{what}: the client, the listed source and management pass: {found:?}");
}

/// Waits until the kernel was told of a condition.
fn becomes(running: &mut Running, condition: &str) {
    let name = format!("credence_enforce_condition{{condition=\"{condition}\"}}");
    running.metrics_when(|numbers| numbers[&name] == 1);
}

/// Lets a gateway read the list anew that it began with, and lets that take effect should it wait for the operator: whom it
/// hits again was let through a moment ago.
fn list_again(site: &Site, running: &Running) {
    list(site, &[LISTED, MANAGEMENT], "1d");
    running.signal("HUP");
    let door = site.path("door");
    let done = wait_for(|| {
        let said = running.stderr();
        let waits = said.contains("wait for `credence control accept`");
        (waits || said.matches("all is well again").count() > 0).then_some(waits)
    });
    if done == Some(true) {
        run(["control", "--socket", &door, "accept"]).expect(0);
    }
}

#[test]
fn an_engine_that_hangs_does_to_traffic_what_the_operator_chose() {
    let case = Case {
        condition: "engine_down",
        keys: "",
        bring: |_, running| {
            running.signal("STOP");
            None
        },
        mend: |_, running| running.signal("CONT"),
    };
    between(
        "gateway::failures::an_engine_that_hangs_does_to_traffic_what_the_operator_chose",
        |client| case.check(client),
        send,
    );
}

#[test]
fn a_worker_that_stands_still_does_to_traffic_what_the_operator_chose() {
    let case = Case {
        condition: "worker_stuck",
        keys: "",
        bring: |_, running| Some(Frozen::thread(running, "credence-engine")),
        mend: |_, _| {},
    };
    between(
        "gateway::failures::a_worker_that_stands_still_does_to_traffic_what_the_operator_chose",
        |client| case.check(client),
        send,
    );
}

#[test]
fn data_that_is_too_old_does_to_traffic_what_the_operator_chose() {
    let case = Case {
        condition: "data_stale",
        // Long enough to be fresh while the gateway starts.
        keys: "data_stale_after_s = 4",
        bring: |_, _| None,
        mend: list_again,
    };
    between(
        "gateway::failures::data_that_is_too_old_does_to_traffic_what_the_operator_chose",
        |client| case.check(client),
        send,
    );
}

#[test]
fn data_that_is_gone_does_to_traffic_what_the_operator_chose() {
    let case = Case {
        condition: "data_absent",
        keys: "",
        bring: |site, running| {
            list(site, &[], "1d");
            running.signal("HUP");
            None
        },
        mend: list_again,
    };
    between(
        "gateway::failures::data_that_is_gone_does_to_traffic_what_the_operator_chose",
        |client| case.check(client),
        send,
    );
}
