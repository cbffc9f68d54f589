//! What happens to traffic while the engine lives and something is wrong: a worker that stands still, data that is too old,
//! data that is gone. Each for every word that `enforce.on_failure` has, with traffic running.

use std::thread;
use std::time::Duration;

use super::frozen::Frozen;
use super::live::Site;
use super::network::{CLIENT, Client, between, now};
use super::running::{Running, sum, wait_for};
use super::traffic::{Arrivals, LISTED, MANAGEMENT, PROMISED, list, send, site};
use crate::binary::run;

/// The words of `enforce.on_failure`.
const MODES: [&str; 3] = ["open", "static", "closed"];

/// How long a mode is looked at.
const LOOKED_AT: Duration = Duration::from_millis(300);

/// Something that goes wrong.
struct Case {
    /// What the kernel is told then.
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
        let arrivals = Arrivals::noted();
        let _playing = client.begin();
        for mode in MODES {
            self.check_mode(mode, &arrivals);
        }
    }

    fn check_mode(&self, mode: &str, arrivals: &Arrivals) {
        let Self { condition, keys, .. } = self;
        let keys = format!("{keys}\non_failure.{condition} = \"{mode}\"\n[control]\nsocket = \"DIR/door\"");
        let site = site(&format!("mode = \"on\"\n{keys}"), "1d");
        let mut running = site.start();
        arrivals.last(LISTED, now());
        arrivals.first(CLIENT, now());
        // A thread that has not begun yet does not stand still.
        running.metrics_when(|numbers| sum(numbers, "credence_received_packets_total") > 0);
        let began = now();
        let kept = (self.bring)(&site, &running);
        becomes(&mut running, condition);
        println!("{condition}, {mode}: told after {} ms", began.elapsed().as_millis());
        // The page is made before the kernel has looked at its next packet.
        thread::sleep(PROMISED);
        let told = now();
        thread::sleep(LOOKED_AT);
        let passes = [CLIENT, LISTED, MANAGEMENT].map(|source| !arrivals.since(source, told).is_empty());
        let expected = match mode {
            "open" => [true, true, true],
            "static" => [true, false, true],
            _ => [false, false, true],
        };
        assert_eq!(passes, expected, "{condition}, {mode}: the client, the listed source, management");
        drop(kept);
        (self.mend)(&site, &running);
        becomes(&mut running, "well");
        arrivals.last(LISTED, now());
        arrivals.first(CLIENT, now());
        if mode == "static" {
            assert_eq!(arrivals.lost(CLIENT, began), 0, "{condition}: nobody else is held up");
            assert_eq!(arrivals.since(LISTED, began).len(), 0, "{condition}: nobody slips through");
        }
        running.signal("TERM");
        running.end().expect(0).told(&["all is well again"]);
    }
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
        keys: "data_stale_after_s = 5",
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
