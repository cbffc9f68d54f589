//! A flow table that cannot be wrong, only slow; and the same packets through both.

use super::*;
use crate::flow::Opening;

/// One packet of a random run.
#[derive(Clone, Copy, Debug)]
struct Sent {
    header: Header,
    ts_ns: u64,
}

/// How a run is handled, none of which may show in its result.
#[derive(Clone, Debug)]
struct Handling {
    seed: u64,
    /// Packets whose flows are asked for together, before the first of them is placed.
    batch_lens: Vec<usize>,
    /// Flows that the sweep walks after each batch.
    sweeps: Vec<u32>,
}

/// What came of one flow: its record without what only scoring sets, and how its opening was judged.
type Outcome = (FlowRecord, Option<Opening>);

#[derive(Clone, Copy)]
struct TwinFlow {
    record: FlowRecord,
    closed: bool,
    opens: bool,
    offer: Option<u32>,
    expected: Option<u32>,
}

impl TwinFlow {
    fn is_idle(&self, timeouts: &Timeouts, ts_ns: u64) -> bool {
        let limit = if self.record.key.proto == 6 {
            match (self.closed, self.record.confirmed) {
                (true, _) => timeouts.closed_ns,
                (_, true) => timeouts.established_ns,
                _ => timeouts.unanswered_ns,
            }
        } else if self.record.paired {
            timeouts.paired_ns
        } else {
            timeouts.unanswered_ns
        };
        ts_ns > self.record.last_ns && ts_ns - self.record.last_ns > limit
    }

    fn outcome(&self) -> Outcome {
        let opening = match (self.opens, self.record.confirmed, self.record.paired) {
            (false, ..) => None,
            (_, true, _) => Some(Opening::Confirmed),
            (_, _, true) if self.record.key.proto == 6 => Some(Opening::Refused),
            (_, _, true) => Some(Opening::Answered),
            _ => Some(Opening::Unanswered),
        };
        (self.record, opening)
    }
}

#[derive(Default)]
struct Twin {
    timeouts: Timeouts,
    live: HashMap<FlowKey, TwinFlow>,
    ended: Vec<Outcome>,
}

impl Twin {
    fn begin(&mut self, key: FlowKey, ts_ns: u64, frame: u32) {
        let timeouts = self.timeouts;
        let peer = self.live.get_mut(&key.reverse()).filter(|p| !p.is_idle(&timeouts, ts_ns));
        let paired = peer.is_some();
        let expected = peer.and_then(|p| {
            p.record.paired = true;
            p.offer
        });
        let record = FlowRecord {
            key,
            first_ns: ts_ns,
            last_ns: ts_ns,
            first_frame: frame,
            packets: 0,
            bytes: 0,
            fragments: 0,
            anomalies: Anomalies::NONE,
            score: 0,
            verdict: 0,
            confirmed: false,
            paired,
        };
        let opens = false;
        self.live.insert(key, TwinFlow { record, closed: false, opens, offer: None, expected });
    }

    fn packet(&mut self, sent: &Sent, frame: u32) {
        let key = FlowKey::of(&sent.header);
        if self.live.get(&key).is_some_and(|f| f.is_idle(&self.timeouts, sent.ts_ns)) {
            self.ended.extend(self.live.remove(&key).map(|f| f.outcome()));
        }
        let new = !self.live.contains_key(&key);
        if new {
            self.begin(key, sent.ts_ns, frame);
        }
        if let Some(value) = sent.header.offers() {
            self.live.get_mut(&key).unwrap().offer = Some(value);
            let peer = self.live.get_mut(&key.reverse()).filter(|p| p.record.paired);
            if let Some(peer) = peer {
                peer.expected = Some(value);
            }
        }
        let flow = self.live.get_mut(&key).unwrap();
        if new && !flow.record.paired {
            flow.opens = match sent.header.upper {
                Upper::Tcp { flags, .. } => flags.0 & (SYN | ACK | RST) == SYN,
                Upper::None => false,
                _ => true,
            };
        }
        if sent.ts_ns < flow.record.first_ns {
            (flow.record.first_ns, flow.record.first_frame) = (sent.ts_ns, frame);
        }
        flow.record.last_ns = flow.record.last_ns.max(sent.ts_ns);
        flow.record.packets += 1;
        flow.record.bytes += sent.header.bytes;
        flow.record.confirmed |= flow.expected.is_some() && sent.header.echoes() == flow.expected;
        if let Upper::Tcp { flags, .. } = sent.header.upper {
            flow.closed |= flags.0 & (FIN | RST) != 0;
        }
    }

    fn run(packets: &[Sent]) -> Vec<Outcome> {
        let mut twin = Self::default();
        for (frame, sent) in (1..).zip(packets) {
            twin.packet(sent, frame);
        }
        let rest: Vec<_> = twin.live.values().map(TwinFlow::outcome).collect();
        twin.ended.extend(rest);
        sorted(twin.ended)
    }
}

fn sorted(mut outcomes: Vec<Outcome>) -> Vec<Outcome> {
    outcomes.sort_unstable_by_key(|(r, _)| (r.key, r.first_ns, r.first_frame));
    outcomes
}

/// Epoch in which every flow of a run is scored.
const EPOCH: u32 = 7;

/// Runs the packets through a table as an engine does: asks for the flows of a batch, then counts each packet in the
/// short way if it can be and in the long way if not.
fn run(packets: &[Sent], config: TableConfig, how: &Handling) -> (Vec<Outcome>, TableCounters) {
    run_through(&mut FlowTable::new(config, how.seed), packets, how)
}

/// The same, through this empty table.
fn run_through(table: &mut FlowTable, packets: &[Sent], how: &Handling) -> (Vec<Outcome>, TableCounters) {
    let mut outcomes = Vec::new();
    let (mut rest, mut frame, mut latest) = (packets, 0, 0);
    let mut lens = how.batch_lens.iter().cycle();
    let mut sweeps = how.sweeps.iter().cycle();
    while !rest.is_empty() {
        let (batch, later) = rest.split_at(rest.len().min(*lens.next().unwrap()));
        rest = later;
        let guesses: Vec<_> =
            batch.iter().map(|s| table.prefetch_flow(table.candidates(&FlowKey::of(&s.header)))).collect();
        for (sent, guess) in batch.iter().zip(guesses) {
            frame += 1;
            latest = latest.max(sent.ts_ns);
            let finished = &mut |f: Finished| outcomes.push((f.record, f.pending.opening));
            step(table, sent, Now { ts_ns: sent.ts_ns, frame }, guess, finished);
        }
        table.expire(*sweeps.next().unwrap(), latest, &mut |f| outcomes.push((f.record, f.pending.opening)));
        assert!(table.live() <= table.capacity());
    }
    let before_end = outcomes.len() as u64;
    let counters = table.counters();
    assert_eq!(counters.expired + counters.evicted, before_end);
    assert_eq!(counters.created - before_end, u64::from(table.live()));
    for place in (0..table.places()).filter(|&place| table.begun(place).is_some()).collect::<Vec<_>>() {
        let (record, left) = (table.record(place), table.finish(place as u32, u64::MAX));
        assert_eq!(record, Some(left.record), "a flow is written as it lies there");
        outcomes.push((left.record, left.pending.opening));
    }
    (sorted(outcomes), counters)
}

/// One packet.
fn step(
    table: &mut FlowTable,
    sent: &Sent,
    now: Now,
    guess: Option<Slot>,
    finished: &mut impl FnMut(Finished),
) {
    let (key, seen) = (FlowKey::of(&sent.header), sighting(&sent.header));
    if guess.is_some_and(|slot| table.pass(slot, &key, now, &seen, EPOCH).is_some()) {
        return;
    }
    let (slot, new) = match table.place(&key, table.candidates(&key), now, finished) {
        Placed::New(slot) => (slot, true),
        Placed::Known(slot) => (slot, false),
        Placed::Refused => return,
    };
    handle(table, slot, new, &sent.header);
    table.flow(slot).stand(EPOCH);
}

fn config(capacity: u32, full: FullPolicy) -> TableConfig {
    TableConfig { capacity, full, timeouts: Timeouts::default() }
}

/// A packet between few endpoints, with numbers small enough that echoes are often right.
fn packet(endpoints: u32) -> impl Strategy<Value = Header> {
    let key = (0..endpoints, any::<bool>(), prop_oneof![3 => Just(6), 2 => Just(17), 1 => Just(132)])
        .prop_map(|(n, answers, proto)| {
            let key = FlowKey { proto, ..key(n) };
            if answers { key.reverse() } else { key }
        });
    let flags = prop::sample::select(vec![SYN, SYN | ACK, ACK, ACK, FIN | ACK, RST | ACK, 0]);
    let id = || prop::option::of(1_u64..3);
    (key, flags, 0_u32..3, 0_u32..4, id(), id()).prop_map(|(key, flags, seq, ack, source, destination)| {
        let upper = match key.proto {
            6 => Upper::Tcp { flags: TcpFlags(flags), seq, ack, window: 1 },
            17 => Upper::Udp { quic: Some(QuicIds { source, destination }) },
            _ => Upper::Sctp { verification_tag: ack, initiate_tag: (flags & SYN != 0).then_some(seq + 1) },
        };
        header(key, upper)
    })
}

/// Packets whose times mostly creep, sometimes jump, and come late by at most [`REORDER_NS`].
fn packets(endpoints: u32) -> impl Strategy<Value = Vec<Sent>> {
    let step = prop_oneof![6 => 0..S, 2 => 10 * S..20 * S, 2 => 25 * S..75 * S, 1 => 250 * S..350 * S];
    let late = prop_oneof![3 => Just(0), 1 => 0..=REORDER_NS];
    prop::collection::vec((packet(endpoints), step, late), 1..250).prop_map(|drawn| {
        let mut clock = 20 * S;
        drawn
            .into_iter()
            .map(|(header, step, late)| {
                clock += step;
                Sent { header, ts_ns: clock - late }
            })
            .collect()
    })
}

fn handling() -> impl Strategy<Value = Handling> {
    let lens = prop::collection::vec(1_usize..40, 1..8);
    let sweeps = prop::collection::vec(prop_oneof![Just(0), 1..100_u32, Just(u32::MAX)], 1..8);
    (any::<u64>(), lens, sweeps).prop_map(|(seed, batch_lens, sweeps)| Handling { seed, batch_lens, sweeps })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn flows_are_those_of_a_plain_map_however_batches_are_cut_and_swept(
        packets in packets(6),
        how in handling(),
    ) {
        let (outcomes, counters) = run(&packets, config(64, FullPolicy::default()), &how);
        prop_assert_eq!(counters.refused + counters.evicted, 0);
        prop_assert_eq!(outcomes, Twin::run(&packets));
    }

    #[test]
    fn what_a_full_table_gives_up_does_not_depend_on_where_batches_are_cut(
        packets in packets(20),
        how in handling(),
        refuse in any::<bool>(),
    ) {
        let full = if refuse { FullPolicy::Refuse } else { FullPolicy::EvictUnconfirmed };
        let whole = Handling { sweeps: vec![0], ..how };
        let singly = Handling { batch_lens: vec![1], ..whole.clone() };
        let (outcomes, counters) = run(&packets, config(8, full), &whole);
        let (expected, expected_counters) = run(&packets, config(8, full), &singly);
        prop_assert_eq!(counters, expected_counters);
        prop_assert_eq!(outcomes, expected);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_table_that_was_cleared_is_as_a_new_one(
        before in packets(20),
        after in packets(20),
        how in handling(),
        prefault in any::<bool>(),
    ) {
        let mut table = FlowTable::new(config(16, FullPolicy::default()), how.seed);
        if prefault {
            table.prefault();
        }
        for sent in &before {
            step(&mut table, sent, Now { ts_ns: sent.ts_ns, frame: 1 }, None, &mut |_| {});
        }
        let counted = table.counters();
        table.clear();
        prop_assert_eq!((table.counters(), table.live()), (counted, 0));
        table.counters = TableCounters::default();
        prop_assert_eq!(
            run_through(&mut table, &after, &how),
            run(&after, config(16, FullPolicy::default()), &how)
        );
    }
}

/// Runs packets in one batch and in batches of one, without sweeps, and expects the same of both and of the twin.
fn check_cuts(packets: &[Sent]) {
    let expected = Twin::run(packets);
    for len in [1, packets.len()] {
        let how = Handling { seed: 1, batch_lens: vec![len], sweeps: vec![0] };
        assert_eq!(run(packets, config(64, FullPolicy::default()), &how).0, expected, "batches of {len}");
    }
}

#[test]
fn a_flow_closed_in_the_same_batch_is_idle_as_early_as_one_closed_in_an_earlier_batch() {
    let at = |s: u64, flags| Sent { header: tcp(key(1), flags, 0, 0), ts_ns: s * S };
    check_cuts(&[at(1, SYN), at(2, FIN | ACK), at(20, ACK)]);
}

#[test]
fn an_opening_does_not_depend_on_an_answer_that_comes_later_in_its_batch() {
    let udp = FlowKey { proto: 17, ..key(1) };
    let sent = |key, s: u64| Sent { header: header(key, Upper::Udp { quic: None }), ts_ns: s * S };
    let packets = [sent(udp, 1), sent(udp.reverse(), 2)];
    check_cuts(&packets);
    let openings: Vec<_> = Twin::run(&packets).into_iter().map(|(r, o)| (r.key, o)).collect();
    assert_eq!(openings, [(udp, Some(Opening::Answered)), (udp.reverse(), None)]);
}

#[test]
fn an_idle_flow_that_no_sweep_has_ended_is_no_peer() {
    let udp = FlowKey { proto: 17, ..key(1) };
    let sent = |key, s: u64| Sent { header: header(key, Upper::Udp { quic: None }), ts_ns: s * S };
    let packets = [sent(udp, 1), sent(udp.reverse(), 100)];
    for sweep in [0, u32::MAX] {
        let how = Handling { seed: 1, batch_lens: vec![1], sweeps: vec![sweep] };
        let (outcomes, _) = run(&packets, config(64, FullPolicy::default()), &how);
        assert!(outcomes.iter().all(|(r, _)| !r.paired), "{outcomes:?}");
    }
}

#[test]
fn a_late_packet_moves_the_beginning_of_its_flow() {
    let at = |s: u64| Sent { header: tcp(key(1), ACK, 0, 0), ts_ns: s * S };
    check_cuts(&[at(10), at(4), at(8)]);
    let record = Twin::run(&[at(10), at(4), at(8)])[0].0;
    assert_eq!((record.first_ns, record.first_frame, record.last_ns), (4 * S, 2, 10 * S));
}

#[test]
fn times_at_both_ends_of_the_clock_neither_wrap_nor_end_a_flow_early() {
    let at = |ts_ns| Sent { header: tcp(key(1), ACK, 0, 0), ts_ns };
    check_cuts(&[at(0), at(u64::MAX), at(0), at(u64::MAX), at(1)]);
    check_cuts(&[at(u64::MAX), at(0), at(u64::MAX - 1)]);
}

#[test]
fn a_flow_that_is_over_makes_room_in_its_own_batch_as_in_a_later_one() {
    let at = |n, s: u64| Sent { header: tcp(key(n), ACK, 0, 0), ts_ns: s * S };
    let packets = [at(1, 1), at(2, 60)];
    for len in [1, 2] {
        let how = Handling { seed: 1, batch_lens: vec![len], sweeps: vec![0] };
        let mut placed = HashSet::new();
        for seed in 0..20 {
            let (outcomes, counters) =
                run(&packets, config(1, FullPolicy::Refuse), &Handling { seed, ..how.clone() });
            placed.insert(outcomes.len());
            assert_eq!(counters.created + counters.refused, 2);
        }
        assert!(placed.contains(&2), "no seed put both keys into one bucket, or the flow did not make room");
    }
}
