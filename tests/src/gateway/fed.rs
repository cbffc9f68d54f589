//! A gateway that follows the feed of an alert platform: from what members decide to the wire, and back.

use std::fs;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use axum::Router;
use axum::http::StatusCode;
use axum::routing::any;
use credence_credit::{ActId, Measure, Score};
use credence_law::Signed;
use credence_law::acts::Ground;
use credence_law::party::{Function, World};
use credence_platform::complaint::Answered;
use credence_platform::example::{CAMPUS, Parties, Place, VISITORS, make_world};
use credence_platform::keys;
use credence_platform::log::Signer;
use credence_platform::published::{Published, origin};
use credence_platform::serve::{Offices, Platform, Settings, now as unix_s, router};
use credence_platform::store::{Address, Store};
use credence_prefix::Prefix;
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};

use super::live::Site;
use super::network::{CLIENT, between, ip, now};
use super::running::{Running, fetch, wait_for};
use super::traffic::{Arrivals, EVERY, SLACK, send_from};
use crate::binary::run;

/// A source in the network that the example's members act about.
pub(super) const VISITOR: &str = "3fff:200::5";
/// From a decision at the platform to the gateway's cache, with the doorbell.
const PROMISED: Duration = Duration::from_secs(1);

/// An alert platform with an example world, in this process.
pub(super) struct Alliance {
    runtime: Runtime,
    platform: Arc<Platform>,
    parties: Parties,
    address: SocketAddr,
    world: World,
    directory: TempDir,
}

impl Alliance {
    pub(super) fn start() -> Self {
        Self::start_with(|_| {})
    }

    /// The same with other settings.
    pub(super) fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        let directory = TempDir::new().unwrap();
        let place = Place::new(directory.path());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (world, entries) = make_world(&place, unix_s()).unwrap();
        for (number, entry) in entries.iter().enumerate() {
            fs::write(directory.path().join(format!("rule-{number}")), entry.sent.as_ref().unwrap()).unwrap();
        }
        let [operator, executive] =
            [place.operator(), place.executive()].map(|path| keys::read(&path).unwrap());
        let signer = Signer::new(&origin(world, 1), &operator);
        let mut settings = Settings {
            offices: Offices::new(Some(operator), Some(executive)),
            feed: Some(directory.path().join("feed")),
            ..Settings::default()
        };
        change(&mut settings);
        let (platform, address) = runtime.block_on(async {
            let store = Store::open(&Address::of(directory.path()).unwrap()).await.unwrap();
            let mut writer = store.writer().await.unwrap();
            writer.append(&entries).await.unwrap();
            writer.close().await.unwrap();
            let published = Published::new(directory.path());
            let platform = Platform::open(store, world, signer, published, settings).await.unwrap();
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let app = router(Arc::clone(&platform)).into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, app).await });
            (platform, address)
        });
        let parties = Parties::new(place, world, unix_s());
        Self { runtime, platform, parties, address, world, directory }
    }

    /// Where it is served.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The keys by which a gateway follows it.
    pub(super) fn followed(&self) -> String {
        format!(
            "[sync]\nstate = \"DIR/state\"\nurl = \"http://{}\"\nworld = \"{}\"\nallow_example = true\nrefresh_s = 600\n",
            self.address, self.world
        )
    }

    /// The same at a door behind which nobody rings, asked so often.
    pub(super) fn followed_without_bell(&self, each: Duration) -> String {
        let silent = Router::new().route("/feed/events", any(|| async { StatusCode::NOT_FOUND }));
        self.followed_through(each, |platform| silent.fallback_service(platform))
    }

    /// The same through what `before` makes of the platform, asked so often.
    pub(super) fn followed_through(&self, each: Duration, before: impl FnOnce(Router) -> Router) -> String {
        let app = before(router(Arc::clone(&self.platform)));
        let address = self.runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let app = app.into_make_service_with_connect_info::<SocketAddr>();
            tokio::spawn(async move { axum::serve(listener, app).await });
            address
        });
        let asked = format!("refresh_s = {}\n", each.as_secs());
        self.followed()
            .replace(&self.address.to_string(), &address.to_string())
            .replace("refresh_s = 600\n", &asked)
    }

    /// The keys by which a gateway of the fourth member gives account of each ten seconds.
    fn told(&self) -> String {
        let directory = self.directory.path();
        let rules =
            (0..).map(|number| directory.join(format!("rule-{number}"))).take_while(|path| path.exists());
        format!(
            "[sync.outbox]\nrule = \"ask\"\naccounts_s = 10\nplatforms = [\"http://{}\"]\nworld = \"{}\"\nrules = {:?}\nmember = 4\n\
             key = {:?}\n",
            self.address,
            self.world,
            rules.collect::<Vec<_>>(),
            Place::new(directory).member(4, Function::Alerts),
        )
    }

    /// What networks say to have done to a subject.
    fn applied(&self, subject: Prefix) -> Vec<Value> {
        let (status, body) = fetch(self.address, &format!("/subjects/{subject}"));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str::<Value>(&body).unwrap()["applied"].as_array().unwrap().clone()
    }

    #[track_caller]
    pub(super) fn submit(&mut self, make: impl FnOnce(&mut Parties, u64) -> anyhow::Result<Signed>) -> ActId {
        let signed = make(&mut self.parties, unix_s()).unwrap();
        self.runtime.block_on(self.platform.submit(&signed)).unwrap().id
    }

    /// Two reports, an opinion, and a decision to drop what comes from a network.
    pub(super) fn decide(&mut self, subject: Prefix) -> ActId {
        let reports =
            [1, 2].map(|member| (self.submit(|parties, now| parties.report(member, subject, now)), member));
        let opinion = self.submit(|parties, now| parties.opinion(&reports, now));
        let score = Score::new(120).unwrap();
        self.submit(|parties, now| parties.decision(subject, score, (&reports, opinion), now))
    }

    /// Somebody inside the network complains; the relief follows by itself.
    pub(super) fn complain(&self, against: ActId, from: Ipv6Addr) -> ActId {
        let challenge = self.platform.challenge(&against, from).unwrap();
        let answered =
            Answered { challenge: &challenge.text, from, ground: Ground::Error, commitment: [5; 32] };
        self.runtime.block_on(self.platform.complain(&answered)).unwrap()
    }
}

/// Waits until the gateway says that so many records of the feed are in force; how long that took.
#[track_caller]
pub(super) fn awaits(running: &mut Running, metric: &str, value: u64, since: Instant) -> Duration {
    let name = format!("credence_sync_{metric}{{source=\"feed\"}}");
    running.metrics_when(|numbers| numbers.get(&name) == Some(&value));
    since.elapsed()
}

/// The client: datagrams from its own address and from a visitor's.
fn send_as_visitor() {
    ip(&format!("addr replace {VISITOR}/128 dev lan nodad"));
    send_from(&[CLIENT, VISITOR]);
}

#[test]
fn what_members_decide_reaches_the_wire_and_what_they_correct_leaves_it() {
    between(
        "gateway::fed::what_members_decide_reaches_the_wire_and_what_they_correct_leaves_it",
        |client| {
            ip(&format!("route replace {VISITOR}/128 dev wan"));
            let mut alliance = Alliance::start();
            let followed = alliance.followed();
            let site =
                Site::new(&format!("[enforce]\nmode = \"on\"\n[control]\nsocket = \"DIR/door\"\n{followed}"));
            let mut running = site.start();
            let asked = "credence_sync_last_success_timestamp_seconds{source=\"feed\"}";
            running.metrics_when(|numbers| numbers.get(asked).is_some_and(|at_s| *at_s > 0));
            let subject = Prefix::containing(VISITORS.first(), 48);
            let began = now();
            let act = alliance.decide(subject);
            let decided = awaits(&mut running, "records", 1, began);
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            arrivals.first(CLIENT, now());
            thread::sleep(EVERY * 300);
            assert_eq!(arrivals.since(VISITOR, began).len(), 0, "what was decided is on the wire");
            let began = now();
            let complaint = alliance.complain(act, VISITOR.parse().unwrap());
            let relieved = arrivals.first(VISITOR, began) - began;
            let told = run(["control", "--socket", &site.path("door"), "explain", VISITOR]).expect(0).stdout;
            assert!(told.contains("rate_limit by the record of 3fff:200::/48"), "{told}");
            let began = now();
            alliance.submit(|parties, now| parties.uphold(complaint, act, now));
            let lifted = awaits(&mut running, "records", 0, began);
            println!("decided {decided:?}, relieved {relieved:?}, lifted {lifted:?}");
            for took in [decided, relieved, lifted] {
                assert!(took < PROMISED * SLACK, "{took:?}");
            }
            // One decision, and a relief and an outcome that make it milder.
            let numbers = running.metrics();
            for (kind, changes) in [("enforce", 1), ("correct", 2)] {
                let name =
                    |part: &str| format!("credence_sync_time_to_{kind}_seconds_{part}{{source=\"feed\"}}");
                assert_eq!(numbers[&name("count")], changes, "{kind}");
                let most = changes * (PROMISED * SLACK + Duration::from_secs(1)).as_secs();
                assert!(numbers[&name("sum")] <= most, "{kind}: {numbers:?}");
            }
            // What would hit flows that are under way is for the operator, whoever has signed it. Flows are under way once the
            // step has ended in which they began.
            thread::sleep(Duration::from_millis(2_500));
            let said = (Measure::RateLimit, Score::new(400).unwrap());
            let alerted = alliance.submit(|parties, now| parties.alert(CAMPUS, subject, said, now));
            awaits(&mut running, "held", 1, now());
            running.signal("TERM");
            running.end().expect(0);
            let mut running = site.start();
            awaits(&mut running, "held", 1, now());
            run(["control", "--socket", &site.path("door"), "accept"]).expect(0);
            awaits(&mut running, "records", 1, now());
            // The platform is gone: what is in force stays, and a restart begins with it.
            drop(alliance);
            running.signal("TERM");
            running.end().expect(0);
            let mut running = site.start();
            awaits(&mut running, "records", 1, now());
            let told = run(["control", "--socket", &site.path("door"), "explain", VISITOR]).expect(0).stdout;
            assert!(told.contains("rate_limit"), "{told} by {alerted}");
            running.signal("TERM");
            running.end().expect(0);
        },
        send_as_visitor,
    );
}

/// Once the last record that was lifted stayed in the kernel to its end, as if it had been lost.
#[test]
fn what_is_lifted_is_let_go_where_the_kernel_keeps_what_is_lost() {
    between(
        "gateway::fed::what_is_lifted_is_let_go_where_the_kernel_keeps_what_is_lost",
        |client| {
            ip(&format!("route replace {VISITOR}/128 dev wan"));
            let mut alliance = Alliance::start();
            let followed = alliance.followed();
            let site = Site::new(&format!(
                "[enforce]\nmode = \"on\"\non_failure.data_absent = \"static\"\n[control]\nsocket = \"DIR/door\"\n{followed}"
            ));
            let mut running = site.start();
            let act = alliance.decide(Prefix::containing(VISITORS.first(), 48));
            awaits(&mut running, "records", 1, now());
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            arrivals.first(CLIENT, now());
            let began = now();
            thread::sleep(EVERY * 300);
            assert_eq!(arrivals.since(VISITOR, began).len(), 0, "what was decided is on the wire");
            let complaint = alliance.complain(act, VISITOR.parse().unwrap());
            alliance.submit(|parties, now| parties.uphold(complaint, act, now));
            awaits(&mut running, "records", 0, now());
            let began = arrivals.first(VISITOR, now());
            thread::sleep(EVERY * 300);
            let came = [VISITOR, CLIENT].map(|source| arrivals.since(source, began).len());
            assert!(came[0] > 150 && came[0] * 10 > came[1] * 9, "not all of it passes: {came:?}");
            let told = run(["control", "--socket", &site.path("door"), "explain", VISITOR]).expect(0).stdout;
            assert!(!told.contains("by the record"), "{told}");
            running.signal("TERM");
            running.end().expect(0);
        },
        send_as_visitor,
    );
}

/// Once a feed by which nobody is restricted was taken for data that are gone, and with *closed* nothing passed.
#[test]
fn a_feed_by_which_nobody_is_restricted_is_no_lack_of_data() {
    between(
        "gateway::fed::a_feed_by_which_nobody_is_restricted_is_no_lack_of_data",
        |client| {
            let mut alliance = Alliance::start();
            let followed = alliance.followed();
            let site = Site::new(&format!(
                "[enforce]\nmode = \"on\"\non_failure.data_absent = \"closed\"\n{followed}"
            ));
            let mut running = site.start();
            let arrivals = Arrivals::noted();
            let _playing = client.begin();
            running.hears("nothing passes until then");
            running.hears("all is well again");
            let well = arrivals.first(CLIENT, now());
            // One is restricted, and then nobody is any more.
            let act = alliance.decide(Prefix::containing(VISITORS.first(), 48));
            awaits(&mut running, "records", 1, now());
            let complaint = alliance.complain(act, VISITOR.parse().unwrap());
            alliance.submit(|parties, now| parties.uphold(complaint, act, now));
            awaits(&mut running, "records", 0, now());
            thread::sleep(EVERY * 300);
            assert_eq!(arrivals.lost(CLIENT, well), 0, "nothing was held up");
            running.signal("TERM");
            running.end().expect(0);
        },
        send_as_visitor,
    );
}

/// What was held up stands in the credit file of whom it was done to, period by period, and nothing else does.
#[test]
fn what_was_done_to_a_subject_stands_in_its_file() {
    between(
        "gateway::fed::what_was_done_to_a_subject_stands_in_its_file",
        |client| {
            ip(&format!("route replace {VISITOR}/128 dev wan"));
            let mut alliance = Alliance::start();
            let keys = format!("{}{}", alliance.followed(), alliance.told());
            let site =
                Site::new(&format!("[enforce]\nmode = \"on\"\n[control]\nsocket = \"DIR/door\"\n{keys}"));
            let mut running = site.start();
            let subject = Prefix::containing(VISITORS.first(), 48);
            let act = alliance.decide(subject);
            awaits(&mut running, "records", 1, now());
            let _playing = client.begin();
            let is_there = |alliance: &Alliance, least: u64| {
                wait_for(|| {
                    let applied = alliance.applied(subject);
                    applied.first()?["accounts"].as_u64().filter(|accounts| *accounts >= least)?;
                    Some(applied)
                })
            };
            // The first period may have been too short for enough packets.
            let _ = is_there(&alliance, 1).or_else(|| is_there(&alliance, 1));
            let applied = is_there(&alliance, 2).unwrap_or_else(|| panic!("{}", running.stderr()));
            let [sum] = applied.as_slice() else { panic!("{applied:?}") };
            assert_eq!(
                (sum["measure"].as_str(), sum["because"].as_str()),
                (Some("drop"), Some(&*act.to_string()))
            );
            assert_eq!(
                (sum["issuer"].as_str(), sum["prefix"].as_str()),
                (Some("member 4"), Some("3fff:200::/48"))
            );
            // The kernel's own count is no less, and each frame is as long as the other.
            let told = run(["control", "--socket", &site.path("door"), "explain", VISITOR]).expect(0).stdout;
            let (_, after) = told.split_once("acted on ").unwrap();
            let met: u64 = after.split(' ').next().unwrap().parse().unwrap();
            let (packets, bytes) = (sum["packets"].as_u64().unwrap(), sum["bytes"].as_u64().unwrap());
            assert!(packets >= 100 && packets <= met && bytes % packets == 0, "{sum:?} of {met}");
            assert!(alliance.applied("2001:db8:1000::/48".parse().unwrap()).is_empty());
        },
        send_as_visitor,
    );
}

/// A day's account is told once a minute; what was counted since is on the disk when a gateway has ended at a signal.
#[test]
fn what_was_counted_until_its_end_is_on_the_disk_of_a_gateway() {
    between(
        "gateway::fed::what_was_counted_until_its_end_is_on_the_disk_of_a_gateway",
        |client| {
            ip(&format!("route replace {VISITOR}/128 dev wan"));
            let mut alliance = Alliance::start();
            let told = alliance.told().replace("accounts_s = 10\n", "accounts_s = 86400\n");
            let keys = format!("{}{told}", alliance.followed());
            let site =
                Site::new(&format!("[enforce]\nmode = \"on\"\n[control]\nsocket = \"DIR/door\"\n{keys}"));
            let mut running = site.start();
            alliance.decide(Prefix::containing(VISITORS.first(), 48));
            awaits(&mut running, "records", 1, now());
            let met = || {
                let told =
                    run(["control", "--socket", &site.path("door"), "explain", VISITOR]).expect(0).stdout;
                let (_, after) = told.split_once("acted on ")?;
                after.split(' ').next()?.parse::<u64>().ok()
            };
            let playing = client.begin();
            assert!(wait_for(|| met().filter(|met| *met >= 100)).is_some(), "{}", running.stderr());
            drop(playing);
            // Nothing is under way any more.
            let met = wait_for(|| {
                let before = met()?;
                thread::sleep(Duration::from_millis(300));
                met().filter(|met| *met == before)
            });
            let met = met.unwrap();
            let row = format!("\"packets\":{met},");
            let is_kept = || {
                let spool = fs::read(site.path("state/outbox.redb")).unwrap();
                spool.windows(row.len()).any(|bytes| bytes == row.as_bytes())
            };
            assert!(!is_kept(), "nobody was told yet");
            running.signal("TERM");
            let ended = running.end();
            assert!(is_kept(), "{met} packets:\n{}", ended.stderr);
        },
        send_as_visitor,
    );
}
