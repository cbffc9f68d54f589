use credence_credit::AnonymiserKey;
use credence_flow::{Anomalies, Anomaly};
use credence_score::{Facts, Policy, Standing, assess};

use super::*;

const S: u64 = 1_000_000_000;
const START: u64 = 1_780_000_000 * S;

/// An alert about a flow of `src` with as many anomalies as make the verdict worse.
fn event(at_s: u64, src: u128, anomalies: usize) -> Event {
    let mut set = Anomalies::NONE;
    Anomaly::ALL.iter().take(anomalies).for_each(|&a| set.insert(a));
    let facts = Facts { standing: Standing::UNKNOWN, confirmed: false, anomalies: set, behaviour: [None; 4] };
    Event {
        ts_ns: START + at_s * S,
        frame: 1,
        key: FlowKey { src, dst: 2, proto: 6, sport: 1, dport: 2 },
        assessment: assess(&facts, &Policy::default()),
        anomalies: set,
        confirmed: false,
        credit: None,
        cache: 0,
    }
}

fn written(events: &[Event], lines_per_s: u64) -> (Vec<serde_json::Value>, AlertCounts) {
    let mut out = Vec::new();
    let lists = Arc::new(Lists::new(&[], &[]).expect("empty lists"));
    let mut writer = AlertWriter::new(&mut out, lists, None, lines_per_s);
    for event in events {
        writer.write(event, &Cache::default()).expect("writable");
    }
    let counts = writer.tally().counts();
    let lines = String::from_utf8(out).expect("text");
    (lines.lines().map(|l| serde_json::from_str(l).expect("JSON")).collect(), counts)
}

#[test]
fn a_line_has_the_shape_of_eve_and_terms_that_add_up() {
    let (lines, _) = written(&[event(0, 1, 53)], 10);
    let line = &lines[0];
    assert_eq!(line["timestamp"], "2026-05-28T20:26:40.000000+0000");
    assert_eq!(line["event_type"], "alert");
    assert_eq!((&line["src_ip"], &line["src_port"]), (&"::1".into(), &1.into()));
    assert_eq!(line["proto"], "TCP");
    assert_eq!(line["alert"]["action"], "allowed");
    let points: i64 = line["credence"]["terms"]
        .as_array()
        .expect("terms")
        .iter()
        .map(|t| t["points"].as_i64().expect("int"))
        .sum();
    assert_eq!(points, line["credence"]["score"].as_i64().expect("a score"));
    assert!(line["flow_id"].as_u64().expect("a number") < 1 << 53);
}

#[test]
fn a_source_that_keeps_offending_is_quiet_for_a_minute() {
    let events: Vec<_> = (0..61).map(|s| event(s, 1, 2)).collect();
    let (lines, counts) = written(&events, 10);
    assert_eq!(lines.len(), 2);
    assert_eq!(lines[1]["credence"]["suppressed"], 59);
    assert_eq!(counts, AlertCounts { written: 2, suppressed: 59, over_rate: 0 });
}

#[test]
fn a_harder_verdict_is_told_at_once() {
    let (lines, counts) = written(&[event(0, 1, 2), event(1, 1, 53), event(2, 1, 2)], 10);
    assert_eq!(lines.len(), 2);
    assert_eq!(counts.suppressed, 1);
}

/// A scan is mostly flows that prove nothing, and the one that does came after them.
#[test]
fn what_can_be_forged_does_not_keep_quiet_what_cannot() {
    let confirmed = |at_s| Event { confirmed: true, ..event(at_s, 1, 2) };
    let events =
        [event(0, 1, 53), confirmed(1), confirmed(2), event(3, 1, 2), event(62, 1, 2), confirmed(63)];
    let (lines, counts) = written(&events, 10);
    let told: Vec<_> =
        lines.iter().map(|line| line["credence"]["confirmed"].as_bool().expect("told")).collect();
    assert_eq!(told, [false, true, false, true]);
    assert_eq!((lines[2]["credence"]["suppressed"].as_u64(), counts.suppressed), (Some(2), 2));
}

#[test]
fn neighbours_in_a_64_share_a_quiet_minute_and_others_do_not() {
    let (lines, _) = written(&[event(0, 1, 2), event(0, 99, 2), event(0, 1 << 64, 2)], 10);
    assert_eq!(lines.len(), 2);
}

#[test]
fn too_many_lines_in_a_second_are_counted_and_all_adds_up() {
    let events: Vec<_> = (0..1_000_u32).map(|i| event(u64::from(i / 500), u128::from(i) << 64, 2)).collect();
    let (lines, counts) = written(&events, 100);
    assert_eq!(lines.len(), 200);
    assert_eq!(counts.written + counts.suppressed + counts.over_rate, 1_000);
}

#[test]
fn a_flood_of_sources_does_not_grow_memory() {
    let lists = Arc::new(Lists::new(&[], &[]).expect("empty lists"));
    let mut writer = AlertWriter::new(io::sink(), lists, None, u64::MAX);
    for i in 0..(SOURCES_MAX as u128 + 5_000) {
        writer.write(&event(0, i << 64, 2), &Cache::default()).expect("writable");
    }
    assert_eq!(writer.offenders().len(), SOURCES_MAX);
}

#[test]
fn an_anonymised_line_has_no_address() {
    let mut out = Vec::new();
    let lists = Arc::new(Lists::new(&[], &[]).expect("empty lists"));
    let key = AnonymiserKey::new(std::array::from_fn(|i| i as u8)).expect("a good key");
    let mut writer = AlertWriter::new(&mut out, lists, Some(Anonymiser::new(&key)), 10);
    let src = 0x2001_0db8_1234_5678_9abc_def0_1234_5678_u128;
    writer.write(&event(0, src, 2), &Cache::default()).expect("writable");
    let text = String::from_utf8(out).expect("text");
    assert!(!text.contains("2001:db8:") && !text.contains("9abc"), "{text}");
    assert!(
        !text.contains(&flow_id(&event(0, src, 2).key).to_string()),
        "a flow number of real addresses: {text}"
    );
}
