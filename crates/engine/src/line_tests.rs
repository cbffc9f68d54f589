use std::path::Path;
use std::time::Duration;

use credence_capture::{Poll, Source, open};
use credence_credit::guard::NeverBlock;
use credence_credit::{
    Authority, Cache, EvidenceClass, Guards, Header, Issuer, IssuerId, Keeper, Measure, Published, Rating,
    Reasons, Record, Score, Snapshot,
};
use credence_flow::{FlowKey, FlowRecord};
use credence_score::{Assessment, Policy, Thresholds, Verdict};
use proptest::prelude::*;

use super::*;
use crate::clock::Stopwatch;
use crate::counters::Totals;
use crate::scene::{MS, S, START, Scene};
use crate::step::{Cut, StepClock};

const NET_A: u128 = 0x2a00_0db8_000a << 80;
const NET_B: u128 = 0x2a00_0db8_000b << 80;

/// A record about a prefix: what it asks for, its score, and the second of the scene in which it ends.
type Listed = (&'static str, Measure, Option<u16>, u64);

fn cache(listed: &[Listed]) -> Cache {
    Cache::build(vec![snapshot(listed)], &guards()).expect("a cache")
}

fn guards() -> Guards {
    Guards::new(NeverBlock::new([]))
}

fn snapshot(listed: &[Listed]) -> Snapshot {
    let record = |&(prefix, measure, score, ends_s): &Listed| Record {
        prefix: prefix.parse().expect("a prefix"),
        rating: score.map_or(Rating::Unrated, |score| Rating::of(Score::new(score).expect("a score"))),
        measure,
        reasons: Reasons::NONE,
        issuer: IssuerId(0),
        evidence: EvidenceClass::Declared,
        authority: Authority::OperatorList,
        signatures: 0,
        expires: START / S + ends_s,
        act: None,
    };
    let mut records: Vec<_> = listed.iter().map(record).collect();
    records.sort_by_key(|record| record.prefix);
    let issuers = vec![Issuer::new("test").expect("a name")];
    let header = Header { session: 1, serial: 1, created: 0 };
    Snapshot::new(header, issuers, records).expect("a snapshot")
}

/// A line whose sources are easily loud.
fn config() -> LineConfig {
    let thresholds = Thresholds {
        flows_per_s: 2,
        packets_per_s: 8,
        openings: 2,
        targets: 2,
        ports: 2,
        odd_flows_per_s: 1,
    };
    LineConfig {
        flows: 1 << 10,
        datagrams: 1 << 6,
        sources: 1 << 10,
        outbox: 1 << 16,
        flow_records: true,
        policy: Policy { thresholds, ..Policy::default() },
        ..LineConfig::default()
    }
}

/// A line that can be watched.
struct Watched {
    worker: Worker,
    own: Arc<Own>,
    credit: Published,
}

impl Watched {
    fn new(config: LineConfig, listed: &[Listed]) -> Self {
        let (own, credit) = (Arc::new(Own::default()), Published::default());
        credit.store(cache(listed));
        Self { worker: Worker::new(Arc::new(config), credit.reader(), Arc::clone(&own)), own, credit }
    }

    fn totals(&self) -> Totals {
        Totals::of([&**self.own])
    }

    /// Ends a step as a worker does that has others beside it.
    fn close_as_one_of_many(&mut self, closing: Closing) {
        let mut share = Vec::new();
        self.worker.close_step(closing, &mut share);
        self.worker.apply(closing, &share);
    }

    /// Scorings so far.
    fn scorings(&self) -> u64 {
        self.totals().scorings.sum()
    }
}

/// An alert, without the number of the cache in its collection.
type Alert = (u64, u64, FlowKey, Assessment, Anomalies, bool, Option<Record>);

/// Everything that a line has said at the end.
#[derive(Debug, PartialEq)]
struct Said {
    alerts: Vec<Alert>,
    flows: Vec<FlowRecord>,
}

fn said(watched: Watched) -> Said {
    let (collected, table) = watched.worker.finish();
    let plain = |a: &crate::Event| {
        (a.ts_ns, a.frame, a.key, a.assessment, a.anomalies, a.confirmed, a.credit.clone())
    };
    let alerts = collected.alerts.iter().map(plain).collect();
    let left = (0..table.places()).filter_map(|place| table.record(place));
    let mut flows: Vec<_> = collected.flows.into_iter().chain(left).collect();
    flows.sort_by_key(|f| (f.first_ns, f.first_frame, f.key));
    Said { alerts, flows }
}

/// The line, and the twin that goes packet by packet and scores every flow again at its first packet of each step, since
/// it is given a new snapshot with the same records whenever one begins.
struct Twins {
    line: Watched,
    twin: Watched,
    listed: Vec<Listed>,
    clock: StepClock,
}

impl Twins {
    fn new(config: &LineConfig, listed: &[Listed]) -> Self {
        Self {
            line: Watched::new(config.clone(), listed),
            twin: Watched::new(config.clone(), listed),
            listed: listed.to_vec(),
            clock: StepClock::default(),
        }
    }

    /// Takes frames down both lines, which must agree on every verdict.
    fn process(&mut self, frames: &[Frame<'_>]) {
        let mut clock = self.clock;
        clock.cut(frames, &mut |cut| match cut {
            Cut::Frames(step) => {
                self.line.worker.process(step);
                step.chunks(1).for_each(|frame| self.twin.worker.process(frame));
                let (totals, expected) = (self.line.totals(), self.twin.totals());
                assert_eq!(totals.verdict_packets, expected.verdict_packets);
                assert_eq!(totals.verdict_bytes, expected.verdict_bytes);
            }
            Cut::Close(closing) => {
                self.line.worker.end_step(closing);
                self.twin.close_as_one_of_many(closing);
                self.twin.credit.store(cache(&self.listed));
            }
        });
        self.clock = clock;
    }

    /// Compares all that was said; how often each line scored.
    fn finish(self) -> (u64, u64) {
        let scorings = (self.line.scorings(), self.twin.scorings());
        let (line, twin) = (said(self.line), said(self.twin));
        assert_eq!(line.alerts, twin.alerts);
        assert_eq!(line.flows, twin.flows);
        scorings
    }
}

/// The frames of a scene, bare IPv6, numbered from 1.
fn frames(scene: &Scene) -> Vec<Frame<'_>> {
    let numbered = (1..).zip(&scene.0);
    numbered
        .map(|(number, shot)| Frame {
            number,
            ts_ns: shot.ts_ns,
            wire_len: shot.bytes.len() as u32,
            linktype: 101,
            bytes: &shot.bytes,
        })
        .collect()
}

/// What a host may do.
#[derive(Clone, Copy, Debug)]
enum Act {
    Visit,
    Ask,
    Knock,
    Refused,
    Odd,
    Pieces,
}

/// Random traffic of a few hosts over about 16 seconds, some of it late by up to 9 seconds.
fn history() -> impl Strategy<Value = Scene> {
    let act = prop::sample::select(vec![
        Act::Visit,
        Act::Ask,
        Act::Ask,
        Act::Knock,
        Act::Refused,
        Act::Odd,
        Act::Pieces,
    ]);
    let late = prop_oneof![5 => Just(0), 1 => 0..9 * S];
    prop::collection::vec((act, 0_u64..16_000, 0_u16..8, 0_u16..5, late), 20..250).prop_map(|acts| {
        let mut scene = Scene::default();
        for (act, at_ms, host, to, late) in acts {
            let at = 10 * S + at_ms * MS;
            let client = (NET_A | u128::from(host / 2) << 64 | u128::from(host), 40_000 + host);
            let server = (NET_B | u128::from(to), 443);
            let before = scene.0.len();
            match act {
                Act::Visit => scene.visit(at, client, server, 20),
                Act::Ask => scene.udp(at, client, server),
                Act::Knock => {
                    scene.knock(at, (client.0, client.1 + to), (server.0 | u128::from(at_ms) << 16, 22));
                }
                Act::Refused => scene.refused(at, (client.0, client.1 + to), (server.0, at_ms as u16 | 1)),
                Act::Odd => scene.udp(at, (client.0, 0), server),
                Act::Pieces => {
                    scene.fragment(at, client.0, server.0, u32::from(to), (8 * (at_ms as u16 % 9), 64, true));
                }
            }
            scene.0[before..].iter_mut().for_each(|shot| shot.ts_ns -= late);
        }
        // In the order of capture: late packets come among younger ones.
        let mut order: Vec<_> = (0_u64..).zip(scene.0).collect();
        order.sort_by_key(|(number, shot)| (shot.ts_ns / S * S, *number));
        let mut scene = Scene(order.into_iter().map(|(_, shot)| shot).collect());
        let len = scene.0.len();
        for at in (3..len).step_by(7) {
            scene.0.swap(at, at - 3);
        }
        scene
    })
}

/// Records about the networks of [`history`], some inside others, that end while it goes on.
const LISTED: [Listed; 6] = [
    ("2a00:db8:a::/48", Measure::Observe, Some(700), 22),
    ("2a00:db8:a::/64", Measure::Drop, Some(100), 14),
    ("2a00:db8:a::1/128", Measure::None, Some(900), 18),
    ("2a00:db8:a:1::/64", Measure::RateLimit, None, 20),
    ("2a00:db8:a:2::/64", Measure::Mark, Some(300), 12),
    ("2a00:db8:b::/48", Measure::Incentive, Some(950), 24),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn scores_that_stand_are_those_that_would_be_given_again(
        scene in history(),
        portions in prop::collection::vec(1_usize..200, 1..5),
    ) {
        let mut twins = Twins::new(&config(), &LISTED);
        let all = frames(&scene);
        let (mut rest, mut portions) = (&all[..], portions.iter().cycle());
        while !rest.is_empty() {
            let (now, later) = rest.split_at(rest.len().min(*portions.next().expect("it cycles")));
            twins.process(now);
            rest = later;
        }
        let (scorings, expected) = twins.finish();
        prop_assert!(scorings <= expected);
    }

    #[test]
    fn a_full_table_gives_every_packet_the_verdict_that_it_has_alone(scene in history()) {
        let mut twins = Twins::new(&LineConfig { flows: 12, ..config() }, &LISTED);
        frames(&scene).chunks(100).for_each(|portion| twins.process(portion));
        twins.finish();
    }
}

#[test]
fn scores_that_stand_are_right_for_every_capture_too() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/captures");
    let (mut seen, mut scorings, mut expected) = (0, 0, 0);
    for entry in std::fs::read_dir(captures).expect("captures") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension == "md") {
            continue;
        }
        let mut source = open(&path).expect("a capture");
        // Room for all flows; the next test tells why.
        let mut twins = Twins::new(&LineConfig { flows: 1 << 13, ..config() }, &LISTED);
        while !matches!(source.poll(&mut |frames| twins.process(frames)).expect("a whole capture"), Poll::End)
        {
        }
        let (own, twin) = twins.finish();
        (seen, scorings, expected) = (seen + 1, scorings + own, expected + twin);
    }
    assert!(seen > 40 && scorings < expected, "{seen} captures, {scorings} scorings for {expected}");
}

/// A table that has no place left looks for a flow to end in the two buckets of the new one, and nowhere else: more would be
/// work without bound for a packet. So whether an idle flow elsewhere has left its place by then, or a living one of these
/// buckets has to, depends on how far the sweep has come, and that on how frames are cut into chunks. It is the policy of a
/// full table, where the seed of its hash decides as much; no verdict depends on it but through what the flow had done.
#[test]
fn a_full_table_pushes_out_living_flows_while_its_sweep_is_behind() {
    const FLOWS: u16 = 128;
    let mut scene = Scene::default();
    let mut begin = |at, ports: std::ops::Range<u16>| {
        ports.for_each(|port| scene.udp(at, (NET_A, 1_000 + port), (NET_B, 53)));
    };
    // Long idle, then alive, then new.
    begin(0, 0..32);
    begin(37 * S, 32..FLOWS);
    begin(46 * S, FLOWS..FLOWS + 32);
    let mut twins = Twins::new(&LineConfig { flows: FLOWS.into(), ..config() }, &[]);
    twins.process(&frames(&scene));
    let [line, twin] = [&twins.line, &twins.twin].map(|watched| watched.worker.table.counters());
    assert_eq!((line.created, line.refused), (160, 0));
    assert_eq!((twin.created, twin.refused), (160, 0));
    assert!(line.evicted > 5 && twin.evicted <= 1, "{line:?} {twin:?}");
}

/// One packet a second of `flows` flows.
fn steadily(flows: u16, seconds: u64) -> Scene {
    let mut scene = Scene::default();
    for at in 0..seconds {
        (0..flows).for_each(|i| scene.udp(at * S, (NET_A, 1_000 + i), (NET_B, 53)));
    }
    scene
}

#[test]
fn a_flow_of_a_quiet_source_is_scored_once_however_many_steps_it_lasts() {
    let mut twins = Twins::new(&LineConfig { policy: Policy::default(), ..config() }, &[]);
    twins.process(&frames(&steadily(10, 30)));
    assert_eq!(twins.finish(), (10, 300));
}

#[test]
fn a_record_that_ends_is_noticed_in_the_second_in_which_it_ends() {
    let listed =
        [("2a00:db8:a::/48", Measure::Drop, Some(0), 3), ("2a00:db8::/32", Measure::Observe, None, 6)];
    let mut watched = Watched::new(LineConfig { policy: Policy::default(), ..config() }, &listed);
    let verdicts: Vec<_> = frames(&steadily(1, 8))
        .iter()
        .map(|frame| {
            let before = watched.totals().verdict_packets.0;
            watched.worker.process(&[*frame]);
            let step = (frame.ts_ns - START) / S + 1;
            watched.worker.end_step(Closing { step: step as u32, end_ns: START + step * S });
            let after = watched.totals().verdict_packets.0;
            Verdict::ALL.into_iter().find(|&v| after[v as usize] > before[v as usize]).expect("a verdict")
        })
        .collect();
    use Verdict::{Drop, Observe, Pass};
    assert_eq!(verdicts, [Drop, Drop, Drop, Observe, Observe, Observe, Pass, Pass]);
    assert_eq!(watched.scorings(), 3, "once, and once for each change");
}

#[test]
fn a_new_snapshot_makes_each_live_flow_look_its_source_up_again_once() {
    let scene = steadily(100, 3);
    let all = frames(&scene);
    let mut watched = Watched::new(LineConfig { policy: Policy::default(), ..config() }, &[]);
    watched.worker.process(&all[..100]);
    assert_eq!(watched.scorings(), 100);
    watched.credit.store(cache(&[("2a00:db8:a::/48", Measure::Drop, Some(0), 100)]));
    watched.worker.process(&all[100..150]);
    assert_eq!((watched.scorings(), watched.totals().verdict_packets.0[Verdict::Drop as usize]), (150, 50));
    watched.worker.process(&all[100..]);
    assert_eq!((watched.scorings(), watched.totals().verdict_packets.0[Verdict::Drop as usize]), (200, 250));
}

#[test]
fn an_update_in_place_makes_each_live_flow_look_its_source_up_again_once() {
    let scene = steadily(100, 3);
    let all = frames(&scene);
    let mut watched = Watched::new(LineConfig { policy: Policy::default(), ..config() }, &[]);
    let keeper = |listed: &[Listed]| {
        Keeper::build(&watched.credit, vec![snapshot(listed)], &guards()).expect("a cache")
    };
    let (mut before, after) = (keeper(&[]), keeper(&[("2a00:db8:a::/48", Measure::Drop, Some(0), 100)]));
    before.publish();
    watched.worker.process(&all[..100]);
    assert_eq!(watched.scorings(), 100);
    let changes = before.changes_to(&after).expect("few");
    before.apply(changes, &mut ()).expect("room");
    watched.worker.process(&all[100..150]);
    assert_eq!((watched.scorings(), watched.totals().verdict_packets.0[Verdict::Drop as usize]), (150, 50));
    watched.worker.process(&all[100..]);
    assert_eq!((watched.scorings(), watched.totals().verdict_packets.0[Verdict::Drop as usize]), (200, 250));
    assert_eq!(before.reclaim(), 0, "between batches nobody reads");
}

fn restarting() -> LineConfig {
    LineConfig { policy: Policy::default(), restarts: true, ..config() }
}

#[test]
fn a_line_that_fails_begins_anew_and_loses_its_chunk_alone() {
    let scene = steadily(100, 3);
    let all = frames(&scene);
    for (stage, placed) in [("enter", 0), ("place", 6)] {
        let mut watched = Watched::new(restarting(), &[("2a00:db8:a::/48", Measure::Drop, Some(0), 100)]);
        watched.worker.process(&all[..64]);
        restart::asked::at(stage, all[70].number);
        watched.worker.process(&all[64..200]);
        let totals = watched.totals();
        assert_eq!((totals.scored, totals.faulted, totals.restarts), (136, 64, 1), "{stage}");
        watched.worker.process(&all[200..]);
        let totals = watched.totals();
        assert_eq!((totals.scored, totals.faulted), (236, 64), "{stage}");
        assert_eq!(totals.verdict_packets.0[Verdict::Drop as usize], 236, "the credit is that of before");
        let Watched { worker, own, .. } = watched;
        let flows = worker.finish().1.live();
        let created = Totals::of([&**own]).flows_created;
        assert_eq!(
            (created, flows),
            (64 + placed + 100, 100),
            "flows begin anew, and are counted all the same"
        );
    }
}

#[test]
fn a_line_that_fails_time_and_again_does_not_hide_it() {
    let scene = steadily(100, 4);
    let all = frames(&scene);
    let fails = |config: LineConfig, chunks: usize| {
        let mut watched = Watched::new(config, &[]);
        for chunk in all.chunks(64).take(chunks) {
            restart::asked::at("place", chunk[0].number);
            watched.worker.process(chunk);
        }
        watched.totals().restarts
    };
    assert_eq!(fails(restarting(), 4), 4);
    for (config, chunks) in [(restarting(), 5), (config(), 1)] {
        assert!(std::panic::catch_unwind(|| fails(config, chunks)).is_err());
    }
}

/// A packet each seven seconds, and a failure at every twentieth or so: never five within a minute.
#[test]
fn a_line_that_fails_now_and_then_accounts_for_every_frame() {
    let mut scene = Scene::default();
    (0..4_000).for_each(|at| scene.udp(at * 7 * S, (NET_A, 1_000 + at as u16 % 50), (NET_B, 53)));
    let all = frames(&scene);
    let mut watched = Watched::new(restarting(), &[]);
    let (mut random, mut at, mut asked, mut lost) = (1_u64, 0, 0, 0);
    while at < all.len() {
        random = random.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(0x1405_7b7e_f767_814f);
        let portion = &all[at..all.len().min(at + 15 + (random >> 60) as usize)];
        if random >> 42 & 1 == 1 {
            let stage = ["enter", "place"][(random >> 40) as usize % 2];
            restart::asked::at(stage, portion[(random >> 44) as usize % portion.len()].number);
            (asked, lost) = (asked + 1, lost + portion.len());
        }
        watched.worker.process(portion);
        at += portion.len();
    }
    let totals = watched.totals();
    assert!(asked > 50);
    // A portion is one chunk.
    let counted = (totals.restarts, totals.faulted, totals.scored);
    assert_eq!(counted, (asked, lost as u64, (all.len() - lost) as u64));
}

/// The line of a gateway with a million flows goes on within 100 ms, of which a machine that does much else may take more.
#[test]
fn a_line_with_a_million_flows_is_soon_back() {
    let scene = steadily(100, 3);
    let all = frames(&scene);
    let line = LineConfig { flows: 1 << 20, sources: 1 << 17, prefault: true, ..restarting() };
    let began = Stopwatch::start();
    let mut watched = Watched::new(line, &[]);
    let made = began.elapsed();
    watched.worker.process(&all[..64]);
    let mut took: Vec<_> = (0..3)
        .map(|turn| {
            let chunk = &all[64 * turn + 64..64 * turn + 128];
            restart::asked::at("place", chunk[0].number);
            let began = Stopwatch::start();
            watched.worker.process(chunk);
            began.elapsed()
        })
        .collect();
    took.sort();
    println!("made in {made:?}, back in {took:?}");
    assert_eq!(watched.totals().restarts, 3);
    assert!(took[1] < Duration::from_millis(100) * 5, "{took:?}");
}
