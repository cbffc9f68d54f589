use std::io::{self, Write};
use std::sync::Mutex;

use credence_credit::guard::NeverBlock;
use credence_credit::{
    Authority, Cache, EvidenceClass, Guards, Header, Issuer, IssuerId, Keeper, Measure, Rating, Reasons,
    Record, Score, Snapshot,
};
use credence_prefix::Prefix;
use credence_score::Verdict;
use proptest::prelude::*;

use super::*;
use crate::config::Lists;
use crate::scene::{MS, S, START, Scene};
use crate::{AlertWriter, FlowWriter};

const NET_A: u128 = 0x2001_0db8_000a << 80;
const NET_B: u128 = 0x2001_0db8_000b << 80;

/// An output that can be read while someone else writes it.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("not poisoned").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().expect("not poisoned").clone()).expect("text")
    }
}

/// What a run gave.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    flows: String,
    alerts: String,
    totals: Totals,
}

impl Outcome {
    /// Verdicts of the flows from `src`, in order of their first packets.
    fn verdicts_of(&self, src: u128) -> Vec<&str> {
        let src = std::net::Ipv6Addr::from(src).to_string();
        let of_src = self.flows.lines().filter(|line| line.split('\t').next() == Some(&src));
        of_src.map(|line| line.rsplit('\t').next().unwrap_or_default()).collect()
    }

    /// The rules in the terms of all alerts about `src`.
    fn rules_of(&self, src: u128) -> Vec<String> {
        let src = std::net::Ipv6Addr::from(src).to_string();
        let lines =
            self.alerts.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let terms = lines.filter(|line| line["src_ip"] == src.as_str()).flat_map(|line| {
            line["credence"]["terms"]
                .as_array()
                .expect("terms")
                .iter()
                .map(|t| t["rule"].to_string())
                .collect::<Vec<_>>()
        });
        terms.collect()
    }
}

struct Setting {
    line: LineConfig,
    credit: Published,
    workers: usize,
    portions: Vec<usize>,
}

impl Default for Setting {
    fn default() -> Self {
        let line = LineConfig {
            flows: 1 << 12,
            datagrams: 1 << 8,
            sources: 1 << 12,
            outbox: 1 << 10,
            flow_records: true,
            ..LineConfig::default()
        };
        Self { line, credit: Published::default(), workers: 1, portions: vec![64] }
    }
}

impl Setting {
    fn run(&self, scene: &Scene) -> Outcome {
        let engine = Engine::new(self.line.clone(), self.credit.clone(), self.workers);
        let (flows, alerts) = (Shared::default(), Shared::default());
        let alert_writer = AlertWriter::new(
            Box::new(alerts.clone()) as Box<dyn Write + Send>,
            Arc::clone(&self.line.lists),
            None,
            1_000,
        );
        let flow_writer = FlowWriter::new(Box::new(flows.clone()) as Box<dyn Write + Send>, None);
        let mut recorder = Recorder::new(Some(alert_writer), Some(flow_writer));
        let mut source = scene.source(&self.portions);
        engine.replay(&mut source, Pace::Max, &mut recorder, &AtomicBool::new(false)).expect("no failure");
        recorder.finish().expect("writable");
        let totals = engine.totals();
        assert!(totals.balances(), "{totals:?}");
        assert_eq!(totals.received, scene.0.len() as u64);
        Outcome { flows: flows.text(), alerts: alerts.text(), totals }
    }
}

type Listed = (&'static str, Measure, Option<u16>, u64);

/// A cache with these records of the operator's list.
fn listed(records: &[Listed]) -> Cache {
    Cache::build(vec![snapshot(records)], &guards()).expect("a cache")
}

fn guards() -> Guards {
    Guards::new(NeverBlock::new([]))
}

fn snapshot(records: &[Listed]) -> Snapshot {
    let mut records: Vec<_> = records
        .iter()
        .map(|&(prefix, measure, score, expires)| Record {
            prefix: prefix.parse().expect("a prefix"),
            rating: score.map_or(Rating::Unrated, |s| Rating::of(Score::new(s).expect("a score"))),
            measure,
            reasons: Reasons::NONE,
            issuer: IssuerId(0),
            evidence: EvidenceClass::Declared,
            authority: Authority::OperatorList,
            signatures: 0,
            expires,
            act: None,
        })
        .collect();
    records.sort_by_key(|record| record.prefix);
    let header = Header { session: 1, serial: 1, created: 0 };
    Snapshot::new(header, vec![Issuer::new("test").expect("a name")], records).expect("a snapshot")
}

/// Visits, a scan, a flood, fragments, and what cannot be read, over `seconds`.
fn busy_scene(seconds: u64) -> Scene {
    let mut scene = Scene::default();
    for second in 0..seconds {
        let at = second * S;
        for i in 0..20_u16 {
            let client = (NET_A | u128::from(i) << 64 | 1, 40_000 + second as u16 * 20 + i);
            scene.visit(at + u64::from(i) * 7 * MS, client, (NET_B | u128::from(i % 5), 443), 5);
            scene.udp(at + u64::from(i) * 11 * MS, (client.0, 5_000 + i), (NET_B | 53, 53));
        }
        for i in 0..60_u64 {
            scene.knock(
                at + i * 3 * MS,
                (NET_A | 0xbad << 64 | 9, 50_000),
                (NET_B | u128::from(second * 60 + i) << 8, 22),
            );
            scene.knock(
                at + i * 2 * MS,
                (NET_A | 0xf100 << 64 | u128::from(second * 60 + i), 1),
                (NET_B | 1, 443),
            );
        }
        scene.fragment(at + 100 * MS, NET_A | 5, NET_B | 5, second as u32, (0, 64, true));
        scene.fragment(at + 101 * MS, NET_A | 5, NET_B | 5, second as u32, (32, 64, false));
        scene.raw(at + 200 * MS, &[0x45, 0, 0, 20]);
        scene.raw(at + 201 * MS, &[0x60, 0, 0]);
        scene.raw(at + 202 * MS, &[]);
    }
    scene.sorted()
}

#[test]
fn any_number_of_workers_gives_the_same_flows_scores_and_alerts() {
    let scene = busy_scene(12);
    let one = Setting::default().run(&scene);
    assert!(one.flows.lines().count() > 1_000 && one.alerts.lines().count() >= 3, "{}", one.alerts);
    for workers in [2, 3, 8] {
        let many = Setting { workers, ..Setting::default() }.run(&scene);
        assert_eq!(many.flows, one.flows, "{workers} workers");
        assert_eq!(many.alerts, one.alerts, "{workers} workers");
        assert_eq!(many.totals.verdict_packets, one.totals.verdict_packets);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn portions_and_seeds_change_nothing(
        portions in prop::collection::vec(1_usize..300, 1..8),
        seed in any::<u64>(),
        workers in 1_usize..4,
    ) {
        let scene = busy_scene(4);
        let expected = Setting::default().run(&scene);
        let line = LineConfig { seed, ..Setting::default().line };
        let outcome = Setting { line, portions, workers, ..Setting::default() }.run(&scene);
        prop_assert_eq!(outcome.flows, expected.flows);
        prop_assert_eq!(outcome.alerts, expected.alerts);
    }

    #[test]
    fn any_bytes_are_accounted_for(shots in prop::collection::vec((0_u64..5, prop::collection::vec(any::<u8>(), 0..120)), 0..200)) {
        let mut scene = Scene::default();
        for (second, bytes) in &shots {
            scene.raw(second * S, bytes);
        }
        for workers in [1, 2] {
            // The run itself asserts that every frame is accounted for.
            let outcome = Setting { workers, ..Setting::default() }.run(&scene);
            prop_assert_eq!(outcome.totals.received, shots.len() as u64);
        }
    }
}

#[test]
fn a_scanner_is_found_and_those_beside_it_pass() {
    let outcome = Setting::default().run(&busy_scene(12));
    let scanner = outcome.verdicts_of(NET_A | 0xbad << 64 | 9);
    assert_eq!(scanner.first(), Some(&"pass"), "nothing is known in the first second");
    assert_eq!(scanner.last(), Some(&"rate_limit"), "{:?}", outcome.rules_of(NET_A | 0xbad << 64 | 9));
    for i in 0..20_u128 {
        let client = outcome.verdicts_of(NET_A | i << 64 | 1);
        assert!(client.iter().all(|&v| v == "pass"), "client {i}: {client:?}");
    }
}

#[test]
fn a_listener_hears_of_alerts_that_are_not_written() {
    let setting = Setting::default();
    let engine = Engine::new(setting.line, Published::default(), 1);
    let (tell, heard) = std::sync::mpsc::channel();
    let mut recorder = Recorder::default().heard_by(Box::new(move |event| {
        tell.send((event.key.src, event.assessment.verdict)).expect("the test listens");
    }));
    let scene = busy_scene(12);
    let mut source = scene.source(&[64]);
    engine.replay(&mut source, Pace::Max, &mut recorder, &AtomicBool::new(false)).expect("no failure");
    drop(recorder);
    let heard: Vec<_> = heard.iter().collect();
    assert_eq!(heard.len() as u64, engine.totals().alerts);
    let scanner = NET_A | 0xbad << 64 | 9;
    assert!(heard.contains(&(scanner, Verdict::RateLimit)));
}

#[test]
fn a_scan_of_closed_ports_is_found_too() {
    let mut scene = Scene::default();
    for i in 0..600_u16 {
        scene.refused(u64::from(i) * 10 * MS, (NET_A | 9, 50_000), (NET_B | 1, i + 1));
    }
    let outcome = Setting::default().run(&scene.sorted());
    assert_eq!(outcome.verdicts_of(NET_A | 9).last(), Some(&"rate_limit"));
    assert!(outcome.rules_of(NET_A | 9).iter().any(|rule| rule.contains("ports")));
}

#[test]
fn where_the_way_back_is_unseen_silence_proves_nothing() {
    let mut scene = Scene::default();
    for i in 0..600_u64 {
        scene.knock(i * 10 * MS, (NET_A | 9, 50_000), (NET_B | u128::from(i), 443));
    }
    let outcome = Setting::default().run(&scene);
    assert!(outcome.verdicts_of(NET_A | 9).iter().all(|&v| v == "pass"), "{}", outcome.alerts);
}

#[test]
fn the_same_rule_for_inside_and_outside() {
    let scene = busy_scene(8);
    let mut mirrored = scene.clone();
    for shot in &mut mirrored.0 {
        if shot.bytes.len() >= 40 {
            // Addresses of the two networks differ in their sixth byte only.
            for at in [8 + 5, 24 + 5] {
                shot.bytes[at] ^= 0x0a ^ 0x0b;
            }
        }
    }
    let own = Prefix::containing(NET_A, 48);
    let line =
        LineConfig { lists: Arc::new(Lists::new(&[], &[own]).expect("a list")), ..Setting::default().line };
    let setting = Setting { line, ..Setting::default() };
    let (as_is, swapped) = (setting.run(&scene), setting.run(&mirrored));
    let mirror = |text: &str| {
        text.replace("2001:db8:a:", "?").replace("2001:db8:b:", "2001:db8:a:").replace('?', "2001:db8:b:")
    };
    assert_eq!(mirror(&swapped.flows), as_is.flows);
    assert!(as_is.alerts.contains("\"outbound\"") && !as_is.alerts.contains("\"inbound\""));
    assert!(swapped.alerts.contains("\"inbound\"") && !swapped.alerts.contains("\"outbound\""));
}

#[test]
fn lists_decide_and_the_strongest_wins() {
    let mut scene = Scene::default();
    for host in 1..=5_u128 {
        scene.udp(0, (NET_A | host << 64, 1), (NET_B, 2));
    }
    let cache = listed(&[
        ("2001:db8:a:1::/64", Measure::Drop, Some(0), u64::MAX),
        ("2001:db8:a:2::/64", Measure::None, None, u64::MAX),
        ("2001:db8:a:3::/64", Measure::Drop, None, START / S),
        ("2001:db8:a:4::/64", Measure::Drop, None, u64::MAX),
        ("::/0", Measure::Drop, Some(0), u64::MAX),
    ]);
    let never = [Prefix::containing(NET_A | 4 << 64, 64)];
    let line =
        LineConfig { lists: Arc::new(Lists::new(&never, &[]).expect("a list")), ..Setting::default().line };
    let setting = Setting { line, ..Setting::default() };
    setting.credit.store(cache);
    let outcome = setting.run(&scene);
    let verdict = |host: u128| outcome.verdicts_of(NET_A | host << 64);
    assert_eq!(verdict(1), ["drop"]);
    assert_eq!(verdict(2), ["pass"]);
    assert_eq!(verdict(3), ["pass"], "the record ended, and what is as wide as everything is never enforced");
    assert_eq!(verdict(4), ["pass"], "never-block wins over a deny list");
    assert_eq!(verdict(5), ["pass"], "everything is never enforced");
}

#[test]
fn the_step_that_is_open_at_the_end_is_told_of_and_not_closed() {
    let mut scene = Scene::default();
    scene.udp(0, (NET_A | 1 << 64, 1), (NET_B, 2));
    scene.udp(S, (NET_A | 2 << 64, 1), (NET_B, 2));
    for workers in [1, 2] {
        let setting = Setting { workers, ..Setting::default() };
        setting.credit.store(listed(&[("2001:db8:a::/48", Measure::Drop, Some(0), u64::MAX)]));
        let outcome = setting.run(&scene);
        assert_eq!(outcome.alerts.lines().count(), 2, "{workers} workers");
        assert_eq!(outcome.totals.steps, workers as u64, "each worker closes the first second alone");
    }
}

#[test]
fn a_new_snapshot_reaches_flows_that_are_running() {
    let mut scene = Scene::default();
    scene.udp(0, (NET_A, 1), (NET_B, 2));
    scene.udp(MS, (NET_A, 1), (NET_B, 2));
    let credit = Published::default();
    let own = Arc::new(Own::default());
    let mut worker = Worker::new(Arc::new(Setting::default().line), credit.reader(), Arc::clone(&own));
    let frame = |i: usize| Frame {
        number: i as u64 + 1,
        ts_ns: scene.0[i].ts_ns,
        wire_len: 100,
        linktype: 101,
        bytes: &scene.0[i].bytes,
    };
    worker.process(&[frame(0)]);
    credit.store(listed(&[("2001:db8:a::/48", Measure::Drop, None, u64::MAX)]));
    worker.process(&[frame(1)]);
    let totals = Totals::of([&**own]);
    assert_eq!(totals.verdict_packets.0[Verdict::Pass as usize], 1);
    assert_eq!(totals.verdict_packets.0[Verdict::Drop as usize], 1);
    let collected = worker.collect();
    assert_eq!(collected.alerts.len(), 1);
    assert_eq!(collected.caches.len(), 1);
}

/// Beside a stream, credit is swapped whole and changed in place without pause: what comes in is what comes out, and each packet is judged
/// by one version or the other.
#[test]
fn no_packet_is_lost_while_credit_changes() {
    const EACH: u64 = 20_000;
    let mut scene = Scene::default();
    for packet in 0..EACH {
        for net in [0xa, 0xc, 0xd] {
            scene.udp(packet * MS, (0x2001_0db8_0000 << 80 | net << 80 | 1, 1), (NET_B | 2, 2));
        }
    }
    let scene = scene.sorted();
    let setting = Setting { workers: 2, ..Setting::default() };
    let always = ("2001:db8:a::/48", Measure::Drop, None, u64::MAX);
    let versions = [vec![always], vec![always, ("2001:db8:c::/48", Measure::Drop, None, u64::MAX)]];
    let keeper = |version: usize| {
        Keeper::build(&setting.credit, vec![snapshot(&versions[version % 2])], &guards()).expect("a cache")
    };
    let ends = AtomicBool::new(false);
    let mut current = keeper(0);
    current.publish();
    let (outcome, changes) = thread::scope(|scope| {
        let changing = scope.spawn(|| {
            let mut count = 0;
            while !ends.load(Ordering::Relaxed) {
                count += 1;
                let next = keeper(count);
                if count % 3 == 0 {
                    next.publish();
                    current = next;
                } else {
                    let changes = current.changes_to(&next).expect("few");
                    current.apply(changes, &mut ()).expect("room");
                }
            }
            count
        });
        let outcome = setting.run(&scene);
        ends.store(true, Ordering::Relaxed);
        (outcome, changing.join().expect("it ends"))
    });
    let totals = &outcome.totals;
    assert!(changes > 20, "{changes} changes are none beside {} packets", totals.received);
    assert_eq!((totals.received, totals.scored), (3 * EACH, 3 * EACH));
    assert_eq!(totals.verdict_packets.0.iter().sum::<u64>(), totals.scored, "each has one verdict");
    let dropped = totals.verdict_packets.0[Verdict::Drop as usize];
    assert!((EACH + 1..2 * EACH).contains(&dropped), "{dropped}: of one all, of one some, of one none");
    assert_eq!(outcome.verdicts_of(NET_A | 1), ["drop"]);
}

#[test]
fn overlapping_fragments_are_told_with_their_flow() {
    let outcome = Setting::default().run(&busy_scene(2));
    let line =
        outcome.flows.lines().find(|line| line.contains("fragment_overlap")).expect("the evader's flow");
    assert!(line.starts_with("2001:db8:a::5\t2001:db8:b::5\t17\t40000\t53\t4\t"), "{line}");
}

#[test]
fn a_full_table_refuses_flows_and_loses_no_packet() {
    let line = LineConfig { flows: 16, full: credence_flow::FullPolicy::Refuse, ..Setting::default().line };
    let outcome = Setting { line, ..Setting::default() }.run(&busy_scene(3));
    assert!(outcome.totals.flows_refused > 0);
    assert_eq!(outcome.totals.flow_bytes, outcome.totals.flow_bytes.min(16 * 256));
}

#[test]
fn a_live_source_accounts_for_whatever_it_sheds() {
    let scene = busy_scene(20);
    let engine = Engine::new(Setting::default().line, Published::default(), 3);
    let mut recorder = Recorder::default();
    let mut source = scene.source(&[256]);
    let mut pacer = Pacer::new(Pace::Max);
    engine
        .spread(&mut source, &mut pacer, &mut recorder, &AtomicBool::new(false), Full::Shed)
        .expect("no failure");
    let totals = engine.totals();
    assert!(totals.balances(), "{totals:?}");
    assert_eq!(totals.received, scene.0.len() as u64);
}

#[test]
fn real_pace_waits_and_stops_when_told() {
    let mut scene = Scene::default();
    scene.udp(0, (NET_A, 1), (NET_B, 2));
    scene.udp(3_600 * S, (NET_A, 1), (NET_B, 2));
    let engine = Engine::new(Setting::default().line, Published::default(), 1);
    let stop = AtomicBool::new(false);
    let (mut recorder, mut source) = (Recorder::default(), scene.source(&[1]));
    thread::scope(|scope| {
        scope.spawn(|| {
            thread::sleep(Duration::from_millis(50));
            stop.store(true, Ordering::Relaxed);
        });
        engine.replay(&mut source, Pace::Real, &mut recorder, &stop).expect("no failure");
    });
    let totals = engine.totals();
    assert!(totals.balances() && totals.received == 2, "what was received is scored all the same");
}
