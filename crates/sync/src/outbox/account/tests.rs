use std::collections::BTreeMap;

use credence_law::{Act, Signed};

use super::super::world::{NOW_MS, footing, key, law};
use super::super::{Changes, Dispatch, Kept, Limits, Rule, Turn};
use super::*;

const HOUR: u64 = 3_600;
/// A whole hour.
const BEGINS: u64 = NOW_MS / 1_000 / HOUR * HOUR;
const LIMITS: Limits = Limits { drafts_max: 64, drafts_per_day: 40, window_s: DAY, account_s: HOUR };

fn act(number: u8) -> ActId {
    ActId([number; 32])
}

/// A neighbour's subject of that number.
fn subject(number: u8) -> Prefix {
    format!("2a00:2:{number}::/48").parse().unwrap()
}

/// What a start of the gateway has counted in the hour that begins then.
fn count(number: u8, run: u64, begins: u64, packets: u64) -> Count {
    Count {
        run,
        begins,
        ends: begins + HOUR,
        subject: subject(number),
        act: act(number).short(),
        measure: Measure::Drop,
        from: begins + 5,
        until: begins + 50,
        packets,
        bytes: packets * 60,
    }
}

fn outbox() -> Outbox {
    Outbox::new(Rule::Ask, LIMITS, Kept::default())
}

/// What the accounts that wait to be handed in say: subject, packets and bytes.
fn given(outbox: &Outbox) -> Vec<(Prefix, u64, u64)> {
    let said = outbox.drafts().filter_map(|draft| match draft.says {
        Says::Applied(done) => Some((draft.subject, done.packets, done.bytes)),
        _ => None,
    });
    said.collect()
}

/// Lets the time come and everything be stored.
fn turn_at(outbox: &mut Outbox, now: u64) -> Turn {
    let (law, key) = (law(), key(1, 0));
    let footing = footing(&law, &key, now * 1_000);
    loop {
        match outbox.turn(&footing) {
            Turn::Store => outbox.stored(),
            turn => return turn,
        }
    }
}

#[test]
fn what_is_told_twice_or_not_at_all_changes_no_sum() {
    let mut outbox = outbox();
    for (run, packets) in [(1, 100), (1, 300), (1, 300), (1, 200), (2, 40), (2, 50), (2, 50)] {
        outbox.applied(&count(1, run, BEGINS, packets)).unwrap();
    }
    outbox.named((subject(1), act(1).short()), Some(act(1)), NOW_MS, 0);
    turn_at(&mut outbox, BEGINS + HOUR);
    assert_eq!(given(&outbox), [], "the period has just ended");
    turn_at(&mut outbox, BEGINS + HOUR + 121);
    assert_eq!(given(&outbox), [(subject(1), 350, 350 * 60)]);
}

/// The hand waits for nobody: the operator has asked for accounts, and `rule` speaks of alerts.
#[test]
fn a_closed_period_is_signed_and_lawful() {
    let mut outbox = outbox();
    outbox.applied(&count(1, 7, BEGINS, 500)).unwrap();
    outbox.named((subject(1), act(1).short()), Some(act(1)), NOW_MS, 0);
    let Turn::Send { bytes, .. } = turn_at(&mut outbox, BEGINS + 2 * HOUR) else {
        panic!("nothing goes out")
    };
    let signed = Signed::decode(&bytes).unwrap();
    let said = credence_law::Object::<Act>::decode(signed.bytes()).unwrap().body;
    let Act::Applied(applied) = said else { panic!("{said:?}") };
    assert_eq!(
        (applied.subject.prefix, applied.measure, applied.because),
        (subject(1), Measure::Drop, act(1))
    );
    assert_eq!((applied.packets, applied.bytes), (500, 30_000));
    assert_eq!((applied.from, applied.until), (BEGINS + 5, BEGINS + 50));
    assert_eq!(outbox.applied(&count(1, 7, BEGINS, 900)), Err(Uncounted::Late));
    assert_eq!(outbox.applied(&count(1, 7, BEGINS + HOUR, 900)), Ok(()));
}

#[test]
fn little_is_nobodys_business() {
    let mut outbox = outbox();
    for (number, packets) in [(1, PACKETS_MIN - 1), (2, PACKETS_MIN)] {
        outbox.applied(&count(number, 1, BEGINS, packets)).unwrap();
        outbox.named((subject(number), act(number).short()), Some(act(number)), NOW_MS, 0);
    }
    turn_at(&mut outbox, BEGINS + 2 * HOUR);
    assert_eq!(given(&outbox), [(subject(2), PACKETS_MIN, PACKETS_MIN * 60)]);
    assert_eq!((outbox.rows.len(), outbox.unaccounted()), (0, 0));
}

#[test]
fn what_no_gateway_says_is_in_no_account() {
    let sound = count(1, 1, BEGINS, 500);
    let mut outbox = outbox();
    for wrong in [
        Count { begins: BEGINS + 1, ends: BEGINS + 1 + HOUR, from: BEGINS + 5, ..sound.clone() },
        Count { ends: BEGINS + 2 * HOUR, ..sound.clone() },
        Count { ends: u64::MAX, ..sound.clone() },
        Count { from: BEGINS - 1, ..sound.clone() },
        Count { until: BEGINS + HOUR + 1, ..sound.clone() },
        Count { from: BEGINS + 51, ..sound.clone() },
        Count { measure: Measure::Observe, ..sound.clone() },
        Count { measure: Measure::None, ..sound.clone() },
    ] {
        assert_eq!(outbox.applied(&wrong), Err(Uncounted::Strange), "{wrong:?}");
    }
    assert_eq!(outbox.applied(&sound), Ok(()));
    let mut silent = Outbox::new(Rule::Ask, Limits::default(), Kept::default());
    assert_eq!(silent.applied(&sound), Err(Uncounted::Off));
}

/// Which act it was is asked for until the platform says, and nothing is said of one that it never names.
#[test]
fn an_act_without_a_name_is_asked_for_and_given_up_after_a_day() {
    let mut outbox = outbox();
    outbox.applied(&count(1, 1, BEGINS, 500)).unwrap();
    let asked = (subject(1), act(1).short());
    assert_eq!(outbox.to_name(NOW_MS), Some(asked));
    outbox.named(asked, Some(act(2)), NOW_MS, 0);
    assert_eq!(outbox.to_name(NOW_MS), None, "another act is no answer");
    assert_eq!(outbox.to_name(NOW_MS + 1_000), Some(asked));
    turn_at(&mut outbox, BEGINS + DAY);
    assert_eq!((given(&outbox).len(), outbox.rows.len()), (0, 1));
    turn_at(&mut outbox, BEGINS + HOUR + DAY);
    assert_eq!((given(&outbox).len(), outbox.rows.len(), outbox.unaccounted()), (0, 0, 1));
    assert_eq!(outbox.to_name(NOW_MS + 10_000_000), None);
}

#[test]
fn accounts_leave_half_of_the_room_to_alerts_and_lose_nothing() {
    let mut outbox = outbox();
    for number in 1..=100 {
        outbox.applied(&count(number, 1, BEGINS, 1_000 + u64::from(number))).unwrap();
        outbox.named((subject(number), act(number).short()), Some(act(number)), NOW_MS, 0);
    }
    turn_at(&mut outbox, BEGINS + 2 * HOUR);
    assert_eq!((given(&outbox).len(), outbox.rows.len()), (32, 68));
    assert!(given(&outbox).iter().all(|(_, packets, _)| *packets > 1_068), "the most first");
    let first: Vec<u64> = outbox.drafts().map(|draft| draft.number).collect();
    for number in first {
        outbox.drafts.get_mut(&number).unwrap().state = State::Dropped;
        outbox.changed.insert(number);
    }
    turn_at(&mut outbox, BEGINS + 2 * HOUR);
    assert_eq!((given(&outbox).len(), outbox.rows.len()), (32, 36));
}

/// A disk that takes each change whole, beside an outbox that is ended before or after any of them; and a plain sum of what each
/// start of the gateway had told last in an hour.
#[test]
fn whatever_moment_it_ends_at_each_period_is_told_of_once() {
    for seed in 0..60_u64 {
        let (law, key) = (law(), key(1, 0));
        let (mut disk, mut outbox) = (Kept::default(), outbox());
        let mut sums: BTreeMap<(u8, u64), BTreeMap<u64, u64>> = BTreeMap::new();
        let mut chance = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut below = |most: u64| {
            chance ^= chance << 13;
            chance ^= chance >> 7;
            chance ^= chance << 17;
            chance % most
        };
        let store = |outbox: &mut Outbox, disk: &mut Kept| {
            let Changes { drafts, last_draft, last_act, rows, closed } = outbox.changes();
            for draft in drafts {
                disk.drafts.retain(|kept| kept.number != draft.number);
                disk.drafts.push(draft.clone());
            }
            for (line, row) in rows {
                disk.rows.retain(|kept| kept.line != line);
                disk.rows.extend(row.cloned());
            }
            (disk.last_draft, disk.last_act, disk.closed) = (last_draft, last_act, closed);
            outbox.stored();
        };
        let (mut run, mut counted) = (1, BTreeMap::<u8, u64>::new());
        for minute in 0..300_u64 {
            let now = BEGINS + minute * 60;
            let begins = now / HOUR * HOUR;
            if now == begins {
                counted.clear();
            }
            if below(40) == 0 {
                (run, counted) = (run + 1, BTreeMap::new());
            }
            for number in 1..=3 {
                let so_far = counted.entry(number).or_default();
                *so_far += 100 + below(900);
                let told = Count { from: now, until: now, ..count(number, run, begins, *so_far) };
                // Now and then it is told twice, and now and then the pipe is full: never the last time, which is told again.
                let is_told = now + 60 == begins + HOUR || below(5) > 0;
                for _ in 0..=below(2) {
                    if is_told {
                        outbox.applied(&told).unwrap();
                        sums.entry((number, begins)).or_default().insert(run, *so_far);
                    }
                }
                outbox.named((subject(number), act(number).short()), Some(act(number)), now * 1_000, 0);
            }
            store(&mut outbox, &mut disk);
            for _ in 0..below(4) {
                let turn = outbox.turn(&footing(&law, &key, now * 1_000));
                if below(3) == 0 {
                    outbox = Outbox::new(Rule::Ask, LIMITS, disk.clone());
                } else if turn == Turn::Store {
                    store(&mut outbox, &mut disk);
                }
            }
        }
        let end = BEGINS + 301 * 60 + 120;
        while outbox.turn(&footing(&law, &key, end * 1_000)) == Turn::Store {
            store(&mut outbox, &mut disk);
        }
        let mut told = BTreeMap::new();
        for draft in &disk.drafts {
            let Says::Applied(done) = draft.says else { panic!("{draft:?}") };
            let before = told.insert((draft.subject, done.from / HOUR * HOUR), done.packets);
            assert_eq!(before, None, "seed {seed}: {draft:?} is told twice");
            assert!(matches!(&draft.state, State::Ready | State::Signed(Dispatch { .. })));
        }
        let sums: BTreeMap<_, u64> = sums
            .iter()
            .map(|((number, begins), runs)| ((subject(*number), *begins), runs.values().sum()))
            .collect();
        assert_eq!((told.len(), &told), (15, &sums), "seed {seed}");
    }
}

#[test]
fn the_platforms_answer_names_the_act() {
    let answer =
        |id: &str| format!(r#"{{"subject": "2a00:2::/48", "acts": [{{"id": "{id}", "kind": "decision"}}]}}"#);
    let (digits, act) = ("07".repeat(32), act(7));
    assert_eq!(named_in(answer(&digits).as_bytes(), act.short()), Some(act));
    assert_eq!(named_in(answer(&"08".repeat(32)).as_bytes(), act.short()), None);
    for strange in [answer("07"), answer("é"), String::new(), "[".repeat(10_000), "{\"acts\": 7}".to_owned()]
    {
        assert_eq!(named_in(strange.as_bytes(), act.short()), None, "{strange}");
    }
}
