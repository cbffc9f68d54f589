//! Gateways that end while they put in force what a feed or a list says, and what the next ones do.

use std::fs;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use credence_credit::{Measure, Score};
use credence_platform::example::{CAMPUS, VISITORS};
use credence_prefix::Prefix;

use super::fed::Alliance;
use super::following::{Publisher, drop_list};
use super::frozen::Frozen;
use super::live::Site;
use super::network::{between, now};
use super::running::{Running, wait_for};
use super::traffic::LISTED;

/// From the start of a gateway to what was in force before.
const PROMISED: Duration = Duration::from_secs(10);

/// A gateway, and the file in which it stands what was offered to gateways that did not answer.
struct Stage {
    site: Site,
    tried: PathBuf,
}

impl Stage {
    /// How many gateways have not answered; 0 where all have.
    fn silent(&self) -> u8 {
        // Behind the root of what was offered and the number of a gateway.
        fs::read(&self.tried).map_or(0, |bytes| bytes[43])
    }

    /// Waits until so many gateways have not answered.
    #[track_caller]
    fn awaits_silent(&self, gateways: u8) {
        let found = wait_for(|| (self.silent() == gateways).then_some(()));
        assert!(found.is_some(), "{} gateways have not answered", self.silent());
    }

    /// Starts a gateway that stands still before it can look at anything that is offered: as soon as it has started who offers it,
    /// which has yet to become another program.
    #[track_caller]
    fn start_frozen(&self) -> (Running, Frozen) {
        let running = Running::start(["run", "--config", &self.site.path("gateway.toml")]);
        let (pid, began) = (running.pid(), now());
        let children = format!("/proc/{pid}/task/{pid}/children");
        while fs::read_to_string(&children).expect("the gateway runs").is_empty() {
            assert!(began.elapsed() < PROMISED, "nobody fetches");
        }
        let frozen = Frozen::thread(&running, "credence");
        (running, frozen)
    }
}

/// Waits until so many records of a source are in force.
#[track_caller]
fn awaits(running: &mut Running, source: &str, records: u64) {
    let name = format!("credence_sync_records{{source=\"{source}\"}}");
    running.metrics_when(|numbers| numbers.get(&name) == Some(&records));
}

/// What a source says of which two gateways end is put in force by no third one: that begins with the `records` before, stays with them,
/// and says why. `more` has the source say one record more.
fn two_end_and_a_third_goes_on(stage: &Stage, source: &str, records: u64, more: impl FnOnce()) {
    let mut running = stage.site.start();
    awaits(&mut running, source, records);
    stage.awaits_silent(0);
    let frozen = Frozen::thread(&running, "credence");
    more();
    stage.awaits_silent(1);
    running.signal("KILL");
    drop((frozen, running));
    let (running, frozen) = stage.start_frozen();
    stage.awaits_silent(2);
    running.signal("KILL");
    drop((frozen, running));
    let refused = format!("credence_sync_refusals_total{{reason=\"quarantined\",source=\"{source}\"}}");
    for _ in 0..2 {
        let began: Instant = now();
        let mut running = stage.site.start();
        awaits(&mut running, source, records);
        assert!(began.elapsed() < PROMISED, "{:?}", began.elapsed());
        running.metrics_when(|numbers| numbers[&refused] == 1);
        thread::sleep(Duration::from_secs(1));
        awaits(&mut running, source, records);
        assert_eq!((stage.silent(), running.metrics()[&refused]), (2, 1));
        running.signal("TERM");
        running.end().expect(0);
    }
    // The operator knows what it was, and has mended it.
    fs::remove_file(&stage.tried).unwrap();
    let mut running = stage.site.start();
    awaits(&mut running, source, records + 1);
    stage.awaits_silent(0);
    running.signal("TERM");
    running.end().expect(0);
}

/// The platform is as good as ever, and its signatures are right.
#[test]
fn what_two_gateways_ended_of_is_offered_to_no_third_one() {
    between(
        "gateway::quarantine::what_two_gateways_ended_of_is_offered_to_no_third_one",
        |_| {
            let mut alliance = Alliance::start();
            let site = Site::new(&alliance.followed());
            let tried = PathBuf::from(site.path("state/feed/tried"));
            let stage = Stage { site, tried };
            let mut alert = |number: u128| {
                let subject = Prefix::containing(VISITORS.first() | number << 80, 48);
                let said = (Measure::RateLimit, Score::new(400).unwrap());
                alliance.submit(|parties, now| parties.alert(CAMPUS, subject, said, now))
            };
            alert(0);
            two_end_and_a_third_goes_on(&stage, "feed", 1, || {
                alert(1);
            });
        },
        || {},
    );
}

#[test]
fn a_copy_of_a_list_that_two_gateways_ended_of_is_offered_to_no_third_one() {
    between(
        "gateway::quarantine::a_copy_of_a_list_that_two_gateways_ended_of_is_offered_to_no_third_one",
        |_| {
            let publisher = Publisher::start();
            publisher.says(drop_list(&[]));
            let site = Site::new(&publisher.followed());
            let tried = PathBuf::from(site.path("state/lists/bad.tried"));
            two_end_and_a_third_goes_on(&Stage { site, tried }, "bad", 30, || {
                publisher.says(drop_list(&[LISTED]));
            });
        },
        || {},
    );
}
